"""Addresses and node ports of Services: what is taken, how one is taken for good, and which to take."""
