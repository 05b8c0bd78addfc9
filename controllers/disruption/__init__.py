"""Says how many pods of a disruption budget may be evicted now."""
