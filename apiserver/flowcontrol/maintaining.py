"""What has to be written so that the objects of flow control are as they must be. Pure.

What every cluster has is created when it is missing, whoever removed it. Its specification is kept: always for the
mandatory ones, for suggested ones while their annotation says so, or while it says nothing and nobody has changed the
object. What carries the annotation and is no longer among them goes. Each schema's status says whether it dangles.

Source: Kubernetes' registry, flowcontrol/ensurer/strategy.go; apiserver, util/flowcontrol/apf_controller.go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from k8slite.clock import timestamp

from . import objects

Document = dict[str, Any]

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_DANGLING = "Dangling"


@dataclass(frozen=True, slots=True)
class Plan:
    """Objects of one kind to create, and names of those to mend or remove."""

    create: tuple[Document, ...] = ()
    mend: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


def plan(present: Mapping[str, Document], wanted: Sequence[Document]) -> Plan:
    """What to do about the objects of one kind."""
    known = {document["metadata"]["name"]: document for document in wanted}
    return Plan(
        create=tuple(document for name, document in known.items() if name not in present),
        mend=tuple(
            name for name, document in known.items() if name in present and mended(present[name], document) is not None
        ),
        remove=tuple(name for name, document in present.items() if name not in known and is_obsolete(document)),
    )


def is_obsolete(document: Document) -> bool:
    """Whether an object that no cluster has by itself was one of those, and may be removed."""
    return _annotated(document) is True


def mended(document: Document, wanted: Document) -> Document | None:
    """An object as it should be, None if it is so."""
    name = wanted["metadata"]["name"]
    metadata = document["metadata"]
    annotated = _annotated(document)
    keep = name in objects.MANDATORY
    if not keep:
        keep = annotated if annotated is not None else metadata.get("generation") == 1
    spec = _with_own_shares(wanted["spec"], document.get("spec") or {})
    differs = keep and document.get("spec") != spec
    if annotated == keep and not differs:
        return None
    annotations = {**(metadata.get("annotations") or {}), objects.AUTOUPDATE: "true" if keep else "false"}
    changed = {**document, "metadata": {**metadata, "annotations": annotations}}
    if differs:
        changed["spec"] = spec
        changed["metadata"]["generation"] = (metadata.get("generation") or 0) + 1
    return changed


def _with_own_shares(wanted: Document, spec: Document) -> Document:
    """How much of the server is kept for exempt requests is the users' to say."""
    return {**wanted, "exempt": spec["exempt"]} if "exempt" in wanted and spec.get("exempt") else wanted


def _annotated(document: Document) -> bool | None:
    value = (document["metadata"].get("annotations") or {}).get(objects.AUTOUPDATE)
    return True if value in _TRUE else False if value in _FALSE else None


def with_condition(schema: Document, levels: Collection[str], now: datetime) -> Document:
    """A FlowSchema whose status says whether its priority level exists; the same object if it says so."""
    level = ((schema.get("spec") or {}).get("priorityLevelConfiguration") or {}).get("name") or ""
    start = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
    if level in levels:
        wanted = {"type": _DANGLING, "status": "False", "reason": "Found", "message": f"{start} and it exists"}
    else:
        message = f"{start} but there is no such object"
        wanted = {"type": _DANGLING, "status": "True", "reason": "NotFound", "message": message}
    status = schema.get("status") or {}
    conditions = status.get("conditions") or []
    known: Document = next((each for each in conditions if each.get("type") == _DANGLING), {})
    if all(known.get(key) == value for key, value in wanted.items()):
        return schema
    wanted["lastTransitionTime"] = timestamp(now)
    others = [each for each in conditions if each is not known]
    return {**schema, "status": {**status, "conditions": [*others, wanted]}}
