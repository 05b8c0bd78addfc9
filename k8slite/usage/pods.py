"""What a pod asks for as a whole: its containers together, those that run first, what is said of the pod, overhead.

Source: Kubernetes' component-helpers/resource/helpers.go (PodRequests, PodLimits).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from .amounts import Amounts, add, amounts, raise_to

Document = Mapping[str, Any]
Member = Literal["requests", "limits"]

OF_POD = ("cpu", "memory")


def of_pod(pod: Document, member: Member, *, actual: bool = False, overhead: bool = False) -> Amounts:
    """The requests or limits of a pod.

    `actual` counts the larger of what is wanted and what the node gives now, while a resize goes on; `overhead` adds
    what the runtime class costs.
    """
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    current = _statuses(status) if actual else {}
    infeasible = actual and _infeasible(status)
    total: Amounts = {}
    for container in spec.get("containers") or ():
        add(total, _of_container(container, member, current, infeasible))
    sidecars: Amounts = {}
    first: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _of_container(container, member, current, infeasible)
        if container.get("restartPolicy") == "Always":
            add(total, own)
            add(sidecars, own)
            raise_to(first, sidecars)
        else:
            add(own, sidecars)
            raise_to(first, own)
    raise_to(total, first)
    for name, value in amounts((spec.get("resources") or {}).get(member)).items():
        if name in OF_POD or name.startswith("hugepages-"):
            total[name] = value
    if overhead:
        extra = amounts(spec.get("overhead"))
        if member == "limits":  # what has no limit gets none from the overhead
            extra = {name: value for name, value in extra.items() if name in total and total[name].value}
        add(total, extra)
    return total


def _of_container(container: Document, member: Member, current: Mapping[str, Document], infeasible: bool) -> Amounts:
    wanted = amounts((container.get("resources") or {}).get(member))
    status = current.get(container.get("name") or "")
    if status is None or status.get("resources") is None:
        return wanted
    given = amounts(status["resources"].get(member))
    if member == "requests":
        raise_to(given, amounts(status.get("allocatedResources")))
    if infeasible:
        return given
    raise_to(wanted, given)
    return wanted


def _statuses(status: Document) -> dict[str, Document]:
    every = (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ()))
    return {one.get("name") or "": one for one in every}


def _infeasible(status: Document) -> bool:
    return any(
        one.get("type") == "PodResizePending" and one.get("reason") == "Infeasible"
        for one in status.get("conditions") or ()
    )
