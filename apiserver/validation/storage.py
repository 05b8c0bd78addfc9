"""Rules of `storage.k8s.io`: classes, drivers, capacities, attachments.

Source: Kubernetes' storage validation.
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, duplicate, forbidden_field, invalid_value, required, too_long
from k8slite.quantity import QuantityError, parse

from . import names
from .selectors import label_selector
from .values import choice, distinct, each, needed, non_negative, optional_choice, spelled, unchanged

Document = dict[str, Any]

_LONGEST_DRIVER = 63
_LONGEST_NODE_ID = 192
_MOST_PARAMETERS = 512
_LARGEST_PARAMETERS = 256 * 1024
_SHORTEST_TOKEN = 600
_LONGEST_TOKEN = 1 << 32
_ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
_LIFECYCLES = ("Ephemeral", "Persistent")


def driver_name(name: str | None, field: str) -> list[Cause]:
    """The name of a storage or device driver: a domain name, upper case allowed."""
    if not name:
        return [required(field)]
    causes = [too_long(field, _LONGEST_DRIVER)] if len(name) > _LONGEST_DRIVER else []
    if problem := names.dns_subdomain(name.lower()):
        causes.append(invalid_value(field, name, problem))
    return causes


def _parameters(parameters: dict[str, str], *, needed: bool) -> list[Cause]:
    if not parameters:
        return [required("parameters", "must contain at least one key/value pair")] if needed else []
    causes = [too_long("parameters", _MOST_PARAMETERS)] if len(parameters) > _MOST_PARAMETERS else []
    if "" in parameters:
        causes.append(invalid_value("parameters", "", "field can not be empty."))
    if sum(len(key) + len(value) for key, value in parameters.items()) > _LARGEST_PARAMETERS:
        causes.append(too_long("parameters", _LARGEST_PARAMETERS))
    return causes


def _forbidden_changes(new: Document, old: Document, *fields: str) -> list[Cause]:
    return [
        forbidden_field(name, f"updates to {name} are forbidden.") for name in fields if new.get(name) != old.get(name)
    ]


def storage_class(obj: Document) -> list[Cause]:
    """What is wrong with a StorageClass."""
    provisioner = obj.get("provisioner")
    causes = needed(provisioner, "provisioner")
    if provisioner and (problem := names.qualified_name(provisioner.lower())):
        causes.append(invalid_value("provisioner", provisioner, problem))
    causes += _parameters(obj.get("parameters") or {}, needed=False)
    causes += optional_choice(obj.get("reclaimPolicy"), "reclaimPolicy", ("Delete", "Retain"))
    causes += choice(obj.get("volumeBindingMode"), "volumeBindingMode", ("Immediate", "WaitForFirstConsumer"))
    return causes + each(obj.get("allowedTopologies"), "allowedTopologies", _topology)


def _topology(term: Document, field: str) -> list[Cause]:
    expressions, here = term.get("matchLabelExpressions"), f"{field}.matchLabelExpressions"

    def check(expression: Document, place: str) -> list[Cause]:
        values = expression.get("values") or []
        causes = spelled(expression.get("key") or "", f"{place}.key", names.qualified_name)
        return causes + needed(values, f"{place}.values") + distinct(values, f"{place}.values")

    keys = [expression.get("key") for expression in expressions or ()]
    return each(expressions, here, check) + distinct(keys, here, "key")


def storage_class_update(new: Document, old: Document) -> list[Cause]:
    """A class is for ever what it is, for volumes were made by it."""
    causes = _forbidden_changes(new, old, "parameters", "provisioner", "reclaimPolicy")
    return causes + unchanged(new, old, "volumeBindingMode")


def attributes_class(obj: Document) -> list[Cause]:
    """What is wrong with a VolumeAttributesClass."""
    return driver_name(obj.get("driverName"), "driverName") + _parameters(obj.get("parameters") or {}, needed=True)


def attributes_class_update(new: Document, old: Document) -> list[Cause]:
    """A class is for ever what it is."""
    return _forbidden_changes(new, old, "driverName", "parameters")


def volume_attachment(obj: Document) -> list[Cause]:
    """What is wrong with a VolumeAttachment."""
    spec = obj.get("spec") or {}
    source = spec.get("source") or {}
    causes = driver_name(spec.get("attacher"), "spec.attacher")
    inline, name = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    if inline is None and not name:
        causes.append(required("spec.source", _ONE_SOURCE))
    elif inline is not None and name:
        causes.append(forbidden_field("spec.source", _ONE_SOURCE))
    elif name:
        causes += spelled(name, "spec.source.persistentVolumeName", names.dns_subdomain)
    return causes + spelled(spec.get("nodeName") or "", "spec.nodeName", names.dns_subdomain)


def volume_attachment_update(new: Document, old: Document) -> list[Cause]:
    """An attachment is for ever of one volume to one node."""
    return unchanged(new, old, "spec")


def csi_driver(obj: Document) -> list[Cause]:
    """What is wrong with a CSIDriver."""
    spec = obj.get("spec") or {}
    causes = driver_name(obj["metadata"].get("name"), "metadata.name")
    for name in ("attachRequired", "podInfoOnMount", "storageCapacity", "seLinuxMount"):
        if spec.get(name) is None:
            causes.append(required(f"spec.{name}"))
    causes += optional_choice(spec.get("fsGroupPolicy"), "spec.fsGroupPolicy", _GROUP_POLICIES)
    causes += each(spec.get("tokenRequests"), "spec.tokenRequests", _token_request)
    seen: set[str] = set()
    for index, request in enumerate(spec.get("tokenRequests") or ()):
        audience = request.get("audience") or ""
        if audience in seen:
            causes.append(duplicate(f"spec.tokenRequests[{index}].audience", audience))
        seen.add(audience)
    modes = spec.get("volumeLifecycleModes")
    field = "spec.volumeLifecycleModes"
    return causes + each(modes, field, lambda mode, _: optional_choice(mode, field, _LIFECYCLES))


def _token_request(request: Document, field: str) -> list[Cause]:
    seconds, here = request.get("expirationSeconds"), f"{field}.expirationSeconds"
    if seconds is not None and seconds < _SHORTEST_TOKEN:
        return [invalid_value(here, seconds, "may not specify a duration less than 10 minutes")]
    if seconds is not None and seconds > _LONGEST_TOKEN:
        return [invalid_value(here, seconds, "may not specify a duration larger than 2^32 seconds")]
    return []


def csi_driver_update(new: Document, old: Document) -> list[Cause]:
    """How a driver attaches is for ever."""
    causes = unchanged(new, old, "spec.attachRequired", "spec.volumeLifecycleModes")
    return [
        Cause(c.reason, c.message, "spec.attachedRequired") if c.field == "spec.attachRequired" else c for c in causes
    ]


def csi_node(obj: Document) -> list[Cause]:
    """What is wrong with a CSINode."""
    drivers = (obj.get("spec") or {}).get("drivers")
    listed = [driver.get("name") for driver in drivers or ()]
    return each(drivers, "spec.drivers", _node_driver) + distinct(listed, "spec.drivers", "name")


def _node_driver(driver: Document, field: str) -> list[Cause]:
    node, keys = driver.get("nodeID") or "", driver.get("topologyKeys") or []
    causes = driver_name(driver.get("name"), f"{field}.name") + needed(node, f"{field}.nodeID")
    if len(node) > _LONGEST_NODE_ID:
        causes.append(invalid_value(f"{field}.nodeID", node, f"must be {_LONGEST_NODE_ID} characters or less"))
    causes += non_negative((driver.get("allocatable") or {}).get("count"), f"{field}.allocatable.count")
    causes += each(keys, f"{field}.topologyKeys", lambda key, here: spelled(key, here, names.qualified_name))
    return causes + distinct(keys, f"{field}.topologyKeys")


def csi_node_update(new: Document, old: Document) -> list[Cause]:
    """What a driver said of a node stays; how much it may allocate is its own matter."""
    before = {driver.get("name"): driver for driver in (old.get("spec") or {}).get("drivers") or ()}
    causes = []
    for driver in (new.get("spec") or {}).get("drivers") or ():
        known = before.get(driver.get("name"))
        if known is not None and {**known, "allocatable": 0} != {**driver, "allocatable": 0}:
            causes.append(invalid_value("CSINodeDriver", driver, "field is immutable"))
    return causes


def storage_capacity(obj: Document) -> list[Cause]:
    """What is wrong with a CSIStorageCapacity."""
    causes = label_selector(obj.get("nodeTopology"), "nodeTopology")
    causes += spelled(obj.get("storageClassName") or "", "storageClassName", names.dns_subdomain)
    for name in ("capacity", "maximumVolumeSize"):
        if (amount := obj.get(name)) is not None and _is_negative(amount):
            causes.append(invalid_value(name, amount, "must be greater than or equal to 0"))
    return causes


def _is_negative(amount: Any) -> bool:
    try:
        return parse(amount) < 0
    except QuantityError:
        return False


def storage_capacity_update(new: Document, old: Document) -> list[Cause]:
    """A capacity is for ever of one topology and class."""
    return unchanged(new, old, "nodeTopology", "storageClassName")
