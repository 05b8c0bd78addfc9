"""LimitRanger: containers, pods and claims get a namespace's defaults, and stay between its least and its most.

What an update leaves as it was is not judged again: a range that came later does not hold up what is stored.

Source: Kubernetes documentation, "Limit Ranges"; plugin/pkg/admission/limitranger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from k8slite.usage.amounts import Amount, Amounts, amounts
from k8slite.usage.pods import of_pod

from ..lookup import Objects
from ..strategies.base import Document
from .base import Admission, Plugin, refused
from .per_namespace import PerNamespace

_ANNOTATION = "kubernetes.io/limit-ranger"
_GROUPS = {"containers": "container", "initContainers": "init container"}


@dataclass(frozen=True, slots=True)
class Range:
    """One item of a LimitRange."""

    type: str
    least: Amounts
    most: Amounts
    ratio: Amounts


@dataclass(frozen=True, slots=True)
class Limits:
    """One LimitRange: what containers get that say nothing, and its items."""

    requests: dict[str, Any]
    limits: dict[str, Any]
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for by one container, one pod or one claim."""

    requests: Amounts
    limits: Amounts


def read(documents: Sequence[Document]) -> tuple[Limits, ...]:
    """The LimitRanges of a namespace."""
    found = []
    for document in documents:
        requests: dict[str, Any] = {}
        limits: dict[str, Any] = {}
        ranges = []
        for item in (document.get("spec") or {}).get("limits") or ():
            if item.get("type") == "Container":
                requests.update(item.get("defaultRequest") or {})
                limits.update(item.get("default") or {})
            ratio = amounts(item.get("maxLimitRequestRatio"))
            ranges.append(Range(item.get("type") or "", amounts(item.get("min")), amounts(item.get("max")), ratio))
        found.append(Limits(requests, limits, tuple(ranges)))
    return tuple(found)


class LimitRanger(Plugin):
    """Sets requests and limits; refuses what is too little or too much."""

    kinds = frozenset({("", "pods"), ("", "persistentvolumeclaims")})

    def __init__(self, objects: Objects) -> None:
        self._limits = PerNamespace(objects.resource("", "limitranges"), read)

    async def mutate(self, admission: Admission) -> None:
        """Give containers the defaults."""
        if admission.resource.plural != "pods" or admission.object is None or not _concerns(admission):
            return
        for limits in self._limits.get(admission.namespace):
            set_defaults(admission.object, limits)

    async def validate(self, admission: Admission) -> None:
        """Raise ApiError 403 for what is out of range."""
        if admission.object is None or not _concerns(admission):
            return
        problems = pod_problems if admission.resource.plural == "pods" else claim_problems
        for limits in self._limits.get(admission.namespace):
            if found := list(dict.fromkeys(problems(admission.object, admission.old, limits.ranges))):
                raise refused(admission, found[0] if len(found) == 1 else f"[{', '.join(found)}]")


def _concerns(admission: Admission) -> bool:
    """New pods and pods that are resized, claims that are made or changed; nothing that is being deleted."""
    if admission.old is not None and admission.old["metadata"].get("deletionTimestamp"):
        return False
    if admission.resource.plural == "pods" and admission.operation == "UPDATE":
        return admission.subresource == "resize"
    return not admission.subresource


def set_defaults(pod: Document, limits: Limits) -> None:
    """Fill in what containers leave open, and say so in an annotation."""
    said = []
    for group, word in _GROUPS.items():
        for container in pod["spec"].get(group) or ():
            for member, defaults in (("requests", limits.requests), ("limits", limits.limits)):
                present = (container.get("resources") or {}).get(member) or {}
                if missing := {name: value for name, value in defaults.items() if name not in present}:
                    container.setdefault("resources", {})[member] = {**present, **missing}
                    said.append(f"{', '.join(sorted(missing))} {member[:-1]} for {word} {container.get('name')}")
    if said:
        annotations = pod["metadata"].get("annotations") or {}
        pod["metadata"]["annotations"] = {**annotations, _ANNOTATION: "LimitRanger plugin set: " + "; ".join(said)}


def pod_problems(pod: Document, old: Document | None, ranges: Sequence[Range]) -> Iterator[str]:
    """What is wrong with a pod's containers and with the pod as a whole."""
    for one in ranges:
        if one.type == "Container":
            for group in _GROUPS:
                before = {c.get("name"): c for c in (old or {}).get("spec", {}).get(group) or ()}
                for container in pod["spec"].get(group) or ():
                    stored = before.get(container.get("name"))
                    yield from _problems(one, _of(container), _of(stored) if stored is not None else None)
        elif one.type == "Pod":
            yield from _problems(one, _whole(pod), _whole(old) if old is not None else None)


def claim_problems(claim: Document, old: Document | None, ranges: Sequence[Range]) -> Iterator[str]:
    """What is wrong with the storage that a claim asks for."""
    for one in ranges:
        if one.type == "PersistentVolumeClaim":
            before = amounts(_of_spec(old).get("requests")) if old is not None else None
            requests = amounts(_of_spec(claim).get("requests"))
            for name in (*one.least, *one.most):
                if before is not None and _same(name, requests, before):
                    continue
                if name in one.least:
                    yield from _least(one, name, Asked(requests, {}))
                if name in one.most:
                    yield from _most_requested(one, name, requests)


def _problems(one: Range, asked: Asked, before: Asked | None) -> Iterator[str]:
    rules: tuple[tuple[Amounts, Callable[[Range, str, Asked], Iterator[str]]], ...] = (
        (one.least, _least),
        (one.most, _most),
        (one.ratio, _ratio),
    )
    for bounds, rule in rules:
        for name in bounds:
            same = before is not None and _same(name, asked.requests, before.requests)
            if not (same and before is not None and _same(name, asked.limits, before.limits)):
                yield from rule(one, name, asked)


def _least(one: Range, name: str, asked: Asked) -> Iterator[str]:
    bound, text = one.least[name], f"minimum {name} usage per {one.type} is {one.least[name]}"
    request, limit = asked.requests.get(name), asked.limits.get(name)
    if request is None:
        yield f"{text}.  No request is specified"
    elif request.value < bound.value:
        yield f"{text}, but request is {request}"
    elif limit is not None and limit.value < bound.value:
        yield f"{text}, but limit is {limit}"


def _most(one: Range, name: str, asked: Asked) -> Iterator[str]:
    bound, text = one.most[name], f"maximum {name} usage per {one.type} is {one.most[name]}"
    request, limit = asked.requests.get(name), asked.limits.get(name)
    if limit is None:
        yield f"{text}.  No limit is specified"
    elif limit.value > bound.value:
        yield f"{text}, but limit is {limit}"
    elif request is not None and request.value > bound.value:
        yield f"{text}, but request is {request}"


def _most_requested(one: Range, name: str, requests: Amounts) -> Iterator[str]:
    bound, text = one.most[name], f"maximum {name} usage per {one.type} is {one.most[name]}"
    request = requests.get(name)
    if request is None:
        yield f"{text}.  No request is specified"
    elif request.value > bound.value:
        yield f"{text}, but request is {request}"


def _ratio(one: Range, name: str, asked: Asked) -> Iterator[str]:
    bound, text = one.ratio[name], f"{name} max limit to request ratio per {one.type} is {one.ratio[name]}"
    request, limit = asked.requests.get(name), asked.limits.get(name)
    if request is None or not request.value:
        yield f"{text}, but no request is specified or request is 0"
    elif limit is None or not limit.value:
        yield f"{text}, but no limit is specified or limit is 0"
    elif limit.value > request.value * bound.value:
        yield f"{text}, but provided ratio is {limit.value / request.value:.6f}"


def _of(container: Document) -> Asked:
    resources = container.get("resources") or {}
    return Asked(amounts(resources.get("requests")), amounts(resources.get("limits")))


def _whole(pod: Document) -> Asked:
    return Asked(of_pod(pod, "requests"), of_pod(pod, "limits"))


def _of_spec(claim: Document) -> Document:
    return (claim.get("spec") or {}).get("resources") or {}


def _same(name: str, new: Amounts, old: Amounts) -> bool:
    mine: Amount | None = new.get(name)
    other = old.get(name)
    return (mine.value if mine else None) == (other.value if other else None)
