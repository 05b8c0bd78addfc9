"""From what the user names to pods: `web`, `pod/web`, `deployment/front` (any of its pods)."""

from __future__ import annotations

from typing import Any

from ..api import Api
from ..failure import Failure


def find(api: Api, word: str) -> dict[str, Any]:
    """The pod meant by a word; of a workload's pods, a running one is preferred. Raises Failure."""
    kind, slash, name = word.partition("/")
    resource = api.resource(kind if slash else "pods")
    found: dict[str, Any] = api.call("GET", api.path(resource, name if slash else word))
    if resource.plural == "pods":
        return found
    selector = found.get("spec", {}).get("selector") or {}
    labels = selector.get("matchLabels", selector)
    query = {"labelSelector": ",".join(f"{k}={v}" for k, v in labels.items())}
    pods = api.call("GET", api.path(api.resource("pods")), query=query)["items"] if labels else []
    if not pods:
        raise Failure(f"{word} has no pods")
    chosen: dict[str, Any] = min(pods, key=lambda pod: pod.get("status", {}).get("phase") != "Running")
    return chosen


def container(pod: dict[str, Any], name: str) -> str:
    """The container asked for, or the pod's default one. Raises Failure naming those there are."""
    names = [c["name"] for part in ("containers", "initContainers") for c in pod["spec"].get(part) or ()]
    annotations = pod["metadata"].get("annotations") or {}
    chosen = name or annotations.get("kubectl.kubernetes.io/default-container") or names[0]
    if chosen not in names:
        raise Failure(f"container {chosen} not found in pod {pod['metadata']['name']}: it has {', '.join(names)}")
    return str(chosen)
