"""From what the user names to pods: `web`, `pod/web`, `deployment/front` (any of its pods)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..api import Api
from ..failure import Failure


def find(api: Api, word: str) -> dict[str, Any]:
    """The pod meant by a word; of a workload's pods, a running one is preferred. Raises Failure."""
    kind, slash, name = word.partition("/")
    if not (name if slash else word):
        raise Failure("resource name may not be empty")
    resource = api.resource(kind if slash else "pods")
    found: dict[str, Any] = api.call("GET", api.path(resource, name if slash else word))
    if resource.plural == "pods":
        return found
    query = {"labelSelector": _selector(found.get("spec", {}).get("selector") or {})}
    pods = api.call("GET", api.path(api.resource("pods")), query=query)["items"] if query["labelSelector"] else []
    if not pods:
        raise Failure(f"{word} has no pods")
    chosen: dict[str, Any] = min(pods, key=lambda pod: pod.get("status", {}).get("phase") != "Running")
    return chosen


def _selector(selector: Mapping[str, Any]) -> str:
    """A label selector as text: a Service's plain map, or `matchLabels` and `matchExpressions`; empty for none."""
    expressions = selector.get("matchExpressions") or ()
    labels = selector.get("matchLabels") or ({} if expressions else selector)
    return ",".join([*(f"{key}={value}" for key, value in labels.items()), *map(_expression, expressions)])


def _expression(expression: Mapping[str, Any]) -> str:
    key, values = expression["key"], ",".join(expression.get("values") or ())
    match expression["operator"]:
        case "Exists":
            return str(key)
        case "DoesNotExist":
            return f"!{key}"
        case operator:
            return f"{key} {operator.lower()} ({values})"


def container(pod: dict[str, Any], name: str) -> str:
    """The container asked for, or the pod's default one. Raises Failure naming those there are."""
    names = [c["name"] for part in ("containers", "initContainers") for c in pod["spec"].get(part) or ()]
    annotations = pod["metadata"].get("annotations") or {}
    chosen = name or annotations.get("kubectl.kubernetes.io/default-container") or names[0]
    if chosen not in names:
        raise Failure(f"container {chosen} not found in pod {pod['metadata']['name']}: it has {', '.join(names)}")
    return str(chosen)
