"""How many pods the owners of pods want: from the caches where these have them, else by the scale subresource.

Source: Kubernetes' pkg/controller/disruption (getExpectedScale and its finders).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from k8slite.errors import ApiError
from k8slite.kinds.base import OwnerReference
from k8slite.kinds.resources import DEPLOYMENTS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS

from ..context import Context
from ..pods import Pod

_KINDS = 1000


class NoScaleError(Exception):
    """What a pod's owner wants cannot be known; the text says why."""


class NeverScaledError(NoScaleError):
    """The kind has no scale: it is no use to ask again."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What the owners want together, and the pods that have none."""

    replicas: int
    unmanaged: tuple[Pod, ...]


class Scales:
    """Finds out. Remembers where owners of kinds that are not our own are reached."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._deployments = context.informers.of(DEPLOYMENTS)
        self._known = {
            ("apps", "ReplicaSet"): context.informers.of(REPLICA_SETS),
            ("apps", "StatefulSet"): context.informers.of(STATEFUL_SETS),
            ("", "ReplicationController"): context.informers.of(REPLICATION_CONTROLLERS),
        }
        self._paths: dict[tuple[str, str], str] = {}

    def tell(self, changed: Callable[[str], None]) -> None:
        """Call with the namespace whenever one of our own kinds wants another number of pods."""

        def compare(old: Any, new: Any) -> None:
            item = new or old
            above = item.metadata.controller
            if above is not None and above.kind == DEPLOYMENTS.kind:
                return  # it follows its Deployment, which is what counts
            if old is None or new is None or old.spec.replicas != new.spec.replicas:
                changed(item.namespace)

        informers: list[Any] = [self._deployments, *self._known.values()]
        for informer in informers:
            informer.add_handler(compare)

    async def of(self, pods: Sequence[Pod]) -> Scale:
        """What the owners of pods of one namespace want. Raises NoScaleError, ApiError."""
        wanted: dict[str, int] = {}
        asked: set[str] = set()
        unmanaged = []
        for pod in pods:
            owner = pod.metadata.controller
            if owner is None:
                unmanaged.append(pod)
            elif owner.uid not in asked:
                asked.add(owner.uid)
                uid, replicas = await self._of_owner(pod, owner)
                wanted[uid] = replicas
        return Scale(sum(wanted.values()), tuple(unmanaged))

    async def _of_owner(self, pod: Pod, owner: OwnerReference) -> tuple[str, int]:
        group = owner.api_version.rpartition("/")[0]
        informer: Any = self._known.get((group, owner.kind))
        found = informer.get(f"{pod.namespace}/{owner.name}") if informer is not None else None
        if found is None or found.uid != owner.uid:  # of another kind, or the cache lags
            return owner.uid, await self._asked(pod, owner)
        above = found.metadata.controller
        if above is not None and above.kind == DEPLOYMENTS.kind:
            deployment = self._deployments.get(f"{pod.namespace}/{above.name}")
            if deployment is not None and deployment.uid == above.uid:
                return deployment.uid, deployment.spec.replicas
        return owner.uid, found.spec.replicas

    async def _asked(self, pod: Pod, owner: OwnerReference) -> int:
        path, namespace = await self._path(owner), pod.namespace
        try:
            scale = await self._context.client.request(
                "GET", path.format(namespace=namespace, name=owner.name) + "/scale"
            )
        except ApiError as error:
            if error.code != 404:
                raise
            self._paths.pop((owner.api_version, owner.kind), None)
            raise NoScaleError(f'found no controllers for pod "{pod.name}"') from error
        if scale["metadata"].get("uid") != owner.uid:
            raise NoScaleError(f'found no controllers for pod "{pod.name}"')
        return int((scale.get("spec") or {}).get("replicas") or 0)

    async def _path(self, owner: OwnerReference) -> str:
        """Where owners of a kind are, with places for namespace and name."""
        key = (owner.api_version, owner.kind)
        if key not in self._paths:
            root = f"/apis/{owner.api_version}" if "/" in owner.api_version else f"/api/{owner.api_version}"
            try:
                listed = await self._context.client.request("GET", root)
            except ApiError as error:
                if error.code != 404:
                    raise
                listed = {}
            resources = listed.get("resources") or ()
            names = {item["name"] for item in resources}
            plural = next(
                (one["name"] for one in resources if one["kind"] == owner.kind and "/" not in one["name"]), ""
            )
            if not plural:
                raise NoScaleError(f'no matches for kind "{owner.kind}" in version "{owner.api_version}"')
            if f"{plural}/scale" not in names:
                group = owner.api_version.rpartition("/")[0]
                what = f"{plural}.{group}" if group else plural
                raise NeverScaledError(f"{what} does not implement the scale subresource")
            if len(self._paths) >= _KINDS:
                self._paths.clear()
            self._paths[key] = f"{root}/namespaces/{{namespace}}/{plural}/{{name}}"
        return self._paths[key]
