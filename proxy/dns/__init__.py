"""Cluster DNS: Services as names (`records`) in a zone (`zone`), asked (`answer`), spoken on the wire (`wire`)."""
