"""The service proxy: makes Services and cluster DNS reachable on one machine."""
