"""A small project: `tqconsole -A proj worker -l INFO` runs it."""
