"""VolumeBinding: one node at a time, over documents. `world` has storage in the order in which it was seen."""

from __future__ import annotations

from typing import Any, Protocol

from .node_affinity import holds

Document = dict[str, Any]
SELECTED = "volume.kubernetes.io/selected-node"
COMPLETED = "pv.kubernetes.io/bind-completed"
MIGRATED = "storage.alpha.kubernetes.io/migrated-plugins"
UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "": 1}
ZONE_OF_DRIVER = {
    "kubernetes.io/aws-ebs": "topology.ebs.csi.aws.com/zone",
    "kubernetes.io/gce-pd": "topology.gke.io/zone",
    "kubernetes.io/cinder": "topology.cinder.csi.openstack.org/zone",
}
PLUGIN_OF_SOURCE = {
    "awsElasticBlockStore": "kubernetes.io/aws-ebs",
    "gcePersistentDisk": "kubernetes.io/gce-pd",
    "azureDisk": "kubernetes.io/azure-disk",
    "cinder": "kubernetes.io/cinder",
    "portworxVolume": "kubernetes.io/portworx-volume",
}
LABELS = (
    ("topology.kubernetes.io/zone", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region"),
)


class World(Protocol):
    nodes: list[Document]
    placed: list[Document]

    def of(self, kind: str) -> list[Document]: ...
    def get(self, kind: str, name: str, namespace: str = "") -> Document | None: ...


def size_of(quantity: str | None) -> int:
    if quantity is None:
        return 0
    number = quantity.rstrip("KMGTi")
    return int(number) * UNITS[quantity[len(number) :]]


def requested(claim: Document) -> int:
    return size_of(claim["spec"]["resources"]["requests"].get("storage"))


def annotations(document: Document) -> dict[str, str]:
    found: dict[str, str] = document["metadata"].get("annotations") or {}
    return found


def class_name(claim: Document) -> str:
    return claim["spec"].get("storageClassName") or ""


def fully_bound(claim: Document) -> bool:
    return bool(claim["spec"].get("volumeName")) and COMPLETED in annotations(claim)


def claims_of(pod: Document, world: World) -> tuple[str, list[Document]]:
    """Why the pod cannot run anywhere, or its claims, each once."""
    found: list[Document] = []
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    for volume in pod["spec"].get("volumes", []):
        if "persistentVolumeClaim" in volume:
            wanted, own = volume["persistentVolumeClaim"]["claimName"], False
        elif "ephemeral" in volume:
            wanted, own = f"{name}-{volume['name']}", True
        else:
            continue
        claim = world.get("PersistentVolumeClaim", wanted, namespace)
        if claim is None and own:
            return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{wanted}"', []
        if claim is None:
            return f'persistentvolumeclaim "{wanted}" not found', []
        if claim["status"]["phase"] == "Lost":
            lost = claim["spec"].get("volumeName", "")
            return f'persistentvolumeclaim "{wanted}" bound to non-existent persistentvolume "{lost}"', []
        if "deletionTimestamp" in claim["metadata"]:
            return f'persistentvolumeclaim "{wanted}" is being deleted', []
        owners = claim["metadata"].get("ownerReferences", [])
        if own and not any(o["controller"] and o["uid"] == pod["metadata"]["uid"] for o in owners):
            return f"PVC {namespace}/{wanted} was not created for pod {namespace}/{name} (pod is not owner)", []
        if claim not in found:
            found.append(claim)
    return "", found


def delayed(claim: Document, world: World) -> bool:
    found = world.get("StorageClass", class_name(claim))
    return found is not None and found["volumeBindingMode"] == "WaitForFirstConsumer"


def rejected(pod: Document, world: World) -> str:
    reason, claims = claims_of(pod, world)
    if reason:
        return reason
    for claim in claims:
        if not fully_bound(claim) and (not delayed(claim, world) or claim["spec"].get("volumeName")):
            return "pod has unbound immediate PersistentVolumeClaims"
    return ""


def reaches(terms: list[Document], node: Document) -> bool:
    for term in terms:
        expressions = term.get("matchExpressions") or []
        if (expressions or term.get("matchFields")) and all(holds(e, node["metadata"]["labels"]) for e in expressions):
            return True
    return False


def terms_of(volume: Document) -> list[Document] | None:
    required: Document | None = (volume["spec"].get("nodeAffinity") or {}).get("required")
    return None if required is None else required["nodeSelectorTerms"]


def usable(volume: Document, node: Document) -> bool:
    terms = terms_of(volume)
    return terms is None or reaches(terms, node)


def translated(volume: Document, plugin: str) -> list[Document] | None:
    """The affinity as the driver that serves an old plugin's volume would have it."""
    terms, key = terms_of(volume), ZONE_OF_DRIVER.get(plugin)
    if key is None:
        return terms
    labels = volume["metadata"].get("labels", {})
    mentioned = {e["key"] for term in terms or [] for e in term.get("matchExpressions") or []}
    named = next((pair for pair in LABELS if pair[0] in mentioned), None)
    zone, region = named or next((pair for pair in LABELS if pair[0] in labels), LABELS[0])
    expressions = [e for term in terms or [] for e in term.get("matchExpressions") or []]
    if any(e["key"] == zone and e["values"] for e in expressions):
        terms = renamed(terms, zone, key)
    elif zone in labels and (zones := [part.strip() for part in labels[zone].split("__") if part.strip()]):
        added = {"key": key, "operator": "In", "values": zones}
        terms = [term | {"matchExpressions": [*(term.get("matchExpressions") or []), added]} for term in terms or [{}]]
    if region == LABELS[1][1]:
        terms = renamed(terms, region, LABELS[0][1])
    return terms


def renamed(terms: list[Document] | None, old: str, new: str) -> list[Document] | None:
    if terms is None:
        return None
    return [
        term
        | {"matchExpressions": [e | {"key": new} if e["key"] == old else e for e in term.get("matchExpressions") or []]}
        for term in terms
    ]


def served(volume: Document, node: Document, world: World) -> bool:
    """Whether a bound volume can be used on a node."""
    plugin = next((PLUGIN_OF_SOURCE[source] for source in PLUGIN_OF_SOURCE if source in volume["spec"]), "")
    csi_node = world.get("CSINode", node["metadata"]["name"])
    if plugin and csi_node is not None and plugin in annotations(csi_node).get(MIGRATED, "").split(","):
        terms = translated(volume, plugin)
        return terms is None or reaches(terms, node)
    return usable(volume, node)


def is_kept_for(volume: Document, claim: Document) -> bool:
    reference = volume["spec"].get("claimRef")
    metadata = claim["metadata"]
    return (
        reference is not None
        and (reference["namespace"], reference["name"]) == (metadata["namespace"], metadata["name"])
        and reference.get("uid", "") in ("", metadata["uid"])
    )


def best_volume(claim: Document, node: Document, world: World, taken: list[str]) -> Document | None:
    smallest: Document | None = None
    spec = claim["spec"]
    for volume in world.of("PersistentVolume"):
        theirs = volume["spec"]
        if theirs.get("storageClassName", "") != class_name(claim) or volume["metadata"]["name"] in taken:
            continue
        if theirs.get("claimRef") is not None and not is_kept_for(volume, claim):
            continue
        if size_of(theirs["capacity"]["storage"]) < requested(claim):
            continue
        if theirs.get("volumeMode", "Filesystem") != spec.get("volumeMode", "Filesystem"):
            continue
        if theirs.get("volumeAttributesClassName", "") != spec.get("volumeAttributesClassName", ""):
            continue
        if "deletionTimestamp" in volume["metadata"]:
            continue
        if is_kept_for(volume, claim):
            return volume if usable(volume, node) else None
        if volume["status"]["phase"] != "Available":
            continue
        selector = spec.get("selector")
        if selector is not None and not selected(selector, volume["metadata"]["labels"]):
            continue
        if not usable(volume, node) or not set(spec["accessModes"]) <= set(theirs["accessModes"]):
            continue
        if smallest is None or size_of(theirs["capacity"]["storage"]) < size_of(
            smallest["spec"]["capacity"]["storage"]
        ):
            smallest = volume
    return smallest


def selected(selector: Document, labels: dict[str, str]) -> bool:
    exact = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in exact.items()) and all(
        holds(rule, labels) for rule in selector.get("matchExpressions") or []
    )


def topology(storage_class: Document, node: Document) -> bool:
    terms = storage_class.get("allowedTopologies")
    if not terms:
        return True
    labels = node["metadata"]["labels"]
    return any(
        term["matchLabelExpressions"]
        and all(labels.get(e["key"], None) in e["values"] for e in term["matchLabelExpressions"])
        for term in terms
    )


def room(claim: Document, storage_class: Document, node: Document, world: World) -> tuple[bool, Document | None]:
    """Whether there is enough room for a new volume, and which capacity says so."""
    found = world.get("CSIDriver", storage_class["provisioner"])
    if "storage" not in claim["spec"]["resources"]["requests"] or found is None or not found["spec"]["storageCapacity"]:
        return True, None
    for capacity in world.of("CSIStorageCapacity"):
        limit = capacity.get("maximumVolumeSize", capacity.get("capacity"))
        if (
            capacity["storageClassName"] == storage_class["metadata"]["name"]
            and limit is not None
            and size_of(limit) >= requested(claim)
            and "nodeTopology" in capacity
            and selected(capacity["nodeTopology"], node["metadata"]["labels"])
        ):
            return True, capacity
    return False, None


class Found:
    """What the claims of a pod would get on a node, and why they cannot."""

    def __init__(self) -> None:
        self.reasons: set[str] = set()
        self.bindings: list[tuple[Document, Document]] = []
        self.provisions: list[tuple[Document, Document | None]] = []


def find(pod: Document, node: Document, world: World) -> Found:
    found = Found()
    _, claims = claims_of(pod, world)
    for claim in claims:
        if fully_bound(claim):
            volume = world.get("PersistentVolume", claim["spec"]["volumeName"])
            if volume is None:
                found.reasons.add("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)")
                break
            if not served(volume, node, world):
                found.reasons.add("node(s) didn't match PersistentVolume's node affinity")
                break
    unbound = [claim for claim in claims if not fully_bound(claim)]
    chosen = [claim for claim in unbound if SELECTED in annotations(claim)]
    if any(annotations(claim)[SELECTED] != node["metadata"]["name"] for claim in chosen):
        found.reasons.add("node(s) didn't find available persistent volumes to bind")
        return found
    to_provision = list(chosen)
    for claim in sorted((claim for claim in unbound if claim not in chosen), key=requested):
        taken = [volume["metadata"]["name"] for _, volume in found.bindings]
        best = best_volume(claim, node, world, taken)
        if best is None:
            to_provision.append(claim)
        else:
            found.bindings.append((claim, best))
    for claim in to_provision:
        storage_class = world.get("StorageClass", class_name(claim))
        assert storage_class is not None
        if storage_class["provisioner"] in ("", "kubernetes.io/no-provisioner") or not topology(storage_class, node):
            found.reasons.add("node(s) didn't find available persistent volumes to bind")
            break
        enough, capacity = room(claim, storage_class, node, world)
        if not enough:
            found.reasons.add("node(s) did not have enough free storage")
            break
        found.provisions.append((claim, capacity))
    return found


def score(found: Found, shape: list[tuple[int, int]]) -> int:
    uses: dict[str, list[int]] = {}
    for claim, volume in found.bindings:
        use = uses.setdefault(class_name(claim), [0, 0])
        use[0] += requested(claim)
        use[1] += size_of(volume["spec"]["capacity"]["storage"])
    if not found.bindings:
        for claim, capacity in found.provisions:
            if capacity is not None:
                use = uses.setdefault(class_name(claim), [0, 0])
                use[0] += requested(claim)
                use[1] = size_of(capacity.get("capacity"))
    if not uses:
        return 0
    total = 0
    for asked, available in uses.values():
        full = available == 0 or asked > available
        total += on_line(100 if full else asked * 100 // available, shape)
    return int(total / len(uses) + 0.5)


def on_line(utilization: int, shape: list[tuple[int, int]]) -> int:
    """The score at a utilization, 0–100: divisions drop what is behind the point."""
    before: tuple[int, int] | None = None
    for at, points in shape:
        if utilization <= at:
            if before is None:
                return points * 10
            rise = (points - before[1]) * 10 * (utilization - before[0])
            step = abs(rise) // (at - before[0])
            return before[1] * 10 + (step if rise >= 0 else -step)
        before = at, points
    return shape[-1][1] * 10
