"""Tokens in Secrets that nobody has used for a year."""
