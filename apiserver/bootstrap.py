"""What a cluster holds before anyone has written anything: namespaces, default roles, priority classes, its Service.

Run at every start, before the server answers. It is idempotent and repairs: what is missing is created; a default role
or binding that lacks rules or subjects gets them back unless its autoupdate annotation says no; what users added stays.
The objects go straight to the store in their stored form, all at once, so that an embedded store commits them together.

Source: Kubernetes' apiserver, rbac/bootstrappolicy and the kubernetes Service controller.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import orjson

from k8slite import local_volumes
from k8slite.clock import Clock, timestamp
from k8slite.config import ApiServerConfig

from . import policy
from .allocation import ranges
from .allocation.claims import address_record
from .authz import rules
from .storage.base import KeyExists, Record, RevisionMismatch, Store, StoreError
from .strategies.base import Document

_ATTEMPTS = 20
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_log = logging.getLogger(__name__)
_RBAC = "rbac.authorization.k8s.io"

Mend = Callable[[Document, Document], Document | None]
"""`mend(stored, wanted)`: the stored object as it should be, or None if it is right."""


async def bootstrap(store: Store, *, config: ApiServerConfig, clock: Clock, port: int = 0) -> None:
    """Create and repair the defaults. `port` is the one that is served if the configuration leaves it open."""
    if config.local_storage_class and await store.get(_key("", "namespaces", "", "kube-system")) is None:
        # Before all else and only in an empty store: users may change or delete it, and it stays so.
        await _ensure(store, clock, "storage.k8s.io", "storageclasses", _local_storage_class())
    await asyncio.gather(*(_ensure(store, clock, "", "namespaces", document) for document in _namespaces()))
    writes = [
        _ensure(store, clock, _RBAC, plural, document, mend=_mend_rules) for plural, document in policy.role_documents()
    ]
    writes += [
        _ensure(store, clock, _RBAC, plural, document, mend=_mend_subjects)
        for plural, document in policy.binding_documents()
    ]
    writes += [
        _ensure(store, clock, "scheduling.k8s.io", "priorityclasses", document) for document in _priority_classes()
    ]
    writes += [
        _ensure(store, clock, group, plural, document, mend=mend)
        for group, plural, document, mend in _own_service(config, port or config.port, clock.now())
    ]
    range_ = _service_range(config, clock)
    writes.append(_ensure(store, clock, "networking.k8s.io", "servicecidrs", range_, mend=_second_family))
    authentication = _authentication(config)
    writes.append(_ensure(store, clock, "", "configmaps", authentication, mend=_replace("data")))
    writes.append(_ensure(store, clock, "", "configmaps", _token_tracking(clock)))
    await asyncio.gather(*writes)


def _token_tracking(clock: Clock) -> Document:
    """Since which day API servers note the last use of tokens in Secrets, for whoever cleans them up."""
    name = "kube-apiserver-legacy-service-account-token-tracking"
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "kube-system"},
        "data": {"since": f"{clock.now():%Y-%m-%d}"},
    }


async def withdraw(store: Store, *, config: ApiServerConfig) -> None:
    """Take this server's address out of its Service's endpoints, where other servers share the store.

    A store that cannot be reached is no reason not to end: the address stays until this server is back.
    """
    if config.store.engine != "etcd":
        return
    try:
        await _withdraw(store, config)
    except StoreError as error:
        _log.warning("%s stays in the endpoints of default/kubernetes: %s", config.advertise_address, error)


async def _withdraw(store: Store, config: ApiServerConfig) -> None:
    for group, plural in (("", "endpoints"), ("discovery.k8s.io", "endpointslices")):
        record = await store.get(_key(group, plural, "default", "kubernetes"))
        while record is not None:
            document = orjson.loads(record.value)
            remaining = [address for address in _addresses(document) if address != config.advertise_address]
            if not remaining or remaining == _addresses(document):
                break
            _set_addresses(document, remaining)
            try:
                await _update(store, record, document)
                break
            except RevisionMismatch as mismatch:  # another server comes or goes at this moment
                record = mismatch.current


async def _ensure(
    store: Store, clock: Clock, group: str, plural: str, document: Document, *, mend: Mend | None = None
) -> None:
    metadata = document["metadata"]
    key = _key(group, plural, metadata.get("namespace", ""), metadata["name"])
    for _ in range(_ATTEMPTS):  # other servers may start at this moment
        record = await store.get(key)
        with contextlib.suppress(KeyExists, RevisionMismatch):
            if record is None:
                identity = {"uid": str(uuid.uuid4()), "creationTimestamp": timestamp(clock.now())}
                await store.create(key, _encode(document | {"metadata": metadata | identity}))
            elif mend is not None and (mended := mend(orjson.loads(record.value), document)) is not None:
                await _update(store, record, mended)
            return


async def _update(store: Store, record: Record, document: Document) -> None:
    await store.update(record.key, _encode(document), expected=record.revision)


def _encode(document: Document) -> bytes:
    metadata = {"resourceVersion": ""} | {k: v for k, v in document["metadata"].items() if k != "resourceVersion"}
    head = {"kind": document["kind"], "apiVersion": document.get("apiVersion", f"{_RBAC}/v1"), "metadata": metadata}
    return orjson.dumps(head | {key: value for key, value in document.items() if key not in head})


def _key(group: str, plural: str, namespace: str, name: str) -> str:
    return "/".join(["", group or "core", plural, *filter(None, [namespace]), name])


def _updates_itself(stored: Document) -> bool:
    annotations = stored["metadata"].get("annotations") or {}
    return bool(annotations.get(policy.AUTOUPDATE) != "false")


def _mend_rules(stored: Document, wanted: Document) -> Document | None:
    if not _updates_itself(stored):
        return None
    mended = _labelled(stored, wanted)
    if rules.uncovered(rules.parse(wanted["rules"]), held=rules.parse(stored.get("rules"))):
        present = stored.get("rules") or []
        mended["rules"] = [*present, *(rule for rule in wanted["rules"] if rule not in present)]
    if "aggregationRule" in wanted:
        mended["aggregationRule"] = _selecting(stored.get("aggregationRule"), wanted["aggregationRule"])
    return mended if mended != stored else None


def _selecting(stored: Document | None, wanted: Document) -> Document:
    present = (stored or {}).get("clusterRoleSelectors") or []
    missing = [selector for selector in wanted["clusterRoleSelectors"] if selector not in present]
    return {"clusterRoleSelectors": [*present, *missing]}


def _mend_subjects(stored: Document, wanted: Document) -> Document | None:
    if not _updates_itself(stored):
        return None
    mended, present = _labelled(stored, wanted), stored.get("subjects") or []
    if missing := [subject for subject in wanted.get("subjects") or [] if subject not in present]:
        mended["subjects"] = [*present, *missing]
    mended["roleRef"] = wanted["roleRef"]
    return mended if mended != stored else None


def _labelled(stored: Document, wanted: Document) -> Document:
    """A copy with the labels and annotations that a default has and the object lacks."""
    metadata = dict(stored["metadata"])
    for field in ("labels", "annotations"):
        metadata[field] = wanted["metadata"][field] | (metadata.get(field) or {})
    return {**stored, "metadata": metadata}


def _replace(*fields: str) -> Mend:
    def mend(stored: Document, wanted: Document) -> Document | None:
        if all(stored.get(field) == wanted[field] for field in fields):
            return None
        return {**stored, **{field: wanted[field] for field in fields}}

    return mend


def _namespaces() -> Iterator[Document]:
    for name in NAMESPACES:
        yield {
            "kind": "Namespace",
            "apiVersion": "v1",
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        }


def _priority_classes() -> Iterator[Document]:
    for name, value, where in (
        ("system-cluster-critical", 2_000_000_000, "anywhere in the cluster, but may be moved to another node"),
        ("system-node-critical", 2_000_001_000, "on its node and must not be moved from it"),
    ):
        yield {
            "kind": "PriorityClass",
            "apiVersion": "scheduling.k8s.io/v1",
            "metadata": {"name": name, "generation": 1},
            "value": value,
            "description": f"For system critical pods that must run {where}.",
            "preemptionPolicy": "PreemptLowerPriority",
        }


def _local_storage_class() -> Document:
    return {
        "kind": "StorageClass",
        "apiVersion": "storage.k8s.io/v1",
        "metadata": {"name": "local", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": local_volumes.PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
    }


def _service_range(config: ApiServerConfig, clock: Clock) -> Document:
    """The range that Services get their addresses from, as clients read it."""
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "",
        "message": "Kubernetes default Service CIDR is ready",
        "lastTransitionTime": timestamp(clock.now()),
    }
    return {
        "kind": "ServiceCIDR",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {"name": "kubernetes", "generation": 1},
        "spec": {"cidrs": [str(network) for network in ranges.parse(config.service_cidr)]},
        "status": {"conditions": [ready]},
    }


def _second_family(stored: Document, wanted: Document) -> Document | None:
    """A range of the other family may come beside the first; nothing else ever changes."""
    before, after = stored["spec"]["cidrs"], wanted["spec"]["cidrs"]
    return {**stored, "spec": wanted["spec"]} if len(before) == 1 and before == after[:1] != after else None


def _own_service(config: ApiServerConfig, port: int, now: datetime) -> Iterator[tuple[str, str, Document, Mend]]:
    address = config.advertise_address
    family = "IPv6" if ipaddress.ip_address(address).version == 6 else "IPv4"
    network = ranges.parse(config.service_cidr)[0]
    cluster_ip = str(network[1])
    metadata: dict[str, Any] = {"name": "kubernetes", "namespace": "default"}
    ports = [{"name": "https", "port": port, "protocol": "TCP"}]
    service = {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": metadata | {"labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "clusterIP": cluster_ip,
            "clusterIPs": [cluster_ip],
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv6" if network.version == 6 else "IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
        "status": {"loadBalancer": {}},
    }
    endpoints = {
        "kind": "Endpoints",
        "apiVersion": "v1",
        "metadata": metadata | {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": address}], "ports": ports}],
    }
    endpoint_slice = {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": metadata | {"labels": {"kubernetes.io/service-name": "kubernetes"}, "generation": 1},
        "addressType": family,
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": ports,
    }
    join = _join if config.store.engine == "etcd" else None
    yield "", "services", service, _replace("spec")
    record = address_record(cluster_ip, namespace="default", name="kubernetes", now=now)
    yield "networking.k8s.io", "ipaddresses", record, _replace("spec")
    yield "", "endpoints", endpoints, join or _replace("subsets")
    yield "discovery.k8s.io", "endpointslices", endpoint_slice, join or _replace("endpoints", "ports")


def _join(stored: Document, wanted: Document) -> Document | None:
    """Servers that share a store all stand in the Service's endpoints."""
    present = _addresses(stored)
    if not set(_addresses(wanted)) - set(present):
        return None
    mended: Document = orjson.loads(orjson.dumps(wanted)) | {"metadata": stored["metadata"]}
    _set_addresses(mended, sorted({*present, *_addresses(wanted)}))
    return mended


def _addresses(document: Document) -> list[str]:
    if document["kind"] == "Endpoints":
        return [item["ip"] for subset in document.get("subsets") or [] for item in subset.get("addresses") or []]
    return [address for endpoint in document.get("endpoints") or [] for address in endpoint["addresses"]]


def _set_addresses(document: Document, addresses: list[str]) -> None:
    if document["kind"] == "Endpoints":
        document["subsets"][0]["addresses"] = [{"ip": address} for address in addresses]
    else:
        document["endpoints"] = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]


def _authentication(config: ApiServerConfig) -> Document:
    """What aggregated API servers read to know our users: by certificate, and as named by us in headers."""
    data = {"client-ca-file": config.client_ca_file.read_text()}
    if config.requestheader_client_ca_file is not None:
        data["requestheader-client-ca-file"] = config.requestheader_client_ca_file.read_text()
        for name, values in (
            ("allowed-names", config.requestheader_allowed_names),
            ("extra-headers-prefix", config.requestheader_extra_headers_prefix),
            ("group-headers", config.requestheader_group_headers),
            ("uid-headers", config.requestheader_uid_headers),
            ("username-headers", config.requestheader_username_headers),
        ):
            data[f"requestheader-{name}"] = orjson.dumps(values).decode()
    return {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": data,
    }
