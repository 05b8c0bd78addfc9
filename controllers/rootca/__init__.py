"""The cluster's CA in every namespace."""
