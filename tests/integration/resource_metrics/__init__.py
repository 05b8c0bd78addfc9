"""The metrics API over a real server."""
