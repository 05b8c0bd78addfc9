"""Namespaces on their way out."""
