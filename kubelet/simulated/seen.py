"""Read your writes: what was written and is not in the informer yet is not decided on again."""

from __future__ import annotations

import re

_REVISION = re.compile(rb'"resourceVersion":\s?"(\d+)"')


class Awaited:
    """Revisions that writes have made, by key, until the informer shows them."""

    def __init__(self) -> None:
        self._revisions: dict[str, int] = {}

    def wrote(self, key: str, answer: bytes) -> None:
        """Note the answer to a write: the object that it made."""
        if found := _REVISION.search(answer):
            self._revisions[key] = int(found[1])

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
