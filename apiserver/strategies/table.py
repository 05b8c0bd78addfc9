"""The strategy of every kind that has one: (group, plural) → strategy.

A kind that is not here is stored as the schema admits it. Objects that two groups serve have the strategy of the group
in which they are stored, unless the other has one of its own (Events are held to more by the newer group).
"""

from __future__ import annotations

from collections.abc import Mapping

from ..allocation.allocator import Allocator
from . import (
    apps,
    autoscaling,
    batch,
    certificates,
    cluster,
    config,
    coordination,
    core,
    discovery,
    extension,
    networking,
    node,
    pods,
    policy,
    rbac,
    resource,
    scheduling,
    services,
    storage,
)
from .base import Strategy

Table = Mapping[tuple[str, str], Strategy]


_MODULES = (
    core,
    config,
    cluster,
    apps,
    batch,
    autoscaling,
    certificates,
    coordination,
    discovery,
    extension,
    networking,
    node,
    policy,
    rbac,
    resource,
    scheduling,
    storage,
)


def strategies(allocator: Allocator) -> dict[tuple[str, str], Strategy]:
    """All strategies of a server."""
    table: dict[tuple[str, str], Strategy] = {
        ("", "pods"): pods.PodStrategy(),
        ("", "services"): services.ServiceStrategy(allocator),
    }
    for module in _MODULES:
        table.update(module.STRATEGIES)
    return table
