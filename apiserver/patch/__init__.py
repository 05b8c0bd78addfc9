"""Patches: pure functions from a document and a patch to a new document."""
