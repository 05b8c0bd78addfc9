"""What is done to pods by a POST below them: binding to a node, and eviction.

Source: Kubernetes' registry/core/pod/storage (BindingREST, EvictionREST); API reference, "Binding", "Eviction".
"""

from __future__ import annotations

from typing import Any

import orjson

from k8slite.clock import timestamp
from k8slite.errors import ApiError, Cause, bad_request, conflict, internal, invalid, required, too_many_requests
from k8slite.selectors import from_object

from ..calls import Answer, Call, Handler
from ..documents import Document
from ..registry import Registry, Served
from ..wire import options as query
from ..wire.negotiation import json_body
from .deleting import remove

_POD = ("", "v1", "pods")
_SUCCESS = orjson.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


def handlers(registry: Registry) -> dict[tuple[str, str, str], Handler]:
    """The rows for the table of handlers."""

    async def binding(call: Call) -> Answer:
        return await bind(registry, call, call.info.name)

    async def legacy_binding(call: Call) -> Answer:
        return await bind(registry, call, "")

    async def eviction(call: Call) -> Answer:
        return await evict(registry, call)

    return {
        ("", "pods", "binding"): binding,
        ("", "bindings", ""): legacy_binding,
        ("", "pods", "eviction"): eviction,
    }


async def bind(registry: Registry, call: Call, name: str) -> Answer:
    """POST pods/<name>/binding: assign the pod to a node, once."""
    body = json_body(call.body, call.content_type)
    binding = registry.schemas.decode(body, group="", version="v1", kind="Binding", strictness="Ignore").object
    meta, target = binding["metadata"], binding.get("target") or {}
    name = name or meta.get("name") or ""
    if name != (meta.get("name") or name):
        raise bad_request(f"name in URL does not match name in Binding object: {name} != {meta.get('name')}")
    if target.get("kind") not in (None, "", "Node"):
        cause = Cause("FieldValueNotSupported", f'Unsupported value: "{target["kind"]}"', "target.kind")
        raise invalid("Binding", name, [cause])
    node = target.get("name") or ""
    if not node:
        raise invalid("Binding", name, [required("target.name")])
    served = registry.find(*_POD)
    now = timestamp(registry.clock.now())

    async def decide(pod: Document, revision: int) -> Document:
        _check_binding(pod, binding["metadata"], node)
        pod["spec"]["nodeName"] = node
        if annotations := meta.get("annotations"):
            pod["metadata"].setdefault("annotations", {}).update(annotations)
        if labels := meta.get("labels"):
            pod["metadata"].setdefault("labels", {}).update(labels)
        _set_scheduled(pod, now)
        return pod

    await registry.change(served, call.info.namespace, name, decide, dry_run=call.options.dry_run)
    return Answer(_SUCCESS, 201)


def _check_binding(pod: Document, wanted: Document, node: str) -> None:
    meta, name = pod["metadata"], pod["metadata"]["name"]
    if (uid := wanted.get("uid")) and uid != meta["uid"]:
        raise conflict(
            "pods", name, f"Precondition failed: UID in precondition: {uid}, UID in object meta: {meta['uid']}"
        )
    if (revision := wanted.get("resourceVersion")) and revision != meta["resourceVersion"]:
        raise conflict("pods/binding", name)
    if meta.get("deletionTimestamp"):
        raise conflict("pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host")
    if assigned := pod["spec"].get("nodeName"):
        raise conflict("pods/binding", name, f'pod {name} is already assigned to node "{assigned}"')
    if gates := pod["spec"].get("schedulingGates"):
        raise conflict("pods/binding", name, f"pod {name} has non-empty .spec.schedulingGates ({len(gates)})")


def _set_scheduled(pod: Document, now: str) -> None:
    conditions: list[Document] = pod.setdefault("status", {}).setdefault("conditions", [])
    for condition in conditions:
        if condition.get("type") == "PodScheduled":
            changed = condition.get("status") != "True"
            condition.pop("reason", None)
            condition.pop("message", None)
            condition["status"] = "True"
            if changed:
                condition["lastTransitionTime"] = now
            return
    conditions.append({"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now})


async def evict(registry: Registry, call: Call) -> Answer:
    """POST pods/<name>/eviction: delete the pod if no disruption budget forbids it."""
    body = json_body(call.body, call.content_type)
    decoded = registry.schemas.decode(body, group="policy", version="v1", kind="Eviction", strictness="Ignore")
    eviction, name = decoded.object, call.info.name
    if (eviction["metadata"].get("name") or name) != name:
        raise bad_request(
            f"name in URL does not match name in Eviction object: {name} != {eviction['metadata']['name']}"
        )
    options = query.with_delete_body(call.options, eviction.get("deleteOptions") or {})
    served = registry.find(*_POD)
    pod = orjson.loads((await registry.read(served, call.info.namespace, name)).value)
    if _guarded(pod):
        await _spend_budget(registry, call, pod, dry_run=options.dry_run)
    await remove(registry, served, call, name, options)
    return Answer(_SUCCESS, 201)


def _guarded(pod: Document) -> bool:
    """Whether the pod counts as running for a budget: one that ends or has not begun may always go."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    return (pod.get("status") or {}).get("phase") not in ("Pending", "Succeeded", "Failed")


async def _spend_budget(registry: Registry, call: Call, pod: Document, *, dry_run: bool) -> None:
    served = registry.find("policy", "v1", "poddisruptionbudgets")
    namespace, labels = call.info.namespace, pod["metadata"].get("labels") or {}
    matching = []
    for entry in served.cache.select(namespace=namespace):
        selector = from_object((entry.document.get("spec") or {}).get("selector"))
        if selector is not None and selector.matches(labels):
            matching.append(entry)
    if len(matching) > 1:
        raise internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    if matching:
        await _spend(registry, served, namespace, matching[0].name, pod, dry_run=dry_run)


async def _spend(
    registry: Registry, served: Served, namespace: str, name: str, pod: Document, *, dry_run: bool
) -> None:
    now = timestamp(registry.clock.now())

    async def decide(budget: Document, revision: int) -> Document:
        status: dict[str, Any] = budget.setdefault("status", {})
        if (status.get("observedGeneration") or 0) < (budget["metadata"].get("generation") or 0):
            raise too_many_requests(
                "Cannot evict pod as it would violate the pod's disruption budget.",
                retry_after=10,
                causes=[
                    Cause(
                        "DisruptionBudget", f"The disruption budget {name} is still being processed by the server.", ""
                    )
                ],
            )
        if (status.get("disruptionsAllowed") or 0) <= 0:
            raise _exhausted(name, status)
        status["disruptionsAllowed"] -= 1
        status.setdefault("disruptedPods", {})[pod["metadata"]["name"]] = now
        return budget

    await registry.change(served, namespace, name, decide, dry_run=dry_run)


def _exhausted(name: str, status: Document) -> ApiError:
    # Without a Retry-After header: clients would wait in silence instead of telling their user.
    needed, healthy = status.get("desiredHealthy") or 0, status.get("currentHealthy") or 0
    text = f"The disruption budget {name} needs {needed} healthy pods and has {healthy} currently"
    return too_many_requests(
        "Cannot evict pod as it would violate the pod's disruption budget.",
        retry_after=0,
        causes=[Cause("DisruptionBudget", text, "")],
    )
