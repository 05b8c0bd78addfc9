"""Making children exactly once: names chosen here, creations that may be repeated, and a ledger of own writes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Iterable
from random import Random
from typing import Any

import aiohttp

from k8slite.client import Client
from k8slite.controller import TryAgain
from k8slite.errors import ApiError, conflict
from k8slite.informer import Informer
from k8slite.kinds.base import K, Object, ResourceType

SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Without vowels and look-alikes, so that no word comes out by chance."""
MAX_NAME = 63


def child_name(parent: str, random: Random) -> str:
    """The parent's name, shortened if needed, and five random characters."""
    return f"{parent[: MAX_NAME - 6]}-{''.join(random.choices(SAFE_ALPHABET, k=5))}"


def encode_safely(text: str) -> str:
    """Each character mapped to the safe alphabet."""
    return "".join(SAFE_ALPHABET[ord(character) % len(SAFE_ALPHABET)] for character in text)


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


async def all_of(steps: Iterable[Awaitable[None]]) -> None:
    """Take all steps at once; when every one has ended, raise the first failure."""
    for outcome in await asyncio.gather(*steps, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


class BehindError(TryAgain):
    """The cache has not caught up with this process's own writes: look again later."""


class Ledger:
    """What was written for each key that the cache may not show yet: a sync never decides without it."""

    def __init__(self) -> None:
        self._created: dict[str, Object] = {}
        self._deleted: dict[str, dict[str, str]] = defaultdict(dict)

    def created(self, key: str, child: Object) -> None:
        """A child was written; the latest revision counts."""
        known = self._created.get(key)
        if known is None or int(known.metadata.resource_version) < int(child.metadata.resource_version):
            self._created[key] = child

    def deleted(self, key: str, child: Object) -> None:
        """The API accepted the deletion of a child."""
        self._deleted[key][child.uid] = child.key

    def forget(self, key: str) -> None:
        """The parent is gone."""
        self._created.pop(key, None)
        self._deleted.pop(key, None)

    async def settle(self, key: str, informer: Informer[Any]) -> frozenset[str]:
        """Wait until the cache shows all that was created; the UIDs of deletions that it does not show yet.

        Raises BehindError if that takes too long.
        """
        if child := self._created.get(key):
            if not await informer.wait_for_revision(child.key, child.metadata.resource_version):
                raise BehindError(f"{informer.resource.plural} are behind {child.metadata.resource_version}")
            del self._created[key]
        deleted = self._deleted.get(key, {})
        for uid, child_key in list(deleted.items()):
            seen = informer.get(child_key)
            if seen is None or seen.uid != uid or seen.deleting:
                del deleted[uid]
        return frozenset(deleted)
