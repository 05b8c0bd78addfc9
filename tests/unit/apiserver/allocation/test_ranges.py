from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from k8slite.apiserver.allocation.ranges import Ranges
from k8slite.config import ConfigError


@dataclass
class Entry:
    document: dict[str, Any]


@dataclass
class Cidrs:
    """ServiceCIDRs, as the watch cache has them."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    changed: int = 0

    def put(self, name: str, *cidrs: str, ready: str = "True", deleting: bool = False) -> None:
        metadata = {"name": name} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {})
        self.documents = [each for each in self.documents if each["metadata"]["name"] != name]
        status = {"conditions": [{"type": "Ready", "status": ready}]}
        self.documents.append({"metadata": metadata, "spec": {"cidrs": list(cidrs)}, "status": status})
        self.changed += 1

    def select(self) -> list[Entry]:
        return [Entry(document) for document in self.documents]


def texts(ranges: Ranges, family: str = "IPv4") -> list[str]:
    return [str(network) for network in ranges.of(family)]


def test_service_cidrs_add_to_the_configuration_once_they_are_ready() -> None:
    cidrs = Cidrs()
    ranges = Ranges("10.96.0.0/16,fd00::/112", cidrs)  # type: ignore[arg-type]
    assert ranges.families == ("IPv4", "IPv6")
    assert texts(ranges) == ["10.96.0.0/16"] and texts(ranges, "IPv6") == ["fd00::/112"]
    cidrs.put("kubernetes", "10.96.0.0/16", "fd00::/112")
    cidrs.put("more", "10.97.0.0/24", ready="False")
    assert texts(ranges) == ["10.96.0.0/16"]
    cidrs.put("more", "10.97.0.0/24")
    assert texts(ranges) == ["10.96.0.0/16", "10.97.0.0/24"]
    cidrs.put("more", "10.97.0.0/24", deleting=True)
    cidrs.put("kubernetes", "10.96.0.0/16", deleting=True)
    assert texts(ranges) == [] and texts(ranges, "IPv6") == ["fd00::/112"]


@pytest.mark.parametrize(
    ("configured", "cidr", "numbers"),
    [
        ("10.0.0.0/29", "", range(2, 7)),
        ("10.0.0.0/29", "10.1.0.0/30", range(1, 3)),
        ("10.0.0.0/29", "10.1.0.0/32", range(1, 0)),
        ("fd00::/125", "", range(2, 8)),
    ],
)
def test_which_addresses_of_a_range(configured: str, cidr: str, numbers: range) -> None:
    cidrs = Cidrs()
    ranges = Ranges(configured, cidrs)  # type: ignore[arg-type]
    if cidr:
        cidrs.put("more", cidr)
    network = ranges.of(ranges.families[0])[-1]
    assert ranges.offsets(network) == numbers


@pytest.mark.parametrize("configured", ["", "10.0.0.1/8", "10.0.0.0/16,10.1.0.0/16"])
def test_what_is_no_range(configured: str) -> None:
    with pytest.raises(ConfigError, match="serviceCidr"):
        Ranges(configured)
