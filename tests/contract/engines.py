"""The engines under test, and what the suites say about documents and watches."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from k8slite.apiserver.storage.base import PLACEHOLDER, Change, Store

NAMES = ("memory", "sqlite", "etcd")
ENCRYPTED = "encrypted-"
"""What the names of the same engines begin with, under a store that encrypts."""
ALL = (*NAMES, *(ENCRYPTED + name for name in NAMES))
CONFIGURATION = """
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: ['*.*']
  providers: [{aesgcm: {keys: [{name: key1, secret: MDEyMzQ1Njc4OWFiY2RlZg==}]}}]
"""


@dataclass(frozen=True)
class Engine:
    """How to make stores that share one place."""

    name: str
    make: Callable[[], Store]


def document(name: str, **members: Any) -> bytes:
    rest = json.dumps({"name": name}, separators=(",", ":"))[1:]
    text = json.dumps(members, separators=(",", ":"))[1:-1]
    tail = "," + text if text else ""
    return b'{"kind":"Pod","apiVersion":"v1","metadata":{%b,%b%b}' % (PLACEHOLDER, rest.encode(), tail.encode())


def revision_of(value: bytes) -> int:
    return int(json.loads(value)["metadata"]["resourceVersion"])


def name_of(value: bytes) -> str:
    return str(json.loads(value)["metadata"]["name"])


async def take(watch: AsyncIterator[list[Change]], count: int) -> list[Change]:
    """The next changes of a watch."""
    changes: list[Change] = []
    async with asyncio.timeout(20):
        while len(changes) < count:
            changes += await anext(watch)
    assert len(changes) == count
    return changes
