"""What a kind means beyond its schema: a file per kind that has semantics, a table in `table.py`."""
