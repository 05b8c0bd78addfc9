"""The plugins by name, and the profile that runs unless another is asked for.

The order is that in which filters are asked, and so whose reason a node is counted for.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..framework import Factory, Handle, Profile, profile
from .balanced_allocation import BalancedAllocation
from .default_binder import DefaultBinder
from .node_affinity import NodeAffinity
from .node_name import NodeName
from .node_ports import NodePorts
from .node_unschedulable import NodeUnschedulable
from .priority_sort import PrioritySort
from .resources_fit import ResourcesFit
from .scheduling_gates import SchedulingGates
from .taint_toleration import TaintToleration
from .topology_spread import TopologySpread

REGISTRY: dict[str, Factory] = {
    "SchedulingGates": lambda _: SchedulingGates(),
    "PrioritySort": lambda _: PrioritySort(),
    "NodeUnschedulable": lambda _: NodeUnschedulable(),
    "NodeName": lambda _: NodeName(),
    "TaintToleration": lambda _: TaintToleration(),
    "NodeAffinity": lambda _: NodeAffinity(),
    "NodePorts": lambda _: NodePorts(),
    "NodeResourcesFit": lambda _: ResourcesFit(),
    "PodTopologySpread": lambda _: TopologySpread(),
    "NodeResourcesBalancedAllocation": lambda _: BalancedAllocation(),
    "DefaultBinder": lambda handle: DefaultBinder(handle.client),
}

DEFAULT = tuple(REGISTRY)


def build(handle: Handle, *, names: Iterable[str] = DEFAULT) -> Profile:
    """A profile of the named plugins. Raises KeyError for an unknown name."""
    return profile(REGISTRY[name](handle) for name in names)
