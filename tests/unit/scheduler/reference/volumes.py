"""VolumeRestrictions, VolumeZone and NodeVolumeLimits, one node at a time, over documents."""

from __future__ import annotations

from typing import Any

from .volume_binding import World, class_name

Document = dict[str, Any]
TODAY = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region": "topology.kubernetes.io/region",
}
DRIVER_OF_SOURCE = {
    "awsElasticBlockStore": ("ebs.csi.aws.com", "volumeID"),
    "cinder": ("cinder.csi.openstack.org", "volumeID"),
    "portworxVolume": ("pxd.portworx.com", "volumeID"),
    "azureDisk": ("disk.csi.azure.com", "diskURI"),
}
DRIVER_OF_PLUGIN = {
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org",
    "kubernetes.io/portworx-volume": "pxd.portworx.com",
    "kubernetes.io/azure-disk": "disk.csi.azure.com",
}


def on(node: Document, world: World) -> list[Document]:
    return [pod for pod in world.placed if pod["spec"]["nodeName"] == node["metadata"]["name"]]


def volumes_of(pod: Document) -> list[Document]:
    found: list[Document] = pod["spec"].get("volumes", [])
    return found


def named(pod: Document) -> list[tuple[str, str]]:
    """Names and namespaces of the claims that a pod names itself."""
    namespace = pod["metadata"]["namespace"]
    return [
        (v["persistentVolumeClaim"]["claimName"], namespace) for v in volumes_of(pod) if "persistentVolumeClaim" in v
    ]


def clash(mine: Document, theirs: Document) -> bool:
    def both(source: str) -> tuple[Document, Document] | None:
        return (mine[source], theirs[source]) if source in mine and source in theirs else None

    if (pair := both("awsElasticBlockStore")) and pair[0]["volumeID"] == pair[1]["volumeID"]:
        return True
    reading = []
    if (pair := both("gcePersistentDisk")) and pair[0]["pdName"] == pair[1]["pdName"]:
        reading = [each.get("readOnly", False) for each in pair]
    if (pair := both("iscsi")) and pair[0]["iqn"] == pair[1]["iqn"]:
        reading = [each.get("readOnly", False) for each in pair]
    if pair := both("rbd"):
        same = all(pair[0].get(key, "rbd") == pair[1].get(key, "rbd") for key in ("pool", "image"))
        if same and set(pair[0]["monitors"]) & set(pair[1]["monitors"]):
            reading = [each.get("readOnly", False) for each in pair]
    return bool(reading) and not all(reading)


def restricted(pod: Document, node: Document, world: World) -> str:
    for other in on(node, world):
        if any(clash(mine, theirs) for mine in volumes_of(pod) for theirs in volumes_of(other)):
            return "node(s) had no available disk"
    used = {key for other in world.placed for key in named(other)}
    for key in named(pod):
        claim = world.get("PersistentVolumeClaim", *key)
        if claim is not None and "ReadWriteOncePod" in claim["spec"]["accessModes"] and key in used:
            return (
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode "
                "already in-use by another pod"
            )
    return ""


def zone_unknown(pod: Document, world: World) -> str:
    """Why it cannot be told where the pod's volumes lie."""
    for key in named(pod):
        claim = world.get("PersistentVolumeClaim", *key)
        if claim is None:
            return f'persistentvolumeclaim "{key[0]}" not found'
        name = claim["spec"].get("volumeName")
        if name:
            if world.get("PersistentVolume", name) is None:
                return f'persistentvolume "{name}" not found'
            continue
        if not class_name(claim):
            return "PersistentVolumeClaim had no pv name and storageClass name"
        found = world.get("StorageClass", class_name(claim))
        if found is None:
            return f'storageclass.storage.k8s.io "{class_name(claim)}" not found'
        if found["volumeBindingMode"] != "WaitForFirstConsumer":
            return "PersistentVolume had no name"
    return ""


def in_zone(pod: Document, node: Document, world: World) -> bool:
    labels = node["metadata"]["labels"]
    if not any(key in labels for key in TODAY):
        return True
    for key in named(pod):
        claim = world.get("PersistentVolumeClaim", *key)
        volume = world.get("PersistentVolume", claim["spec"].get("volumeName", "")) if claim else None
        for label, text in (volume["metadata"]["labels"] if volume else {}).items():
            values = [part.strip() for part in text.split("__")]
            if label not in TODAY or not all(values):
                continue
            value = labels.get(label, labels.get(TODAY[label]))
            if value not in values:
                return False
    return True


def attachables(pod: Document, world: World) -> set[tuple[str, str]]:
    """The drivers and handles of what a node must attach for a pod."""
    found = set()
    for volume in volumes_of(pod):
        if "persistentVolumeClaim" in volume:
            name = volume["persistentVolumeClaim"]["claimName"]
        elif "ephemeral" in volume:
            name = f"{pod['metadata']['name']}-{volume['name']}"
        else:
            found |= of_source(volume)
            continue
        claim = world.get("PersistentVolumeClaim", name, pod["metadata"]["namespace"])
        if claim is not None:
            found |= of_claim(claim, world)
    return found


def of_source(source: Document) -> set[tuple[str, str]]:
    for key, (driver, handle) in DRIVER_OF_SOURCE.items():
        if key in source:
            return {(driver, source[key][handle].rpartition("/")[2])}
    return set()


def of_claim(claim: Document, world: World) -> set[tuple[str, str]]:
    volume = world.get("PersistentVolume", claim["spec"].get("volumeName", ""))
    if volume is not None:
        csi = volume["spec"].get("csi")
        return {(csi["driver"], csi["volumeHandle"])} if csi else of_source(volume["spec"])
    found = world.get("StorageClass", class_name(claim))
    if found is None:
        return set()
    driver = DRIVER_OF_PLUGIN.get(found["provisioner"], found["provisioner"])
    return {(driver, f"to be made for {claim['metadata']['namespace']}/{claim['metadata']['name']}")}


def limited(pod: Document, node: Document, world: World) -> str:
    csi_node = world.get("CSINode", node["metadata"]["name"])
    new = attachables(pod, world)
    drivers = {each["name"]: each for each in (csi_node["spec"]["drivers"] if csi_node else [])}
    for driver, _ in sorted(new):
        said = world.get("CSIDriver", driver)
        if said is not None and said["spec"]["preventPodSchedulingIfMissing"] and driver not in drivers:
            return "CSI driver is not installed on the node"
    used: set[tuple[str, str]] = set()
    for other in on(node, world):
        used |= attachables(other, world)
    attached = set(used)
    for each in world.of("VolumeAttachment"):
        volume = world.get("PersistentVolume", each["spec"]["source"]["persistentVolumeName"])
        if each["spec"]["nodeName"] == node["metadata"]["name"] and volume is not None and "csi" in volume["spec"]:
            attached.add((each["spec"]["attacher"], volume["spec"]["csi"]["volumeHandle"]))
    for driver in {driver for driver, _ in new - used}:
        limit = drivers.get(driver, {}).get("allocatable", {}).get("count")
        before, more = (sum(each[0] == driver for each in volumes) for volumes in (attached, new - used))
        if limit is not None and before + more > limit:
            return "node(s) exceed max volume count"
    return ""
