"""Authentication: a file per method; each says who a request comes from, or passes."""
