"""ResourceQuota: asks whether a write is one that quotas count, and has it charged.

A namespace without quotas costs a look into a dictionary.

Source: Kubernetes documentation, "Resource Quotas"; apiserver's admission/plugin/resourcequota.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from k8slite.config import ConfigError
from k8slite.usage.amounts import Amounts, add
from k8slite.usage.measures import IGNORED, measure_of, places
from k8slite.usage.pod_scopes import is_terminating
from k8slite.usage.scopes import requirement

from ...lookup import Objects
from ...registry import Registry
from ...strategies.base import Document
from ..base import Admission, Operation, Plugin, refused
from ..per_namespace import PerNamespace
from . import marks
from .charging import Charging
from .evaluate import Limited, Request

KIND = "ResourceQuotaConfiguration"
VERSIONS = frozenset(
    {
        "apiserver.config.k8s.io/v1",
        "resourcequota.admission.k8s.io/v1beta1",
        "resourcequota.admission.k8s.io/v1alpha1",
    }
)


class ResourceQuota(Plugin):
    """Refuses what does not fit; charges what does, and binds it to that charge."""

    operations = frozenset[Operation]({"CREATE", "UPDATE", "DELETE"})

    def __init__(
        self, objects: Objects, *, registry: Callable[[], Registry], configuration: Document | None = None
    ) -> None:
        self._quotas = objects.resource("", "resourcequotas")
        self._number = PerNamespace(self._quotas, len)
        self._registry = registry
        self._charging = Charging(registry)
        self._limited = _read((configuration or {}).get("limitedResources") or ())

    async def validate(self, admission: Admission) -> None:
        """Raise ApiError 403 for what exceeds a quota."""
        namespace, resource = admission.namespace, admission.resource
        if not namespace or not resource.namespaced or not (self._limited or self._number.get(namespace)):
            return
        place = (resource.group, resource.plural)
        if place == _QUOTAS:
            await self._mark(admission)
        if admission.object is None or place in IGNORED or not _counted(admission):
            return
        measure = measure_of(*place)
        limited = tuple(one for key, one in self._limited if key == place)
        charged: dict[str, Amounts] = admission.context.memory.setdefault("ResourceQuota", {})
        request = Request(
            measure,
            admission.object,
            admission.old,
            admission.context.now,
            judged=admission.subresource != "status",
            limited=limited,
            covered_scopes=tuple(scope for _, one in self._limited for scope in one.scopes),
            charged=charged,
        )
        refuse, dry_run = partial(refused, admission), admission.context.dry_run
        answer = await self._charging.charge(namespace, request, refuse=refuse, dry_run=dry_run)
        for name, more in answer.charged.items():
            add(charged.setdefault(name, {}), more)
        bound = marks.bound(namespace, place, charged=answer.revision)
        if answer.revision and all(one.key != bound.key for one in admission.context.unless):
            admission.context.unless.append(bound)

    async def _mark(self, admission: Admission) -> None:
        """Begin a count if that is what the write of a quota is for; the last quota of a namespace takes the marks."""
        if admission.context.dry_run:
            return
        store, namespace = self._registry().store, admission.namespace
        if admission.operation == "DELETE":
            if len(self._quotas.select(namespace=namespace)) == 1:
                await marks.forget(store, namespace)
        elif admission.subresource == "status" and (names := admission.options.query.get(marks.PARAMETER)):
            hard = ((admission.object or {}).get("spec") or {}).get("hard") or {}
            await marks.begin(store, namespace, places(hard.keys() & names[0].split(",")))


_QUOTAS = ("", "resourcequotas")


def _counted(admission: Admission) -> bool:
    """Whether the write can make an object count for more."""
    if admission.operation == "CREATE":
        return not admission.subresource
    subresources = _UPDATES.get((admission.resource.group, admission.resource.plural), {})
    rule = subresources.get(admission.subresource)
    return rule is not None and rule(admission.object or {}, admission.old or {})


def _always(new: Document, old: Document) -> bool:
    return True


def _scope_changes(new: Document, old: Document) -> bool:
    return is_terminating(new) != is_terminating(old)


def _claim_status_changes(new: Document, old: Document) -> bool:
    mine, before = new.get("status") or {}, old.get("status") or {}
    fields = ("allocatedResources", "currentVolumeAttributesClassName", "modifyVolumeStatus")
    return any(mine.get(field) != before.get(field) for field in fields)


_UPDATES: dict[tuple[str, str], dict[str, Callable[[Document, Document], bool]]] = {
    ("", "pods"): {"": _scope_changes, "resize": _always},
    ("", "services"): {"": _always},
    ("", "persistentvolumeclaims"): {"": _always, "status": _claim_status_changes},
}
"""Which updates, by subresource: of other kinds only their number counts."""


def _read(items: Any) -> tuple[tuple[tuple[str, str], Limited], ...]:
    if not isinstance(items, list | tuple) or not all(
        isinstance(item, dict) and item.get("resource") for item in items
    ):
        raise ConfigError("admission plugin ResourceQuota: limitedResources: must be a list of entries with a resource")
    return tuple(
        (
            (item.get("apiGroup") or "", item["resource"]),
            Limited(
                tuple(item.get("matchContains") or ()), tuple(requirement(one) for one in item.get("matchScopes") or ())
            ),
        )
        for item in items
    )
