"""Nodes that stop answering."""
