"""The aggregator: the table of routes to other servers, their followers, and the APIServices of our own groups.

It learns of changes from the watch cache and looks at the objects as they are then. While no APIService names a
Service nothing runs and nothing is asked: `routes` is empty, and that is all that a request looks at.

Source: Kubernetes' kube-aggregator.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from k8slite.clock import timestamp
from k8slite.errors import ApiError

from ..backends import Backends
from ..documents import encode
from ..registry import Decide, Registry, Removal, Served
from ..storage.base import KeyExists, StoreError
from ..strategies.base import Document
from ..verbs import deleting
from ..verbs.metadata import new_uid
from ..watching.signal import Signal
from ..wire.options import Options
from ..wire.request import RequestInfo
from . import described, order, registration, services
from .conditions import LOCAL, Availability, with_condition
from .proxy import UNAVAILABLE, Passing, answer_text, pass_on
from .remote import Remote
from .services import ApiService, GroupVersion

_RETRY = 1.0
"""Seconds until what the store refused is tried again."""
_CUSTOM = ("apiextensions.k8s.io", "customresourcedefinitions")
_log = logging.getLogger(__name__)


class Aggregator:
    """One server's aggregation. `routes` holds the group versions that other servers serve."""

    def __init__(self, registry: Registry, *, backends: Backends) -> None:
        self.routes: dict[GroupVersion, ApiService] = {}
        self.generation = 0
        """Rises whenever discovery or OpenAPI differ."""
        self._registry = registry
        self._backends = backends
        self._services: dict[str, tuple[int, ApiService]] = {}
        self._custom: dict[str, tuple[int, frozenset[GroupVersion]]] = {}
        self._remotes: dict[str, Remote] = {}
        self._wake = asyncio.Event()
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make the APIServices of built-in groups and begin to follow the others. The cache must be filled."""
        self._read()
        await self._carry_out(registration.builtin_plan(self._registry.catalogue.groups(), self._present()))
        self._read()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Follow nothing any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*(remote.stop() for remote in self._remotes.values()))
        self._remotes.clear()

    def drain(self) -> None:
        """End the watches that other servers answer, so that clients go elsewhere."""
        self._ending.set()

    # Requests

    def find(self, info: RequestInfo) -> ApiService | None:
        """Whose request it is, if another server's: one for its resources, its discovery or its OpenAPI document."""
        if info.plural:
            return self.routes.get((info.group, info.version))
        match info.path.rstrip("/").split("/"):
            case ["", "apis", group, version, *_] | ["", "openapi", "v3", "apis", group, version]:
                return self.routes.get((group, version))
            case ["", "api", version, *_] | ["", "openapi", "v3", "api", version]:
                return self.routes.get(("", version))
        return None

    async def serve(self, service: ApiService, passing: Passing) -> int:
        """Let the other server answer; the status that went out."""
        if not service.available or service.target is None:
            return await answer_text(passing.send, 503, UNAVAILABLE)
        if service.problem:
            return await answer_text(passing.send, 500, service.problem)
        return await pass_on(self._backends, service.target, passing, ending=self._ending)

    # Discovery and OpenAPI

    def groups(self, local: dict[str, list[str]]) -> dict[str, list[str]]:
        """The groups with their versions, other servers' among our own, in order of preference."""
        return order.merge_groups(local, (service for _, service in self._services.values()))

    def entry(self, group: str, version: str) -> Document | None:
        """Another server's entry in aggregated discovery, None for what is served here."""
        service = self.routes.get((group, version))
        if service is None:
            return None
        remote = self._remotes.get(service.name)
        return remote.entry if remote is not None else described.stale(None, version)

    def openapi_3(self) -> dict[str, Document]:
        """The other servers' lines of the index of OpenAPI 3."""
        remotes = self._remotes.values()
        return {each.service.path.lstrip("/"): each.described.v3 for each in remotes if each.described.v3 is not None}

    def openapi_2(self, document: Document) -> Document:
        """Our OpenAPI 2 document with the other servers' parts."""
        for remote in list(self._remotes.values()):
            if (other := remote.described.v2) is not None:
                document = described.merge_v2(document, other)
        return document

    # Following

    async def _run(self) -> None:
        cache = self._registry.cache
        signals = [
            Signal(cache.resource(*place), self._wake.set) for place in ((services.GROUP, services.PLURAL), _CUSTOM)
        ]
        try:
            while True:
                self._wake.clear()
                for signal in signals:
                    signal.renew()
                try:
                    await self._step()
                except (StoreError, ApiError) as error:
                    _log.warning("APIServices cannot be kept: %s", error)
                    self._retry()
                except Exception:  # the task must not end: nobody would follow anything any more
                    _log.exception("APIServices cannot be kept")
                    self._retry()
                await self._wake.wait()
        finally:
            for signal in signals:
                signal.close()

    def _retry(self) -> None:
        asyncio.get_running_loop().call_later(_RETRY, self._wake.set)

    async def _step(self) -> None:
        self._read()
        await self._follow()
        for service in self._present().values():
            if service.target is None and service.reason != LOCAL.reason:
                await self._publish(service, LOCAL)
        await self._carry_out(registration.custom_plan(self._served_versions(), self._present()))

    def _read(self) -> None:
        """Take the APIServices in as they are now."""
        known, self._services = self._services, {}
        for entry in self._registry.cache.resource(services.GROUP, services.PLURAL).select():
            old = known.get(entry.name)
            if old is None or old[0] != entry.revision:
                old = entry.revision, services.read(entry.document)
            self._services[entry.name] = old
        present = self._present()
        # APIServices themselves are always ours: nobody could take a wrong one back.
        others = (each for each in present.values() if each.target is not None and each.group != services.GROUP)
        self.routes = {(each.group, each.version): each for each in others}
        if known.keys() != present.keys() or any(known[name][1] != each for name, each in present.items()):
            self.generation += 1

    async def _follow(self) -> None:
        wanted = {service.name: service for service in self.routes.values()}
        for name, remote in list(self._remotes.items()):
            service = wanted.get(name)
            if service is not None and service.target == remote.service.target:
                remote.service = service
            else:  # what another server said is not this one's
                await self._remotes.pop(name).stop()
                self._changed()
        for name, service in wanted.items():
            if name not in self._remotes:
                self._remotes[name] = Remote(
                    service,
                    backends=self._backends,
                    cache=self._registry.cache,
                    publish=self._publish,
                    changed=self._changed,
                )

    def services(self) -> Iterable[ApiService]:
        """Every APIService as it was seen last."""
        return self._present().values()

    def _changed(self) -> None:
        self.generation += 1

    def _present(self) -> Mapping[str, ApiService]:
        return {name: service for name, (_, service) in self._services.items()}

    def _served_versions(self) -> set[GroupVersion]:
        """The group versions of custom resources."""
        known, self._custom = self._custom, {}
        for entry in self._registry.cache.resource(*_CUSTOM).select():
            old = known.get(entry.name)
            if old is None or old[0] != entry.revision:
                spec = entry.document.get("spec") or {}
                versions = (each["name"] for each in spec.get("versions") or () if each.get("served"))
                old = entry.revision, frozenset((spec.get("group") or "", version) for version in versions)
            self._custom[entry.name] = old
        return {each for _, versions in self._custom.values() for each in versions}

    # Writing

    @property
    def _served(self) -> Served:
        return self._registry.find(services.GROUP, "v1", services.PLURAL)

    async def _publish(self, service: ApiService, availability: Availability) -> None:
        """Set the condition of an APIService; nothing is written if it has it, leads elsewhere by now, or is gone."""
        now = self._registry.clock.now()

        async def decide(document: Document, revision: int) -> Document:
            if services.read(document).target != service.target:
                return document
            return with_condition(document, availability, now)

        await self._change(service.name, decide)

    async def _change(self, name: str, decide: Decide) -> None:
        try:
            await self._registry.change(self._served, "", name, decide, dry_run=False)
        except ApiError as error:
            if error.reason != "NotFound":
                raise

    async def _carry_out(self, plan: registration.Plan) -> None:
        await asyncio.gather(*(self._create(document) for document in plan.create))
        for name, spec in (plan.mend or {}).items():
            await self._mend(name, spec)
        for name in plan.delete:
            await self._delete(name)

    async def _create(self, document: Document) -> None:
        registry, served = self._registry, self._served
        now = registry.clock.now()
        identity = {"uid": new_uid(registry.source), "creationTimestamp": timestamp(now)}
        whole = with_condition({**document, "metadata": {**document["metadata"], **identity}}, LOCAL, now)
        with contextlib.suppress(KeyExists):  # another server was faster
            await registry.store.create(served.key("", document["metadata"]["name"]), encode(whole, served.stored))

    async def _mend(self, name: str, spec: Document) -> None:
        async def decide(document: Document) -> Document:
            return {**document, "spec": spec}

        await self._change_own(name, decide)

    async def _delete(self, name: str) -> None:
        served, now = self._served, self._registry.clock.now()

        async def decide(document: Document) -> Document | Removal:
            planned = deleting.plan(document, options=Options(), strategy=served.strategy, now=now)
            return Removal(planned.object) if planned.remove else planned.object

        await self._change_own(name, decide)

    async def _change_own(self, name: str, decide: Callable[[Document], Awaitable[Document | Removal]]) -> None:
        """Change an APIService, unless it has become somebody else's: we are told of that, and decide anew."""
        managed = self._present()[name].managed

        async def if_own(document: Document, revision: int) -> Document | Removal:
            return await decide(document) if services.read(document).managed == managed else document

        await self._change(name, if_own)
