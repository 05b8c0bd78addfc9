"""Typed models of what components read, a file per API group.

Models are frozen, know only the fields that some component reads, and ignore the rest. Components therefore never write
a whole object rebuilt from a model: they write with patches, or create new objects from plain dictionaries.

Attributes are snake_case; the wire is camelCase. `resources.py` binds each model to its path in the API.
"""
