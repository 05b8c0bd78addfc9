"""What goes over the line to extenders and comes back: Go's field names, read whatever their case, as Go reads them.

Source: kube-scheduler's published extender API, v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from k8slite.kinds.base import Object, ResourceType

from ..framework import Proposal
from .extender import ExtenderError


class WholeNode(Object):
    """A node with all that extenders may want to see of it."""

    spec: dict[str, Any] = {}
    status: dict[str, Any] = {}


WHOLE_NODES = ResourceType("", "v1", "nodes", "Node", False, WholeNode)


def question(pod: Mapping[str, Any], *, names: Iterable[str] | None, nodes: Iterable[WholeNode] | None) -> bytes:
    """ExtenderArgs: the pod and either the names of the nodes or the nodes themselves."""
    return orjson.dumps(
        {
            "Pod": pod,
            "Nodes": None if nodes is None else {"metadata": {}, "items": [node.to_wire() for node in nodes]},
            "NodeNames": None if names is None else list(names),
        }
    )


def binding(*, name: str, namespace: str, uid: str, node: str) -> bytes:
    """ExtenderBindingArgs."""
    return orjson.dumps({"PodName": name, "PodNamespace": namespace, "PodUID": uid, "Node": node})


def preemption(
    pod: Mapping[str, Any], proposals: Mapping[str, Proposal], *, pods: Mapping[str, Mapping[str, Any]] | None
) -> bytes:
    """ExtenderPreemptionArgs: the pod, and by node the victims: whole, if `pods` has them by UID, else their UIDs."""

    def victims(proposal: Proposal) -> dict[str, Any]:
        found = [{"UID": victim.uid} if pods is None else pods[victim.uid] for victim in proposal.victims]
        return {"Pods": found, "NumPDBViolations": proposal.violations}

    nodes = {node: victims(proposal) for node, proposal in proposals.items()}
    whole, known = (None, nodes) if pods is None else (nodes, None)
    return orjson.dumps({"Pod": pod, "NodeNameToVictims": whole, "NodeNameToMetaVictims": known})


@dataclass(frozen=True, slots=True)
class Victims:
    """MetaVictims: who would have to go from a node."""

    uids: tuple[str, ...]
    violations: int


def victims(answer: Any) -> dict[str, Victims]:
    """Read an ExtenderPreemptionResult: victims by node. Raises ExtenderError."""
    try:
        return {
            str(node): Victims(
                tuple(str(_field(pod, "UID")) for pod in _field(found, "Pods") or ()),
                int(_field(found, "NumPDBViolations") or 0),
            )
            for node, found in (_field(answer, "NodeNameToMetaVictims") or {}).items()
        }
    except (TypeError, ValueError, AttributeError) as error:
        raise ExtenderError(f"the answer cannot be read: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Filtered:
    """ExtenderFilterResult: the nodes that pass, and why others do not; None if it names no nodes that pass."""

    passed: list[str] | None
    failed: Mapping[str, str]


def filtered(answer: Any, *, by_name: bool) -> Filtered:
    """Read a filter's answer. Raises ExtenderError for the error that it names, and for what is no answer."""
    if error := _field(answer, "Error"):
        raise ExtenderError(str(error))
    try:
        passed = None
        names, nodes = _field(answer, "NodeNames"), _field(answer, "Nodes")
        if by_name and names is not None:
            passed = [str(name) for name in names]
        elif nodes is not None:
            passed = [str(node["metadata"]["name"]) for node in _field(nodes, "items") or ()]
        failed = dict(_field(answer, "FailedNodes") or {}) | dict(_field(answer, "FailedAndUnresolvableNodes") or {})
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ExtenderError(f"the answer cannot be read: {error!r}") from error
    return Filtered(passed, {str(name): str(reason) for name, reason in failed.items()})


def scores(answer: Any) -> dict[str, float]:
    """Read a HostPriorityList. Raises ExtenderError."""
    try:
        return {str(_field(entry, "Host")): float(_field(entry, "Score") or 0) for entry in answer or ()}
    except (TypeError, ValueError, AttributeError) as error:
        raise ExtenderError(f"the answer cannot be read: {error!r}") from error


def raise_error(answer: Any) -> None:
    """Raise ExtenderError if an ExtenderBindingResult says that something is wrong."""
    if error := _field(answer, "Error"):
        raise ExtenderError(str(error))


def _field(answer: Any, name: str) -> Any:
    if not isinstance(answer, dict):
        raise ExtenderError(f"the answer cannot be read: an object is wanted, not {answer!r:.40}")
    if name in answer:
        return answer[name]
    return next((value for key, value in answer.items() if key.lower() == name.lower()), None)
