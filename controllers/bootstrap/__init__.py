"""Tokens by which machines join: what they trust is signed, and they end in time."""
