"""NodePorts: host ports that two pods of a node cannot both have."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def free(pod: Document, placed: list[Document]) -> bool:
    taken = [port for other in placed for port in wanted(other)]
    return not any(clash(mine, theirs) for mine in wanted(pod) for theirs in taken)


def wanted(pod: Document) -> list[tuple[str, str, int]]:
    spec = pod["spec"]
    sidecars = [each for each in spec.get("initContainers", []) if each.get("restartPolicy") == "Always"]
    return [
        (port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", port["hostPort"])
        for container in spec["containers"] + sidecars
        for port in container.get("ports", [])
        if port.get("hostPort", 0) > 0
    ]


def clash(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    return one[1:] == other[1:] and (one[0] == other[0] or "0.0.0.0" in (one[0], other[0]))
