"""What is done to pods by a POST below them: binding to a node (here), and eviction (`eviction.py`).

Source: Kubernetes' registry/core/pod/storage (BindingREST, LegacyBindingREST); API reference, "Binding".
"""

from __future__ import annotations

from k8slite.clock import timestamp
from k8slite.errors import Cause, bad_request, conflict, invalid, not_supported, required

from ..admission.base import Admission
from ..calls import Answer, Call, Handler
from ..documents import Document
from ..registry import Registry
from ..wire.negotiation import json_body
from .conditions import set_condition
from .eviction import SUCCESS, evict
from .metadata import check_namespace

_POD = ("", "v1", "pods")


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
    meta = binding["metadata"]
    check_namespace(meta, registry.find(*_POD).resource, call.info.namespace)
    name = name or meta.get("name") or ""
    if name != (meta.get("name") or name):
        raise bad_request("name in URL does not match name in Binding object")
    admission = Admission(
        operation="CREATE",
        resource=call.resource,
        subresource=call.info.subresource,
        namespace=call.info.namespace,
        name=name,
        object=binding,
        old=None,
        context=registry.context(call),
        options=call.options,
        kind=("", "v1", "Binding"),
    )
    await registry.admission.mutate(admission)
    target = binding.get("target") or {}
    node = target.get("name") or ""
    causes: list[Cause] = []
    if target.get("kind") not in (None, "", "Node"):
        causes.append(not_supported("target.kind", target["kind"], ["Node", "<empty>"], in_order=True))
    if not node:
        causes.append(required("target.name"))
    if causes:
        raise invalid("Binding", name, causes)
    await registry.admission.validate(admission)
    served = registry.find(*_POD)
    now = timestamp(registry.clock.now())

    async def decide(pod: Document, revision: int) -> Document:
        _check_binding(pod, binding["metadata"], node)
        pod["spec"]["nodeName"] = node
        if annotations := meta.get("annotations"):
            pod["metadata"].setdefault("annotations", {}).update(annotations)
        if labels := meta.get("labels"):
            pod["metadata"].setdefault("labels", {}).update(labels)
        condition = {"type": "PodScheduled", "status": "True", "lastProbeTime": None}
        set_condition(pod.setdefault("status", {}), condition, now=now)
        pod["status"].pop("nominatedNodeName", None)
        return pod

    await registry.change(served, call.info.namespace, name, decide, dry_run=call.options.dry_run)
    return Answer(SUCCESS, 201)


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
    if pod["spec"].get("schedulingGates"):
        raise conflict("pods/binding", name, f"pod {name} has non-empty .spec.schedulingGates")
