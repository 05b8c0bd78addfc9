"""A call whenever something has changed, for those who then look at the cache as it is: no events, nothing encoded."""

from __future__ import annotations

from collections.abc import Callable

from k8slite.selectors import EVERYTHING, LabelSelector

from .resources import ResourceCache
from .watch import Watcher


class Signal:
    """Calls `wake` when an object of a resource changes, in a namespace, of a name, or with labels, if these are given.

    After a call nothing more comes until `renew`: whoever is woken renews first and looks then.
    """

    def __init__(
        self,
        rows: ResourceCache,
        wake: Callable[[], None],
        *,
        namespace: str = "",
        name: str = "",
        labels: LabelSelector = EVERYTHING,
    ) -> None:
        self._rows = rows
        self._wake = wake
        self._namespace = namespace
        self._name = name
        self._labels = labels
        self._watcher: Watcher | None = None
        self.renew()

    def renew(self) -> None:
        """Call again for what comes after this moment."""
        self.close()
        self._watcher = self._rows.watch(
            namespace=self._namespace, name=self._name, labels=self._labels, after=self._rows.revision
        )
        self._watcher.on_ready = self._ready

    def close(self) -> None:
        """Call no more."""
        if self._watcher is not None:
            self._watcher.on_ready = None
            self._watcher.close()
            self._watcher = None

    def _ready(self) -> None:
        self.close()
        self._wake()
