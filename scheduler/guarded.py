"""Columns of others, kept from breaking what calls them: everything that happens to nodes and pods goes through here.

A column that raises is out of step from then on, and so is its plugin; the log tells.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from .change import Change

if TYPE_CHECKING:
    from .columns import Column, Placed
    from .view import Node

log = logging.getLogger(__name__)


class Guarded:
    """Stands for a column of another package."""

    def __init__(self, inner: Column) -> None:
        self.inner = inner

    def set_node(self, row: int, node: Node | None) -> Change:
        """Pass it on; nothing changed if that fails."""
        try:
            return self.inner.set_node(row, node)
        except Exception:
            self._tell()
            return Change.NOTHING

    def account(self, placed: Placed, sign: int) -> None:
        """Pass it on."""
        try:
            self.inner.account(placed, sign)
        except Exception:
            self._tell()

    def grow(self, capacity: int) -> None:
        """Pass it on."""
        try:
            self.inner.grow(capacity)
        except Exception:
            self._tell()

    def observe(self, before: Placed, now: Placed) -> None:
        """Pass it on, if the column is of those that want it."""
        try:
            if (observe := getattr(self.inner, "observe", None)) is not None:
                observe(before, now)
        except Exception:
            self._tell()

    def _tell(self) -> None:
        log.exception("the column %s is out of step", type(self.inner).__name__)


def guarded(column: Column) -> Column:
    """The column, guarded unless it is our own."""
    return column if type(column).__module__.startswith("k8slite.") else Guarded(column)
