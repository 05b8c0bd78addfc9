"""What goes over the line to extenders and comes back: Go's field names, read whatever their case, as Go reads them.

Source: kube-scheduler's published extender API, v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from k8slite.kinds.base import Object, ResourceType

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
