"""How much a body may hold once it is read; how many bytes it may have says `body.py`.

A value takes memory and time whatever its bytes are. No object that the store takes (1.5 MiB) has that many: a field
of a real one has some twenty bytes.
"""

from __future__ import annotations

from k8slite.errors import ApiError, request_entity_too_large

MOST_VALUES = 100_000
"""Scalars, lists and maps."""
DEEPEST = 250
"""Lists and maps within each other: what is deeper cannot be written as JSON again."""


def too_many_values() -> ApiError:
    """413 for a body that holds more."""
    return request_entity_too_large(f"limit is {MOST_VALUES} values")
