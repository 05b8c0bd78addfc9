"""Read your writes: what was written and is not in the informer yet is not decided on again."""

from __future__ import annotations

import re

from k8slite.kinds.base import Object

_REVISION = re.compile(rb'"resourceVersion":\s?"(\d+)"')


class Awaited:
    """Revisions that writes have made, by key, until the informer shows them."""

    def __init__(self) -> None:
        self._revisions: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._revisions)

    def wrote(self, key: str, answer: bytes, *, shown: Object | None) -> None:
        """Note the answer to a write: the object that it made, unless what the informer shows by now is it, or gone."""
        if (found := _REVISION.search(answer)) and shown is not None:
            self._revisions[key] = int(found[1])
            self.lags(key, shown.metadata.resource_version)

    def lags(self, key: str, resource_version: str) -> bool:
        """Whether an object as the informer shows it is older than what was written."""
        wanted = self._revisions.get(key)
        if wanted is None:
            return False
        if resource_version.isdigit() and int(resource_version) < wanted:
            return True
        del self._revisions[key]
        return False

    def forget(self, key: str) -> None:
        """The object is gone."""
        self._revisions.pop(key, None)
