"""ImageLocality: how much of a pod's images a node has already."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]
MIB = 2**20


class Known:
    """What nodes reported, one after the other: an image has the size that the first told that has had it since."""

    def __init__(self) -> None:
        self.nodes: dict[str, Document] = {}
        self.sizes: dict[str, int] = {}
        self.having: dict[str, set[str]] = {}

    def tell(self, name: str, node: Document | None) -> None:
        for image in self.nodes.pop(name, {}).get("status", {}).get("images", []):
            for each in image["names"]:
                if each in self.having:
                    self.having[each].discard(name)
                    if not self.having[each]:
                        del self.having[each], self.sizes[each]
        if node is None:
            return
        self.nodes[name] = node
        for image in node["status"].get("images", []):
            for each in image["names"]:
                self.sizes.setdefault(each, image["sizeBytes"])
                self.having.setdefault(each, set()).add(name)

    def score(self, pod: Document, node: str) -> int:
        total = 0
        wanted = [with_tag(image) for image in images(pod)]
        for image in wanted:
            if node in self.having.get(image, ()):
                total += int(float(self.sizes[image]) * (len(self.having[image]) / len(self.nodes)))
        most = 1000 * MIB * len(wanted)
        return 100 * (min(max(total, 23 * MIB), most) - 23 * MIB) // (most - 23 * MIB)


def images(pod: Document) -> list[str]:
    spec = pod["spec"]
    running = [container.get("image", "") for container in spec["containers"] + spec.get("initContainers", [])]
    return running + [volume["image"]["reference"] for volume in spec.get("volumes", []) if "image" in volume]


def with_tag(name: str) -> str:
    last = name.rpartition("/")[2]
    return name if ":" in last else name + ":latest"
