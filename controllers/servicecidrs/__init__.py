"""Ranges of Services' addresses: when they are in use, and when they may go."""
