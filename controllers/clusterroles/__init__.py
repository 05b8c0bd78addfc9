"""Writes into aggregated ClusterRoles the rules that they gather."""
