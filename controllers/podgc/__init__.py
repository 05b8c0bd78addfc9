"""Pods that nobody will ever finish deleting."""
