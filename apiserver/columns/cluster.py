"""Columns of nodes, events and of everything that configures a cluster: access, quotas, admission, priorities."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from k8slite.durations import human_duration, since

from .base import (
    AGE,
    CREATED_AT,
    NAME,
    NONE,
    UNKNOWN,
    UNSET,
    Column,
    Document,
    at,
    computed,
    condition,
    count,
    integer,
    is_true,
    text,
)

_ROLE_PREFIX = "node-role.kubernetes.io/"


def _node_status(node: Document) -> str:
    ready = condition(node, "Ready")
    word = "Unknown" if ready is None else ("Ready" if ready.get("status") == "True" else "NotReady")
    return word + (",SchedulingDisabled" if at(node, "spec.unschedulable") else "")


def _roles(node: Document) -> str:
    labels = at(node, "metadata.labels", {})
    roles = {key.removeprefix(_ROLE_PREFIX) for key in labels if key.startswith(_ROLE_PREFIX)}
    roles.add(labels.get("kubernetes.io/role", ""))
    return ",".join(sorted(roles - {""})) or NONE


def _address(kind: str) -> Column:
    def read(node: Document) -> str:
        found = (each.get("address") for each in at(node, "status.addresses", ()) if each.get("type") == kind)
        return next(found, None) or NONE

    return computed("Internal-IP" if kind == "InternalIP" else "External-IP", read, wide=True)


def _first_seen(event: Document, now: datetime) -> str:
    return since(event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or event.get("eventTime"), now)


def _last_seen(event: Document, now: datetime) -> str:
    last = event.get("lastTimestamp") or event.get("deprecatedLastTimestamp")
    moment = at(event, "series.lastObservedTime") or last
    return since(moment, now) if moment else _first_seen(event, now)


def _times(event: Document) -> int:
    counted = event.get("count") or event.get("deprecatedCount")
    return int(at(event, "series.count") or counted or 1)


def _about(event: Document) -> Document:
    found: Document = event.get("involvedObject") or event.get("regarding") or {}
    return found


def _object(event: Document) -> str:
    about = _about(event)
    kind = about.get("kind", "").lower()
    return f"{kind}/{about['name']}" if about.get("name") else kind


def _source(event: Document) -> str:
    source = event.get("source") or event.get("deprecatedSource") or {}
    component = source.get("component") or event.get("reportingComponent") or event.get("reportingController") or ""
    host = source.get("host") or event.get("reportingInstance") or ""
    return ", ".join(part for part in (component, host) if part)


def _message(event: Document) -> str:
    return str(event.get("message") or event.get("note") or "").strip()


def _subjects(kind: str, name: str) -> Column:
    def read(binding: Document) -> str:
        found = (each for each in at(binding, "subjects", ()) if each.get("kind") == kind)
        if kind == "ServiceAccount":
            return ", ".join(f"{each.get('namespace', '')}/{each.get('name', '')}" for each in found)
        return ", ".join(each.get("name", "") for each in found)

    return computed(name, read, wide=True)


def _request_status(request: Document) -> str:
    word = "Denied" if is_true(request, "Denied") else "Approved" if is_true(request, "Approved") else "Pending"
    failed = ",Failed" if is_true(request, "Failed") else ""
    return word + failed + (",Issued" if at(request, "status.certificate") else "")


def _requested_duration(request: Document) -> str:
    seconds = at(request, "spec.expirationSeconds")
    return NONE if seconds is None else human_duration(timedelta(seconds=seconds))


def _quota(limits: bool) -> Column:
    def read(quota: Document) -> str:
        hard, used = at(quota, "status.hard", {}), at(quota, "status.used", {})
        return ", ".join(
            f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard) if ("limits" in name) is limits
        )

    return computed("Limit" if limits else "Request", read)


def _param_kind(policy: Document) -> str:
    kind = at(policy, "spec.paramKind")
    return f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else UNSET


def _param_ref(binding: Document) -> str:
    found = at(binding, "spec.paramRef")
    if not found:
        return UNSET
    name = found.get("name") or "*"
    return f"{found['namespace']}/{name}" if found.get("namespace") else name


def _queuing(name: str, member: str) -> Column:
    path = f"spec.limited.limitResponse.queuing.{member}"
    return computed(name, lambda document: at(document, path, NONE))


def _dangling(schema: Document) -> str:
    found = condition(schema, "Dangling")
    return str(found.get("status")) if found else "?"


def _component(path: str) -> Callable[[Document], str]:
    def read(status: Document) -> str:
        found = next((each for each in at(status, "conditions", ()) if each.get("type") == "Healthy"), None)
        if found is None:
            return "Unhealthy" if path == "status" else ""
        if path == "status":
            return "Healthy" if found.get("status") == "True" else "Unhealthy"
        return str(found.get(path) or "")

    return read


def _migrated(migration: Document) -> str:
    parts = (at(migration, f"spec.resource.{name}", "") for name in ("resource", "version", "group"))
    return ".".join(part for part in parts if part)


def _certificate_state(request: Document) -> str:
    return next((name for name in ("Issued", "Denied", "Failed") if is_true(request, name)), "Pending")


def _claim_state(claim: Document) -> str:
    states = ["deleted"] if at(claim, "metadata.deletionTimestamp") else []
    if not at(claim, "status.allocation"):
        return ",".join(states) or "pending"
    states.append("allocated")
    return ",".join([*states, "reserved"] if at(claim, "status.reservedFor") else states)


NODE = (
    NAME,
    computed("Status", _node_status),
    computed("Roles", _roles),
    AGE,
    text("Version", "status.nodeInfo.kubeletVersion"),
    _address("InternalIP"),
    _address("ExternalIP"),
    text("OS-Image", "status.nodeInfo.osImage", default=UNKNOWN, wide=True),
    text("Kernel-Version", "status.nodeInfo.kernelVersion", default=UNKNOWN, wide=True),
    text("Container-Runtime", "status.nodeInfo.containerRuntimeVersion", default=UNKNOWN, wide=True),
)
EVENT = (
    Column("Last Seen", _last_seen),
    text("Type", "type"),
    text("Reason", "reason"),
    computed("Object", _object),
    computed("Subobject", lambda event: _about(event).get("fieldPath", ""), wide=True),
    computed("Source", _source, wide=True),
    computed("Message", _message),
    Column("First Seen", _first_seen, priority=1),
    computed("Count", _times, wide=True),
    Column("Name", NAME.read, format="name", priority=1),
)
NAMESPACE = (NAME, text("Status", "status.phase"), AGE)
CONFIG_MAP = (NAME, count("Data", "data", "binaryData"), AGE)
SECRET = (NAME, text("Type", "type"), count("Data", "data"), AGE)
SERVICE_ACCOUNT = (NAME, count("Secrets", "secrets"), AGE)
LEASE = (NAME, text("Holder", "spec.holderIdentity"), AGE)
NAME_AND_DATE = (NAME, CREATED_AT)
ROLE_BINDING = (
    NAME,
    computed("Role", lambda document: f"{at(document, 'roleRef.kind', '')}/{at(document, 'roleRef.name', '')}"),
    AGE,
    _subjects("User", "Users"),
    _subjects("Group", "Groups"),
    _subjects("ServiceAccount", "ServiceAccounts"),
)
CERTIFICATE_SIGNING_REQUEST = (
    NAME,
    AGE,
    text("SignerName", "spec.signerName"),
    text("Requestor", "spec.username"),
    computed("RequestedDuration", _requested_duration),
    computed("Condition", _request_status),
)
CLUSTER_TRUST_BUNDLE = (NAME, text("SignerName", "spec.signerName"))
POD_CERTIFICATE_REQUEST = (
    NAME,
    text("PodName", "spec.podName"),
    text("ServiceAccountName", "spec.serviceAccountName"),
    text("NodeName", "spec.nodeName"),
    text("SignerName", "spec.signerName"),
    computed("State", _certificate_state),
)
COMPONENT_STATUS = (
    NAME,
    computed("Status", _component("status")),
    computed("Message", _component("message")),
    computed("Error", _component("error")),
)
STORAGE_VERSION_MIGRATION = (Column("Name", NAME.read), computed("Resource", _migrated))
RESOURCE_QUOTA = (NAME, _quota(False), _quota(True), AGE)
PRIORITY_CLASS = (
    NAME,
    integer("Value", "value"),
    computed("Global-Default", lambda document: at(document, "globalDefault", False), type="boolean"),
    AGE,
    text("PreemptionPolicy", "preemptionPolicy"),
)
RUNTIME_CLASS = (NAME, text("Handler", "handler"), AGE)
WEBHOOKS = (NAME, count("Webhooks", "webhooks", type="integer"), AGE)
VALIDATING_POLICY = (
    NAME,
    count("Validations", "spec.validations", type="integer"),
    computed("ParamKind", _param_kind),
    AGE,
)
MUTATING_POLICY = (NAME, count("Mutations", "spec.mutations", type="integer"), computed("ParamKind", _param_kind), AGE)
POLICY_BINDING = (NAME, text("PolicyName", "spec.policyName"), computed("ParamRef", _param_ref), AGE)
FLOW_SCHEMA = (
    NAME,
    text("PriorityLevel", "spec.priorityLevelConfiguration.name"),
    integer("MatchingPrecedence", "spec.matchingPrecedence", type="string"),
    text("DistinguisherMethod", "spec.distinguisherMethod.type", default=NONE),
    AGE,
    computed("MissingPL", _dangling),
)
PRIORITY_LEVEL = (
    NAME,
    text("Type", "spec.type"),
    computed("NominalConcurrencyShares", lambda level: at(level, "spec.limited.nominalConcurrencyShares", NONE)),
    _queuing("Queues", "queues"),
    _queuing("HandSize", "handSize"),
    _queuing("QueueLengthLimit", "queueLengthLimit"),
    AGE,
)
RESOURCE_CLAIM = (NAME, computed("State", _claim_state), AGE)
RESOURCE_SLICE = (
    NAME,
    computed("Node", lambda document: at(document, "spec.nodeName") or UNSET),
    text("Driver", "spec.driver"),
    text("Pool", "spec.pool.name"),
    AGE,
)
