"""Patches: JSON (RFC 6902), merge (RFC 7386) and strategic merge, each a pure function of document and patch."""
