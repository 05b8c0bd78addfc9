"""Deletes objects whose owners are all gone, over every resource that the API serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from k8slite.controller import DONE, Controller, Result, TryAgain
from k8slite.errors import ApiError
from k8slite.kinds.base import Object, OwnerReference

from ..children import all_of
from ..context import Context, Runnable
from ..discovery import Served, discover
from . import plan as decide
from .graph import Graph, Member, member_key
from .plan import OwnerState

log = logging.getLogger(__name__)

IGNORED = frozenset({("", "events"), ("events.k8s.io", "events")})
"""Too many, owned by nobody, and they expire by themselves."""
DEFINING = frozenset({("apiextensions.k8s.io", "customresourcedefinitions"), ("apiregistration.k8s.io", "apiservices")})
"""Resources whose objects make other resources."""
DISCOVER = "discover"
SETTLE = 1.0
"""Seconds after a change of the definitions until the API is asked what it serves now."""
RETRY = 30.0
PATIENCE, LEAST_PATIENCE = 30.0, 1.0
"""Seconds that new resources have together until all are listed, and each of those that come last."""
COMPONENT = "garbage-collector-controller"


def build(context: Context) -> Sequence[Runnable]:
    """The collector."""
    return [Collector(context)]


Coordinates = tuple[str, str, str, str, str]
"""Namespace, API version, kind, name and UID. Not the UID alone: who may write in one namespace only must not be able
to make an owner in another one pass for absent."""


class Collector:
    """Watches everything, one resource after the other, then collects."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._graph = Graph()
        self._absent: dict[Coordinates, bool] = {}
        """Owners that are not there, and whether an object of that UID is in another namespace."""
        clock, workers = context.clock, context.config.workers
        self.deleting = Controller("garbage_collector_attempt_to_delete", self.sync, clock=clock, workers=workers)
        self.orphaning = Controller("garbage_collector_attempt_to_orphan", self.sync, clock=clock, workers=workers)
        self.discovering = Controller("garbage_collector_resources", self._discover, clock=clock, workers=1)
        self._ready = asyncio.Event()

    async def run(self) -> None:
        """Fill the graph, then collect until cancelled."""
        async with asyncio.TaskGroup() as group:
            self.discovering.queue.add(DISCOVER)
            group.create_task(self.discovering.run())
            await self._ready.wait()
            group.create_task(self.deleting.run())
            group.create_task(self.orphaning.run())

    async def _discover(self, _: str) -> Result:
        found = await discover(self._context.client)
        wanted = {member_key(served): served for served in found.resources if _collectable(served)}
        for key, member in list(self._graph.members.items()):
            now = wanted.get(key)
            if member.served.resource.api_version in found.failed:
                continue
            if now is None or now.resource != member.served.resource:
                self._graph.remove(member.served)
                if not member.shared:
                    self._context.informers.drop(member.served.resource)
        until = self._context.clock.monotonic() + PATIENCE
        for key, served in wanted.items():
            if key not in self._graph.members:
                await self._watch(served, patience=max(until - self._context.clock.monotonic(), LEAST_PATIENCE))
        self._ready.set()
        return Result(RETRY) if found.failed else DONE

    async def _watch(self, served: Served, *, patience: float) -> None:
        shared = self._context.informers.known(served.resource)
        informer: Any = self._context.informers.of(served.resource)
        member = Member(served, informer, shared)
        self._graph.add(member)
        informer.add_handler(lambda old, new: self._changed(member, old, new))
        if member_key(served) in DEFINING:
            informer.add_handler(lambda old, new: self.discovering.queue.add_after(DISCOVER, SETTLE))
        try:
            async with asyncio.timeout(patience):
                await informer.wait_synced()
        except TimeoutError:
            log.warning("%s cannot be listed; its objects are not collected yet", served.qualified)
        if self._ready.is_set():
            for other, dependent in self._graph.naming(member):  # judged when nobody knew the kind of their owners
                self._enqueue(other, dependent)

    def _changed(self, member: Member, old: Object | None, new: Object | None) -> None:
        if self._graph.members.get(member_key(member.served)) is not member:
            return  # the resource is watched in another version now, or was left out
        if new is None:
            if old is not None:
                self._gone(member, old)
            return
        references = new.metadata.owner_references
        links_changed = old is None or old.metadata.owner_references != references
        before = self._graph.link(member.served, new.key, references) if links_changed else ()
        held = decide.FOREGROUND in new.metadata.finalizers or decide.ORPHAN in new.metadata.finalizers
        if (links_changed and references) or (new.deleting and held):
            self._enqueue(member, new)
        if links_changed:
            self._wake_owners(new, before)

    def _gone(self, member: Member, item: Object) -> None:
        before = self._graph.link(member.served, item.key, ())
        self._graph.end(member.served, item)
        for other, dependent in self._graph.dependents(item.uid):
            self._enqueue(other, dependent)
        self._wake_owners(item, before)

    def _wake_owners(self, item: Object, references: Sequence[OwnerReference]) -> None:
        """Owners that wait for this dependent look again."""
        for reference in references:
            member, owner = self._cached(item, reference)
            if member is not None and owner is not None and owner.deleting:
                self._enqueue(member, owner)

    def _enqueue(self, member: Member, item: Object) -> None:
        group, plural = member_key(member.served)
        orphans = item.deleting and decide.ORPHAN in item.metadata.finalizers
        (self.orphaning if orphans else self.deleting).queue.add(f"{group}|{plural}|{item.key}")

    async def sync(self, key: str) -> Result:
        """One object."""
        group, plural, object_key = key.split("|")
        member = self._graph.members.get((group, plural))
        item = member.informer.get(object_key) if member is not None else None
        if member is None or item is None:
            return DONE
        owners = (
            [] if item.deleting else [(ref, await self._state(item, ref)) for ref in item.metadata.owner_references]
        )
        dependents = self._graph.owned(member, item)
        decision = decide.plan(item, owners, dependents=[dependent for _, dependent in dependents])
        lets_live = isinstance(decision, decide.OrphanDependents) or decision == decide.Release(decide.ORPHAN)
        if lets_live and not self._graph.complete:
            raise TryAgain(f"{item.key}: not all of its dependents are known, and those left out would be deleted")
        try:
            await self._carry_out(member, item, decision, dependents)
        except ApiError as error:
            if error.code != 404:
                raise
        return DONE

    async def _carry_out(
        self, member: Member, item: Any, decision: decide.Decision, dependents: Sequence[tuple[Member, Object]]
    ) -> None:
        match decision:
            case decide.Delete(propagation, unblock):
                if unblock:
                    item = await self._unblock(member, item)
                if member.served.resource.plural != "pods":
                    log.info("delete %s %s: its owners are gone", member.served.qualified.rstrip("."), item.key)
                await self._context.client.delete(
                    member.served.resource,
                    item.name,
                    namespace=item.namespace,
                    uid=item.uid,
                    resource_version=item.metadata.resource_version,
                    propagation=propagation,
                )
            case decide.Unlink(owners):
                await self._unlink(member, item, owners)
            case decide.OrphanDependents():
                await all_of(self._unlink(other, dependent, frozenset({item.uid})) for other, dependent in dependents)
                await self._release(member, item, decide.ORPHAN)
            case decide.Release(finalizer):
                await self._release(member, item, finalizer)
            case decide.CollectDependents():
                for other, dependent in dependents:
                    if not dependent.deleting:
                        self._enqueue(other, dependent)
            case decide.Keep():
                pass

    async def _unlink(self, member: Member, item: Object, owners: frozenset[str]) -> None:
        references = [r.to_wire() for r in item.metadata.owner_references if r.uid not in owners]
        await self._patch(member, item, {"ownerReferences": references or None})

    async def _unblock(self, member: Member, item: Object) -> Object:
        references = [r.to_wire() | {"blockOwnerDeletion": False} for r in item.metadata.owner_references]
        body = {"metadata": _same(item) | {"ownerReferences": references}}
        return await self._context.client.patch(member.served.resource, item.name, body, namespace=item.namespace)

    async def _release(self, member: Member, item: Object, finalizer: str) -> None:
        left = [name for name in item.metadata.finalizers if name != finalizer]
        await self._patch(member, item, {"finalizers": left or None})

    async def _patch(self, member: Member, item: Object, metadata: dict[str, Any]) -> None:
        body = {"metadata": _same(item) | metadata}
        try:
            await self._context.client.patch(member.served.resource, item.name, body, namespace=item.namespace)
        except ApiError as error:
            if error.code != 404:
                raise

    async def _state(self, item: Object, reference: OwnerReference) -> OwnerState:
        if self._graph.ended(item, reference):
            return OwnerState.ABSENT
        member = self._graph.kind(reference)
        if member is None:
            return OwnerState.SOLID
        if member.served.resource.namespaced and not item.namespace:
            self._say_misplaced(item, reference)
            return OwnerState.SOLID
        _, owner = self._cached(item, reference)
        if owner is None:
            coordinates = (item.namespace, reference.api_version, reference.kind, reference.name, reference.uid)
            if coordinates not in self._absent:
                owner = await self._live(item, reference, member)
                if owner is None:
                    self._remember_absent(coordinates, member)
            if owner is None:
                if self._absent.get(coordinates):
                    self._say_misplaced(item, reference)
                return OwnerState.ABSENT
        return OwnerState.WAITING if decide.waits(owner) else OwnerState.SOLID

    def _say_misplaced(self, item: Object, reference: OwnerReference) -> None:
        """Its owner would have to be in its own namespace, or in none."""
        self._context.say(
            COMPONENT,
            item,
            "OwnerRefInvalidNamespace",
            f"ownerRef [{reference.api_version}/{reference.kind}, namespace: {item.namespace}, name: {reference.name}, "
            f'uid: {reference.uid}] does not exist in namespace "{item.namespace}"',
            type="Warning",
        )

    def _cached(self, item: Object, reference: OwnerReference) -> tuple[Member | None, Object | None]:
        """The owner in the cache, if it is the very object: an owner in another namespace is none."""
        member = self._graph.kind(reference)
        if member is None:
            return None, None
        namespaced = member.served.resource.namespaced
        key = f"{item.namespace}/{reference.name}" if namespaced else reference.name
        owner: Object | None = member.informer.get(key)
        return member, owner if owner is not None and owner.uid == reference.uid else None

    async def _live(self, item: Object, reference: OwnerReference, member: Member) -> Object | None:
        """Ask the API: the cache may be behind, and deleting is for ever."""
        namespace = item.namespace if member.served.resource.namespaced else ""
        try:
            owner = await self._context.client.get(member.served.resource, reference.name, namespace=namespace)
        except ApiError as error:
            named = (error.details or {}).get("name") == reference.name
            if error.code != 404 or not named:  # a resource that is not served just now tells nothing about its objects
                raise
            return None
        return owner if owner.uid == reference.uid else None

    def _remember_absent(self, owner: Coordinates, member: Member) -> None:
        """A UID that is gone never comes back."""
        if len(self._absent) >= 500:
            self._absent.clear()
        uid = owner[-1]
        self._absent[owner] = any(one.uid == uid for one in member.informer.list())


def _same(item: Object) -> dict[str, str]:
    """What makes a patch fail if the object has changed meanwhile."""
    return {"uid": item.uid, "resourceVersion": item.metadata.resource_version}


def _collectable(served: Served) -> bool:
    return {"list", "watch", "delete", "get"} <= served.verbs and member_key(served) not in IGNORED
