"""Volumes, claims and volume attributes classes stay as long as something uses them."""
