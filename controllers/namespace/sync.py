"""Empties a namespace that is being deleted, then lets it go.

Pods go first, so that nothing still running loses its policies or secrets. What is left is waited for with growing
patience; the end of the last pod, which others take longest over, brings the next round at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import aiohttp

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Namespace
from k8slite.kinds.resources import NAMESPACES

from ..context import Context, Runnable
from ..discovery import Discovery, Served, discover
from ..pods import PODS, Pod
from .plan import FINALIZER, Findings, status_conditions

FIRST_ROUND, LAST_ROUND = 0.5, 15.0
"""Seconds between rounds: doubling from the first to the last."""


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [NamespaceSync(context).controller]


class NamespaceSync:
    """Syncs namespaces."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._rounds: dict[str, int] = {}
        self._namespaces = context.informers.of(NAMESPACES)
        self._pods = context.informers.of(PODS)
        self.controller = Controller("namespace", self.sync, clock=context.clock, workers=context.config.workers)
        self._namespaces.add_handler(self._namespace_changed)
        self._pods.add_handler(self._pod_changed)

    def _namespace_changed(self, old: Namespace | None, new: Namespace | None) -> None:
        if new is not None and new.deleting and (old is None or not old.deleting):
            self.controller.queue.add(new.key)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        gone = old.namespace if new is None and old is not None else ""
        if gone in self._rounds and not self._pods.list(gone):
            self.controller.queue.add(gone)

    async def sync(self, key: str) -> Result:
        """One namespace."""
        namespace = self._namespaces.get(key)
        if namespace is None or not namespace.deleting or FINALIZER not in namespace.spec.finalizers:
            self._rounds.pop(key, None)
            return DONE
        self._rounds.setdefault(key, 0)
        found = await self._empty(key, await discover(self._context.client))
        listed = status_conditions(namespace, found, now=self._context.clock.now())
        if listed != namespace.status.conditions:
            body = {
                "metadata": {"uid": namespace.uid, "resourceVersion": namespace.metadata.resource_version},
                "status": {"phase": "Terminating", "conditions": [item.to_wire() for item in listed]},
            }
            namespace = await self._context.client.patch(NAMESPACES, key, body, subresource="status")
        if found.empty:
            await self._finalize(namespace)
            self._rounds.pop(key, None)
            return DONE
        self._rounds[key] += 1
        return Result(min(FIRST_ROUND * 2.0 ** (self._rounds[key] - 1), LAST_ROUND))

    async def _empty(self, name: str, discovery: Discovery) -> Findings:
        found = Findings(undiscovered=list(discovery.failed))
        served = [s for s in discovery.resources if s.resource.namespaced and {"list", "delete"} <= s.verbs]
        pods = [s for s in served if (s.resource.group, s.resource.plural) == ("", "pods")]
        await self._delete(name, pods, found)
        # Nothing else goes while pods are left, or while nobody knows whether they are.
        if pods and found.pods_gone:
            await self._delete(name, [s for s in served if s not in pods], found)
        return found

    async def _delete(self, name: str, resources: Iterable[Served], found: Findings) -> None:
        """Delete all of these resources; what is still there afterwards waits for finalizers or grace periods."""
        client = self._context.client
        for served in resources:
            try:
                together = "deletecollection" in served.verbs
                before = await self._listed(served, name, limit=1 if together else 0)
                if before == []:
                    continue
                if together:
                    await client.delete_collection(served.resource, namespace=name)
                else:
                    for item in before or ():
                        await self._delete_one(served, item.name, name)
                after = await client.list(served.resource, namespace=name)
            except ApiError as error:
                if error.code not in (404, 405):
                    found.failures.append(f"{served.qualified}: {error.message}")
                continue
            except (aiohttp.ClientError, OSError) as error:
                # Thousands of objects may take longer than a request lasts; what is done is done. If nobody answers at
                # all, the status cannot be written either, which ends the round.
                found.failures.append(f"{served.qualified}: {error}")
                continue
            if after.items:
                found.remaining[served.qualified] = after.items

    async def _listed(self, served: Served, name: str, *, limit: int) -> list[Any] | None:
        """What there is, as much as is to be seen; None if nobody can say, and it can all go nevertheless."""
        try:
            return list((await self._context.client.list(served.resource, namespace=name, limit=limit)).items)
        except ApiError as error:
            # A webhook that converts custom resources may be down, perhaps because it was in this namespace.
            if error.code != 500 or "deletecollection" not in served.verbs:
                raise
            return None

    async def _delete_one(self, served: Served, name: str, namespace: str) -> None:
        try:
            await self._context.client.delete(served.resource, name, namespace=namespace, propagation="Background")
        except ApiError as error:
            if error.code != 404:
                raise

    async def _finalize(self, namespace: Namespace) -> None:
        left = [name for name in namespace.spec.finalizers if name != FINALIZER]
        body = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": namespace.name,
                "uid": namespace.uid,
                "resourceVersion": namespace.metadata.resource_version,
            },
            "spec": {"finalizers": left},
        }
        try:
            await self._context.client.update(NAMESPACES, namespace.name, body, subresource="finalize")
        except ApiError as error:
            if error.code != 404:
                raise
