"""Eviction: a deletion that asks the pod's disruption budget first.

Whether a pod may go is decided on the latest state, and the deletion is bound to that state wherever the pod could
become ready in between and so turn into one that the budget protects.

Source: Kubernetes' registry/core/pod/storage/eviction.go; API reference, "Eviction".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from k8slite.clock import timestamp
from k8slite.errors import ApiError, Cause, bad_request, forbidden, too_many_requests
from k8slite.selectors import SelectorError, from_object

from ..admission.base import Admission
from ..calls import Answer, Call
from ..documents import Document
from ..registry import Registry, Served
from ..wire import options as query
from ..wire.negotiation import json_body
from ..wire.options import Options
from . import deleting
from .conditions import set_condition
from .metadata import check_namespace

SUCCESS = orjson.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
_ATTEMPTS = 20
_MOST_DISRUPTED = 2000
"""Evictions that the controller has not confirmed yet; past this something is wrong with it."""
_REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."
_SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."


async def evict(registry: Registry, call: Call) -> Answer:
    """POST pods/<name>/eviction: delete the pod if no disruption budget forbids it. Raises ApiError."""
    options = await _read(registry, call)
    pods, namespace, name = registry.find("", "v1", "pods"), call.info.namespace, call.info.name
    bound = bool(options.precondition_resource_version)
    for attempt in range(_ATTEMPTS):
        pod: Document = orjson.loads((await registry.read(pods, namespace, name)).value)
        if not _may_always_go(pod):
            break
        try:
            await _remove(registry, pods, call, options if bound or _over(pod) else _only(options, pod))
        except ApiError as error:
            if error.reason != "Conflict" or bound or attempt == _ATTEMPTS - 1:
                raise
        else:
            return Answer(SUCCESS, 201)
    await registry.cache.consistent()  # another server may have made a budget a moment ago
    budget = _budget(registry, namespace, pod)
    unprotected = budget is not None and not _ready(pod) and _spares_unready(budget)
    if budget is not None and not unprotected:
        await _spend(registry, namespace, budget["metadata"]["name"], pod, dry_run=options.dry_run)
    try:
        await _remove(registry, pods, call, _only(options, pod) if unprotected and not bound else options)
    except ApiError as error:
        if error.reason == "Conflict" and unprotected and not bound and budget is not None:
            raise _being_processed(budget["metadata"]["name"]) from error
        raise
    return Answer(SUCCESS, 201)


async def _read(registry: Registry, call: Call) -> Options:
    """The options of the deletion, once admission has let the eviction pass."""
    body, info = json_body(call.body, call.content_type), call.info
    eviction = registry.schemas.decode(body, group="policy", version="v1", kind="Eviction", strictness="Ignore").object
    check_namespace(eviction["metadata"], call.resource, info.namespace)
    if (eviction["metadata"].get("name") or info.name) != info.name:
        raise bad_request("name in URL does not match name in Eviction object")
    admission = Admission(
        operation="CREATE",
        resource=call.resource,
        subresource="eviction",
        namespace=info.namespace,
        name=info.name,
        object=eviction,
        old=None,
        context=registry.context(call),
        options=call.options,
        kind=("policy", "v1", "Eviction"),
    )
    await registry.admission.mutate(admission)
    await registry.admission.validate(admission)
    return query.with_delete_body(call.options, eviction.get("deleteOptions") or {})


def _may_always_go(pod: Document) -> bool:
    """A pod that has ended, ends, or has not begun disrupts nothing."""
    return _over(pod) or (pod.get("status") or {}).get("phase") == "Pending"


def _over(pod: Document) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return bool(pod["metadata"].get("deletionTimestamp")) or phase in ("Succeeded", "Failed")


def _ready(pod: Document) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def _only(options: Options, pod: Document) -> Options:
    """The same deletion, of this state of the pod only."""
    return replace(options, precondition_resource_version=pod["metadata"]["resourceVersion"])


def _spares_unready(budget: Document) -> bool:
    """Whether a pod that is not ready may go without being counted."""
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    desired = status.get("desiredHealthy") or 0
    return desired > 0 and (status.get("currentHealthy") or 0) >= desired


def _budget(registry: Registry, namespace: str, pod: Document) -> Document | None:
    labels = pod["metadata"].get("labels") or {}
    matching = []
    for entry in registry.find("policy", "v1", "poddisruptionbudgets").cache.select(namespace=namespace):
        try:
            selector = from_object((entry.document.get("spec") or {}).get("selector"))
        except SelectorError:
            continue
        if selector is not None and selector.matches(labels):
            matching.append(entry.document)
    if len(matching) > 1:
        raise ApiError(500, "", _SEVERAL)
    return matching[0] if matching else None


async def _spend(registry: Registry, namespace: str, name: str, pod: Document, *, dry_run: bool) -> None:
    """Take one disruption from a budget. Raises ApiError 429 or 403."""
    now = timestamp(registry.clock.now())

    async def decide(budget: Document, revision: int) -> Document:
        status: dict[str, Any] = budget.setdefault("status", {})
        check(budget["metadata"], status)
        status["disruptionsAllowed"] -= 1
        if not status["disruptionsAllowed"]:
            condition: Document = {"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods"}
            condition |= {"message": "", "observedGeneration": status.get("observedGeneration") or 0}
            set_condition(status, condition, now=now)
        status.setdefault("disruptedPods", {})[pod["metadata"]["name"]] = now
        return budget

    served = registry.find("policy", "v1", "poddisruptionbudgets")
    await registry.change(served, namespace, name, decide, dry_run=dry_run)


def check(metadata: Document, status: Document) -> None:
    """Refuse a disruption that the budget does not allow. Raises ApiError 429, or 403 if the budget is out of order."""
    name = metadata["name"]
    if (status.get("observedGeneration") or 0) < (metadata.get("generation") or 0):
        raise _being_processed(name)
    allowed = status.get("disruptionsAllowed") or 0
    if allowed < 0:
        why = "pdb disruptions allowed is negative"
        raise _out_of_order(name, why, why)
    if len(status.get("disruptedPods") or {}) > _MOST_DISRUPTED:
        detail = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise _out_of_order(name, detail, "too many pending evictions not confirmed by PDB controller")
    if not allowed:
        needed, healthy = status.get("desiredHealthy") or 0, status.get("currentHealthy") or 0
        text = f"The disruption budget {name} needs {needed} healthy pods and has {healthy} currently"
        # Without a Retry-After header: clients would wait in silence instead of telling their user.
        raise too_many_requests(_REFUSED, retry_after=0, causes=[Cause("DisruptionBudget", text, "")])


def _being_processed(name: str) -> ApiError:
    text = f"The disruption budget {name} is still being processed by the server."
    return too_many_requests(_REFUSED, retry_after=10, causes=[Cause("DisruptionBudget", text, "")])


def _out_of_order(name: str, detail: str, cause: str) -> ApiError:
    error = forbidden("poddisruptionbudget", name, detail, group="policy")
    text = f"The disruption budget {name} does not allow evicting pods currently: {cause}"
    causes = [{"reason": "DisruptionBudget", "message": text}]
    return ApiError(error.code, error.reason, error.message, details={**(error.details or {}), "causes": causes})


async def _remove(registry: Registry, pods: Served, call: Call, options: Options) -> None:
    """Say in the pod's status why it goes, then delete it."""
    namespace, name = call.info.namespace, call.info.name
    if not options.dry_run:
        now = timestamp(registry.clock.now())

        async def decide(pod: Document, revision: int) -> Document:
            deleting.check_preconditions(pods, pod["metadata"], options)
            condition: Document = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
            condition |= {"message": "Eviction API: evicting", "lastProbeTime": None}
            set_condition(pod.setdefault("status", {}), condition, now=now)
            return pod

        value, _ = await registry.change(pods, namespace, name, decide, dry_run=False)
        if options.precondition_resource_version:
            options = _only(options, orjson.loads(value))
    await deleting.remove(registry, pods, call, name, options, admitted=True)
