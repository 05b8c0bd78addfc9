"""Validation that the schema alone cannot say, a file per API group."""
