"""Aggregation: group versions that another server serves, behind this one's address, discovery and authorization."""
