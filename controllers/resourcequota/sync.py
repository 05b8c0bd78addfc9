"""Keeps what quotas say of their limits and of what is used.

A quota is counted again when it changes, when something that it counts is made, changed or deleted, and every five
minutes. Without quotas nothing is watched but quotas themselves and what other controllers watch anyway.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any
from weakref import WeakSet

from k8slite.client import Patch
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.base import Object, ResourceType
from k8slite.kinds.core import PartialObject
from k8slite.usage.measures import Place, Quota, measure_of, places, read_quota

from ..context import Context, Runnable
from ..pods import PODS, Pod
from .counting import Counted, Counter, own
from .plan import STILL, due, gives_back, rises, status

REST = 0.2
"""Seconds between two counts of one quota: objects come and go in bursts."""
SETTLE = 2.0
"""Seconds after a rise until it is verified: what was charged may not have been stored."""
RESYNC = 300.0
FRESH = 10.0
"""Seconds that a count is good for: who was stopped for longer may no longer be the leader, and another one counts."""
_ATTEMPTS = 5
PODS_PLACE = ("", "pods")


class ResourceQuota(Object):
    """`v1.ResourceQuota`."""

    spec: dict[str, Any] = {}
    status: dict[str, Any] = {}

    @property
    def read(self) -> Quota:
        """Its limits and amounts."""
        return read_quota({"metadata": {"name": self.name}, "spec": self.spec, "status": self.status})


QUOTAS = ResourceType("", "v1", "resourcequotas", "ResourceQuota", True, ResourceQuota)
DEFINITIONS = ResourceType(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False, PartialObject
)


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [QuotaSync(context).controller]


class QuotaSync:
    """Syncs quotas."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._counter = Counter(context.client)
        self._quotas = context.informers.of(QUOTAS)
        self._charged: dict[str, dict[Place, float]] = defaultdict(dict)
        """By namespace: when something of each kind was last seen to be charged."""
        self._released: set[str] = set()
        """The quotas that something was given back to since they were counted."""
        self._named: dict[str, dict[str, frozenset[Place]]] = defaultdict(dict)
        """By namespace: what each of its quotas counts."""
        self._heard: WeakSet[Any] = WeakSet()
        """The informers whose objects are listened to."""
        self.controller = Controller("resourcequota_primary", self.sync, clock=context.clock, workers=2, rest=REST)
        self._quotas.add_handler(self._quota_changed)
        context.informers.of(DEFINITIONS).add_handler(self._definition_changed)
        pods = context.informers.of(PODS)
        pods.add_handler(self._pod_changed)
        self._heard.add(pods)

    def _quota_changed(self, old: ResourceQuota | None, new: ResourceQuota | None) -> None:
        if new is None:
            if old is not None:
                self._released.discard(old.key)
                self._named[old.namespace].pop(old.key, None)
                if not self._named[old.namespace]:
                    del self._named[old.namespace]
                    self._charged.pop(old.namespace, None)
            return
        now, quota = self._context.clock.monotonic(), new.read
        before = old.read if old is not None else None
        if risen := rises(before, quota):
            self._charged[new.namespace].update(dict.fromkeys(places(risen), now))
            self.controller.queue.add_after(new.key, SETTLE)
        if before is None or before.wanted != quota.wanted or before.scopes != quota.scopes:
            self._named[new.namespace][new.key] = frozenset(places(quota.wanted))
            self.controller.queue.add(new.key)

    def _definition_changed(self, old: PartialObject | None, new: PartialObject | None) -> None:
        """A resource that a quota names may be served from now on, or no longer."""
        self._counter.forget()
        for namespace in self._named.values():
            for key, named in namespace.items():
                if any(own(place) is None for place in named):
                    self.controller.queue.add_after(key, SETTLE / 2)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        ended = new is not None and old is not None and new.finished and not old.finished
        self._changed(PODS_PLACE, old, None if ended else new)

    def _changed(self, place: Place, old: Object | None, new: Object | None) -> None:
        """Something of a kind that some quotas count was made, changed, or (`new` is None) is used no more."""
        item = new or old
        if item is None or (new is not None and old is not None and measure_of(*place).plain):
            return  # a lease that is renewed is still one
        for key, named in self._named.get(item.namespace, {}).items():
            if place in named:
                if new is None:
                    self._released.add(key)
                    self.controller.queue.add(key)
                else:
                    self.controller.queue.add_after(key, SETTLE)

    async def sync(self, key: str) -> Result:
        """One quota."""
        found = self._quotas.get(key)
        if found is None or found.deleting:
            return DONE
        begun = found.read
        clock = self._context.clock
        charged = self._charged.get(found.namespace, {})
        risen = {
            name: charged[place] for place, names in places(begun.wanted).items() if place in charged for name in names
        }
        count = due(begun, risen, now=clock.monotonic())
        await self._listen(begun)
        if not count.names:
            return Result(count.later)
        since = clock.monotonic()
        complete = await self._write(found, begun, await self._count(found, begun, count.names), since=since)
        if not complete:
            return Result(STILL)
        return Result(count.later if count.later is not None else RESYNC)

    async def _count(self, found: ResourceQuota, begun: Quota, names: Collection[str]) -> Counted:
        """Count; what gives something back is announced and counted after that."""
        announced = found.key in self._released
        self._released.discard(found.key)
        while True:
            if announced:
                await self._announce(found, names)
            counted = await self._counter.count(found.namespace, begun, names, now=self._context.clock.now())
            if announced or not gives_back(counted.used, begun):
                return counted
            announced = True

    async def _announce(self, found: ResourceQuota, names: Collection[str]) -> None:
        path = QUOTAS.path(namespace=found.namespace, name=found.name, subresource="status")
        query = {"countBegins": ",".join(sorted(names))}
        body = {"metadata": {"uid": found.uid}}
        await self._context.client.request("PATCH", path, query=query, body=body, content_type=Patch.MERGE.value)

    async def _write(self, found: ResourceQuota, begun: Quota, counted: Counted, *, since: float) -> bool:
        """Write what was counted over the figures that stood there; whether all of it could be written."""
        client, current = self._context.client, found
        for _ in range(_ATTEMPTS):
            if self._context.clock.monotonic() - since > FRESH:
                return False
            decided = status(current.read, counted.used, begun=begun, uncountable=counted.uncountable)
            if decided.patch is None:
                return decided.complete
            metadata = {"uid": found.uid, "resourceVersion": current.metadata.resource_version}
            body = {"metadata": metadata, "status": decided.patch}
            try:
                await client.patch(QUOTAS, found.name, body, namespace=found.namespace, subresource="status")
            except ApiError as error:
                if error.code != 409:
                    raise
                current = await client.get(QUOTAS, found.name, namespace=found.namespace)
                if current.uid != found.uid:
                    return True
            else:
                return decided.complete
        return False

    async def _listen(self, quota: Quota) -> None:
        """Hear of the objects that the quota counts.

        Custom resources come and go with their definitions: only if the garbage collector watches them is their watch
        shared. Without it they are counted every five minutes.
        """
        for place in places(quota.wanted):
            resource = own(place)
            if resource is None:
                resource = await self._counter.resource(place)
                if resource is None or not self._context.informers.known(resource):
                    continue
            informer: Any = self._context.informers.of(resource)
            if informer not in self._heard:
                self._heard.add(informer)
                informer.add_handler(partial(self._changed, place))
