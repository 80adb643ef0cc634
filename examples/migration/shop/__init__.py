"""A small shop: orders are priced, charged and shipped."""
