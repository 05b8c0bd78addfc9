"""Seeing now and then that records and Services agree, and saying so where they do not.

Every server looks once a minute, unless nothing changed since the last time. What is mended is written on condition of
what was read, so that several servers do no harm to each other.

Source: registry/core/service/ipallocator/controller/repairip.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import uuid
from collections.abc import Iterator

import orjson

from k8slite.clock import Clock, timestamp

from .. import documents
from ..lookup import Objects
from ..storage.base import Store, StoreError
from ..strategies.base import Document
from .claims import Claims, Finding
from .holdings import Holdings
from .ranges import Ranges

_log = logging.getLogger(__name__)
_PERIOD = 60.0
_COMPONENT = "ipallocator-repair-controller"


class Repair:
    """The loop of one server."""

    def __init__(
        self, claims: Claims, *, holdings: Holdings, ranges: Ranges, objects: Objects, store: Store, clock: Clock
    ) -> None:
        self._claims = claims
        self._holdings = holdings
        self._ranges = ranges
        self._services = objects.resource("", "services")
        self._watched = [
            self._services,
            objects.resource("networking.k8s.io", "ipaddresses"),
            objects.resource("networking.k8s.io", "servicecidrs"),
        ]
        self._store = store
        self._clock = clock
        self._seen: tuple[int, ...] = ()
        self._said: frozenset[Finding] = frozenset()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Cease."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def once(self) -> list[Finding]:
        """Look, mend and tell; what was found. Raises StoreError."""
        changed = tuple(rows.changed for rows in self._watched)
        if changed == self._seen:
            return []
        now = self._clock.now()
        found = [*await self._claims.repair(now), *self._unmendable()]
        for finding in found:
            if finding not in self._said:
                _log.warning("%s/%s: %s", finding.namespace, finding.name, finding.message)
                with contextlib.suppress(StoreError):
                    await self._tell(finding)
        self._said = frozenset(found)
        # What was mended changed the records; a claim that is too young to be judged has to be looked at again.
        self._seen = changed if not found and not self._claims.undecided else ()
        return found

    def _unmendable(self) -> Iterator[Finding]:
        """Addresses of several Services, and those of none of the ranges: somebody has to make the Service anew."""
        for (address, port), keys in self._holdings.shared().items():
            if port or len(keys) < 2:
                continue
            for key in sorted(keys)[1:]:
                namespace, name = key.split("/")[-2:]
                message = (
                    f"Cluster IP [{_family(address)}]:{address} was assigned to multiple services; "
                    "please recreate service"
                )
                yield Finding("ClusterIPAlreadyAllocated", message, namespace, name)
        for (address, port), keys in self._holdings.shared().items():
            family = _family(address) if not port else ""
            if not family or any(ipaddress.ip_address(address) in each for each in self._ranges.known(family)):
                continue
            for key in sorted(keys):
                namespace, name = key.split("/")[-2:]
                message = (
                    f"Cluster IP [{family}]: {address} is not within any configured Service CIDR; "
                    "please recreate service"
                )
                yield Finding("ClusterIPOutOfRange", message, namespace, name)

    async def _tell(self, finding: Finding) -> None:
        """An event about the Service, as a component would record it."""
        entry = self._services.get(finding.namespace, finding.name)
        metadata = entry.document["metadata"] if entry is not None else {}
        name = f"{finding.name}.{uuid.uuid4().hex[:16]}"
        now = timestamp(self._clock.now())
        event: Document = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {
                "resourceVersion": "",
                "name": name,
                "namespace": finding.namespace,
                "uid": str(uuid.uuid4()),
                "creationTimestamp": now,
            },
            "involvedObject": {
                "kind": "Service",
                "namespace": finding.namespace,
                "name": finding.name,
                "uid": metadata.get("uid", ""),
                "apiVersion": "v1",
            },
            "reason": finding.reason,
            "message": finding.message,
            "source": {"component": _COMPONENT},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": "Warning",
            "eventTime": None,
            "reportingComponent": _COMPONENT,
            "reportingInstance": "",
        }
        await self._store.create(documents.key("", "events", finding.namespace, name), orjson.dumps(event))

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(_PERIOD)
            try:
                await self.once()
            except StoreError as error:
                _log.debug("addresses are not looked after: %s", error)
            except Exception:
                _log.exception("looking after the addresses of Services")


def _family(address: str) -> str:
    try:
        return f"IPv{ipaddress.ip_address(address).version}"
    except ValueError:
        return ""
