"""Who saw the object of a request and wants to see what becomes of it later: webhooks and mutating policies.

A change makes all of them due that saw the object before it. They have their turn in the second round, each once.

Source: Kubernetes' apiserver, plugin/webhook/mutating/reinvocationcontext.go and its copy for policies.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from .. import documents
from ..strategies.base import Document
from .base import Admission, Reinvocation

Key = TypeVar("Key", bound=Hashable)


class Followers(Generic[Key]):
    """Those of one plugin, by what it tells them apart."""

    def __init__(self, reinvocation: Reinvocation) -> None:
        self._reinvocation = reinvocation
        self._last: Document | None = None
        """The object as the plugin left it; None if nobody follows it."""
        self._following: set[Key] = set()
        self._due: set[Key] = set()

    @classmethod
    def begin(cls, plugin: str, admission: Admission) -> Followers[Key]:
        """Those of a request, at the beginning of a round of the plugin: in the second the object may have changed."""
        reinvocation = admission.reinvocation
        found: Followers[Key] = reinvocation.memory.setdefault(plugin, cls(reinvocation))
        if reinvocation.again and found._last != admission.object:
            found._call()
        return found

    def is_due(self, key: Key) -> bool:
        """Whether it is this one's turn: everybody's in the first round."""
        return not self._reinvocation.again or key in self._due

    def changed(self) -> None:
        """Let all who follow have another turn, and all plugins a second round."""
        self._call()
        self._reinvocation.wanted = True

    def _call(self) -> None:
        self._due |= self._following
        self._following.clear()

    def follow(self, key: Key) -> None:
        """Note that this one saw the object as it is, and wants to see later changes."""
        self._following.add(key)

    def end(self, obj: Document | None) -> None:
        """Note at the end of a round how the plugin leaves the object."""
        self._last = documents.copy(obj) if self._following and obj is not None else None
