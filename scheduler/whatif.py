"""Columns as they would be: pods are placed and removed to see what follows, and all is put back.

Every column follows, so that any plugin may be asked meanwhile. Nothing else may run before it is put back: no await
in between, nobody is woken, and what is remembered of the columns is renewed afterwards through their journals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from .columns import Columns, Placed
from .nominations import Nominated


class WhatIf:
    """A block in which pods may come and go; they are as before when it ends."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._removed: dict[str, Placed] = {}

    def __enter__(self) -> WhatIf:
        return self

    def __exit__(self, *_: object) -> None:
        for uid in list(self._removed):
            self.bring_back(uid)

    def remove(self, placed: Placed) -> None:
        """A pod leaves its node."""
        self._removed[placed.pod.uid] = placed
        self._columns.remove(placed.pod.uid)

    def bring_back(self, uid: str) -> None:
        """A removed pod is on its node after all."""
        placed = self._removed.pop(uid)
        self._columns.place(placed.pod, placed.shape, self._columns.names[placed.row])

    @contextmanager
    def adding(self, promised: Iterable[Nominated]) -> Iterator[None]:
        """Within, nominated pods are on their nodes."""
        added = [found for found in promised if self._columns.placed(found.pod.uid) is None]
        try:
            for found in added:
                self._columns.place(found.pod, found.shape, found.node)
            yield
        finally:
            for found in added:
                self._columns.remove(found.pod.uid)
