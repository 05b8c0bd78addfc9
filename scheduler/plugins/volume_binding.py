"""Storage decides where a pod can run: where its volumes can be used, are free, or can be made.

What is chosen is promised when the pod is placed and written before it is bound; `storage/` has the parts.

Source: Kubernetes documentation, "Persistent Volumes", "Storage Classes" (binding mode), "Storage Capacity".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp
import numpy as np
import numpy.typing as npt

from k8slite.errors import ApiError
from k8slite.kinds.base import Object

from .. import metrics
from ..change import Change, Event
from ..columns import Columns
from ..framework import Args, Handle, Scores
from ..labels import Mask
from ..shape import Shape
from ..storage.claims import PodClaims, claims_of, wanted
from ..storage.matching import Matching, match
from ..storage.objects import Claim, CsiCapacity, CsiDriver, CsiNode, PersistentVolume, StorageClass
from ..storage.prebinding import Prebinding, Reservation
from ..storage.rows import rows_of
from ..storage.scoring import EMPTIER, FULL, Point, scores, table
from ..view import Pod

BIND_TIMEOUT = 600


class VolumeBinding:
    """Filters and scores by storage, and binds it."""

    name = "VolumeBinding"
    cures = Change.STORAGE | Change.NODE_ADDED | Change.NODE_LABELS
    weight = 1

    def __init__(self, handle: Handle, args: Args) -> None:
        """Raises ValueError for a negative timeout, and for points that are no shape."""
        self._rows = rows_of(handle)
        self._storage = self._rows.storage
        self._table = table(shape_of_score(args.get("shape")))
        self._prebinding = Prebinding(
            handle.client, clock=handle.clock, rows=self._rows, columns=handle.columns, timeout=timeout_of(args)
        )
        self._reserved: dict[str, Reservation] = {}
        self._known: tuple[object, ...] = ()
        self._matching: Matching | str = ""

    def pre_filter(self, pod: Pod, columns: Columns) -> str:
        """Claims that lack, are lost or not bound as they should be keep the pod from all nodes."""
        if not pod.spec.volumes:
            return ""
        claims = claims_of(pod, self._storage)
        return claims if isinstance(claims, str) else ""

    def concerns_pod(self, pod: Pod) -> bool:
        """Whether it has claims."""
        return bool(pod.spec.volumes) and any(True for _ in wanted(pod))

    def filter_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Nodes that can use all bound volumes, and where there are or can be made volumes for the other claims."""
        found = self._match(pod, columns)
        return np.zeros(rows.size, dtype=np.bool_) if isinstance(found, str) else found.passes()[rows]

    def explain_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """All that lacks, so that a node may count more than once."""
        found = self._match(pod, columns)
        return Counter({found: rows.size}) if isinstance(found, str) else found.explain(rows)

    def unresolvable(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """All: what other pods use is not given up by their leaving."""
        return np.ones(rows.size, dtype=np.bool_)

    def concerned(self, pod: Pod, shape: Shape) -> bool:
        """Whether it has claims that are not bound yet: what bound ones take is taken on every node."""
        if not pod.spec.volumes:
            return False
        claims = (self._storage.claims.get(want.key) for want in wanted(pod))
        return any(claim is not None and not claim.bound for claim in claims)

    def compare(self, pod: Pod, shape: Shape, columns: Columns, feasible: Mask) -> Scores:
        """Higher where less of the storage is used up, unless configured otherwise."""
        found = self._match(pod, columns)
        return np.zeros(columns.capacity) if isinstance(found, str) else scores(found, self._table)

    def reserve(self, pod: Pod, node: str) -> str:
        """Promise the pod what it gets on the node."""
        if not pod.spec.volumes:
            return ""
        columns = self._rows.columns
        found, row = self._match(pod, columns), columns.rows[node]
        reasons = [found] if isinstance(found, str) else list(found.explain(np.array([row])))
        if isinstance(found, str) or reasons:
            metrics.VOLUME_ERRORS.add("assume")
            return ", ".join(reasons)
        reservation = Reservation(node, found.volumes_at(row), found.provisions_at(row))
        if reservation.keys:
            self._reserved[pod.uid] = reservation
            for claim, volume in reservation.volumes:
                self._storage.promise_volume(volume, claim, pod=pod.uid)
            for claim in reservation.claims:
                self._storage.promise_node(node, claim, pod=pod.uid)
        return ""

    def unreserve(self, pod: Pod, node: str) -> None:
        """Let others have what was promised."""
        reservation = self._reserved.pop(pod.uid, None)
        if reservation is not None:
            volumes = [volume.name for _, volume in reservation.volumes]
            self._storage.release(pod.uid, volumes=volumes, claims=[claim.key for claim in reservation.claims])

    def prepares(self, pod: Pod, node: str) -> bool:
        """Whether anything was promised."""
        return bool(self._reserved) and pod.uid in self._reserved

    async def pre_bind(self, pod: Pod, node: str) -> str:
        """Write what was promised, and wait until the controller of volumes has completed it; then it is no promise."""
        try:
            reason = await self._prebinding.carry_out(self._reserved[pod.uid], pod)
        except (ApiError, aiohttp.ClientError, OSError):
            metrics.VOLUME_ERRORS.add("bind")
            raise
        if reason:
            metrics.VOLUME_ERRORS.add("bind")
        else:
            self.unreserve(pod, node)
        return reason

    def helps(self, pod: Pod, shape: Shape, event: Event, columns: Columns) -> bool:
        """Whether it is about the pod's claims, or volumes, classes and capacities that they could come by."""
        if event.change & (Change.NODE_ADDED | Change.NODE_LABELS):
            return True
        keys = {want.key for want in wanted(pod)}
        claims = [claim for key in keys if (claim := self._storage.claims.get(key)) is not None]
        found = event.new if event.new is not None else event.old
        if isinstance(found, Claim):
            return found.key in keys
        return any(self._bears_on(claim, event.old, found) for claim in claims)

    def _bears_on(self, claim: Claim, old: Object | None, found: Object | None) -> bool:
        match found:
            case PersistentVolume():
                return claim.spec.volume_name == found.name or claim.storage_class == found.storage_class
            case StorageClass():
                changed = not isinstance(old, StorageClass) or old.where != found.where
                return changed and claim.storage_class == found.name
            case CsiCapacity():
                before = old.limit if isinstance(old, CsiCapacity) else None
                more = found.limit is not None and (before is None or found.limit > before)
                return more and claim.storage_class == found.storage_class_name
            case CsiDriver():
                storage_class = self._storage.class_of(claim)
                return storage_class is not None and storage_class.provisioner == found.name
            case CsiNode():
                return not isinstance(old, CsiNode) or old is found or old.migrated != found.migrated
            case _:
                return False

    def _match(self, pod: Pod, columns: Columns) -> Matching | str:
        """What storage says of the pod; kept until something changes, as it is asked for several times in a row."""
        key = (pod.uid, self._storage.version, columns, columns.static.position)
        if self._known != key:
            claims = claims_of(pod, self._storage)
            self._matching = claims if isinstance(claims, str) else self._find(claims, columns)
            self._known = key
        return self._matching

    def _find(self, claims: PodClaims, columns: Columns) -> Matching:
        return match(claims, rows=self._rows, columns=columns)


def timeout_of(args: Args) -> int:
    """`bindTimeoutSeconds`. Raises ValueError if it is negative."""
    found = args.get("bindTimeoutSeconds")
    if found is None:
        return BIND_TIMEOUT
    if not isinstance(found, int) or found < 0:
        raise ValueError(
            f"bindTimeoutSeconds: Invalid value: {found}: invalid BindTimeoutSeconds, should not be a negative value"
        )
    return found


def shape_of_score(points: list[Mapping[str, Any]] | None) -> tuple[Point, ...]:
    """`shape`: utilizations, rising, with their scores. Raises ValueError with all that is wrong."""
    if points is None:
        return EMPTIER
    found = tuple(Point(point.get("utilization", 0), point.get("score", 0)) for point in points)
    if problems := list(_problems(found)):
        raise ValueError(*problems)
    return found


def _problems(points: tuple[Point, ...]) -> Iterator[str]:
    if not points:
        yield "shape: Required value: at least one point must be specified"
    for index, point in enumerate(points):
        for field, value, most in (("utilization", point.utilization, FULL), ("score", point.score, 10)):
            if not isinstance(value, int) or not 0 <= value <= most:
                yield f"shape[{index}].{field}: Invalid value: {value}: not in valid range [0-{most}]"
        if index and point.utilization <= points[index - 1].utilization:
            value, rising = point.utilization, "utilization values must be sorted in increasing order"
            yield f"shape[{index}].utilization: Invalid value: {value}: {rising}"
