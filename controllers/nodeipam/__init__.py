"""Pod networks of nodes."""
