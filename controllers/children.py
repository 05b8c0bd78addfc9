"""Making children exactly once: names chosen here, creations that may be repeated, and a ledger of own writes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any, Generic

import aiohttp

from k8slite.client import Client
from k8slite.controller import TryAgain
from k8slite.errors import ApiError, conflict
from k8slite.informer import Informer
from k8slite.kinds.base import K, Object, ResourceType

from .context import Context

SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Without vowels and look-alikes, so that no word comes out by chance."""
MAX_NAME = 63
SUFFIX = 5
"""Random characters at the end of a name."""


def child_name(parent: str, random: Random) -> str:
    """The parent's name, shortened if needed, and a few random characters."""
    return f"{_stem(parent)}{''.join(random.choices(SAFE_ALPHABET, k=SUFFIX))}"


def _stem(parent: str) -> str:
    return f"{parent[: MAX_NAME - SUFFIX - 1]}-"


def encode_safely(text: str) -> str:
    """Each character mapped to the safe alphabet."""
    return "".join(SAFE_ALPHABET[ord(character) % len(SAFE_ALPHABET)] for character in text)


def batches(count: int) -> list[range]:
    """So many in groups of 1, 2, 4, 8 …: if the API refuses, it refuses few."""
    groups, start, size = [], 0, 1
    while start < count:
        groups.append(range(start, min(start + size, count)))
        start, size = start + size, size * 2
    return groups


async def all_of(steps: Iterable[Awaitable[None]]) -> None:
    """Take all steps at once; when every one has ended, raise the first failure."""
    for outcome in await asyncio.gather(*steps, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


class BehindError(TryAgain):
    """The cache has not caught up with this process's own writes: look again later."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A write of ours, and how many lists the informer had begun when it ended."""

    child: Object
    lists: int


class Ledger(Generic[K]):
    """What was written for each key that the cache may not show yet: a sync never decides without it.

    A creation whose answer was lost may have taken effect, or may yet. Its name is tried first when the next child is
    made, so that it comes into being once, whenever that is.
    """

    def __init__(self, informer: Informer[K]) -> None:
        self._informer = informer
        self._written: dict[str, _Written] = {}
        self._deleted: dict[str, dict[str, str]] = defaultdict(dict)
        self._unsure: dict[str, list[tuple[str, str]]] = {}
        """Names of children that may be there, each with the place that it was made for."""

    def wrote(self, key: str, child: Object) -> None:
        """A child was made or changed; the latest revision counts."""
        known = self._written.get(key)
        if known is None or int(known.child.metadata.resource_version) < int(child.metadata.resource_version):
            self._written[key] = _Written(child, self._informer.lists)

    def deleted(self, key: str, child: Object) -> None:
        """The API accepted the deletion of a child."""
        self._deleted[key][child.uid] = child.key

    def forget(self, key: str) -> None:
        """The parent is gone."""
        self._written.pop(key, None)
        self._deleted.pop(key, None)
        self._unsure.pop(key, None)

    async def settle(self, key: str) -> frozenset[str]:
        """Wait until the cache shows all that was written; the UIDs of deletions that it does not show yet.

        Raises BehindError if that takes too long.
        """
        if written := self._written.get(key):
            child, revision = written.child, written.child.metadata.resource_version
            if not await self._informer.wait_for_revision(child.key, revision, lists=written.lists):
                raise BehindError(f"{self._informer.resource.plural} are behind {revision}")
            if self._written.get(key) is written:
                del self._written[key]
        deleted = self._deleted.get(key, {})
        for uid, child_key in list(deleted.items()):
            seen = self._informer.get(child_key)
            if seen is None or seen.uid != uid or seen.deleting:
                del deleted[uid]
        if not deleted:
            self._deleted.pop(key, None)
        namespace = key.rpartition("/")[0]
        unsure = [one for one in self._unsure.pop(key, ()) if self._informer.get(f"{namespace}/{one[0]}") is None]
        if unsure:
            self._unsure[key] = unsure
        return frozenset(deleted)

    async def create(
        self,
        context: Context,
        owner: Object,
        body: Callable[[str], dict[str, Any]],
        *,
        prefix: str,
        place: str = "",
    ) -> K:
        """Make one child of `owner`: `body` tells its document by its name, which begins with `prefix`.

        Where children are not all alike, `place` says which one this is: a name that may be taken is tried again for
        the same place only.

        Raises what the client raises, and ApiError `Conflict` if the name is taken by somebody else's object.
        """
        name = self._name(owner, prefix, place=place, random=context.random)
        if (arrived := self._informer.get(f"{owner.namespace}/{name}")) is not None:
            return arrived
        try:
            child = await create_once(context.client, self._informer.resource, body(name), owner=owner)
        except (ApiError, aiohttp.ClientError, OSError) as error:
            if not isinstance(error, ApiError) or error.code >= 500:
                self._unsure.setdefault(owner.key, []).append((name, place))
            raise
        self.wrote(owner.key, child)
        return child

    def _name(self, owner: Object, prefix: str, *, place: str, random: Random) -> str:
        """A new name, or one of which nobody knows whether it is there; the cache did not show it when we settled."""
        unsure = self._unsure.get(owner.key, [])
        for one in unsure:
            name, made_for = one
            if made_for == place and name[:-SUFFIX] == _stem(prefix):
                unsure.remove(one)
                return name
        return child_name(prefix, random)


async def create_once(client: Client, resource: ResourceType[K], body: dict[str, Any], *, owner: Object) -> K:
    """Create a child by its name. An answer lost on the way is asked for again, so that no second child is made.

    Raises ApiError `Conflict` if the name is taken by somebody else's object.
    """
    name, namespace = body["metadata"]["name"], owner.namespace
    for attempt in (1, 2):
        try:
            return await client.create(resource, body, namespace=namespace)
        except (aiohttp.ClientError, OSError):
            if attempt == 2:
                raise
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            found = await client.get(resource, name, namespace=namespace)
            controller = found.metadata.controller
            if controller is None or controller.uid != owner.uid:
                raise conflict(resource.plural, name, "the name is taken", group=resource.group) from error
            return found
    raise AssertionError("unreachable")
