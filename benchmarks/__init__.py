"""Speed, measured and never asserted. `make bench` runs the quick part."""
