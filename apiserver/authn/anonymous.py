"""Requests without credentials: whether they are served at all, and where.

Source: Kubernetes documentation, "Anonymous requests".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnonymousAccess:
    """Whether there is an anonymous user; with `paths`, only for requests to exactly these."""

    enabled: bool = True
    paths: frozenset[str] = frozenset()

    def covers(self, path: str) -> bool:
        """Whether a request may be anonymous."""
        return self.enabled and (not self.paths or path in self.paths)
