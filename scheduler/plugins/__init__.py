"""The plugins by name, and the profile that runs unless another is asked for.

The order is that in which filters are asked, and so whose reason a node is counted for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..framework import Factory, Handle
from ..profile import Profile, profile
from .affinity_arguments import affinity_arguments
from .balanced_allocation import BalancedAllocation
from .default_binder import DefaultBinder
from .default_preemption import DefaultPreemption
from .fit_arguments import fit_arguments
from .image_locality import ImageLocality
from .inter_pod_affinity import inter_pod_affinity
from .node_affinity import NodeAffinity
from .node_name import NodeName
from .node_ports import NodePorts
from .node_unschedulable import NodeUnschedulable
from .priority_sort import PrioritySort
from .resources_fit import ResourcesFit
from .scheduling_gates import SchedulingGates
from .taint_toleration import TaintToleration
from .topology_spread import TopologySpread
from .volume_binding import VolumeBinding
from .volume_limits import VolumeLimits
from .volume_restrictions import VolumeRestrictions
from .volume_zone import VolumeZone

REGISTRY: dict[str, Factory] = {
    "SchedulingGates": lambda handle, args: SchedulingGates(),
    "PrioritySort": lambda handle, args: PrioritySort(),
    "NodeUnschedulable": lambda handle, args: NodeUnschedulable(),
    "NodeName": lambda handle, args: NodeName(),
    "TaintToleration": lambda handle, args: TaintToleration(),
    "NodeAffinity": lambda handle, args: NodeAffinity(affinity_arguments(args)),
    "NodePorts": lambda handle, args: NodePorts(),
    "NodeResourcesFit": lambda handle, args: ResourcesFit(fit_arguments(args)),
    "VolumeRestrictions": lambda handle, args: VolumeRestrictions(handle),
    "NodeVolumeLimits": lambda handle, args: VolumeLimits(handle),
    "VolumeBinding": VolumeBinding,
    "VolumeZone": lambda handle, args: VolumeZone(handle),
    "PodTopologySpread": lambda handle, args: TopologySpread.made(args),
    "InterPodAffinity": inter_pod_affinity,
    "DefaultPreemption": DefaultPreemption,
    "NodeResourcesBalancedAllocation": lambda handle, args: BalancedAllocation.made(args),
    "ImageLocality": lambda handle, args: ImageLocality(handle.columns),
    "DefaultBinder": lambda handle, args: DefaultBinder(handle.client),
}

DEFAULT = tuple(REGISTRY)


def build(handle: Handle, *, names: Iterable[str] = DEFAULT) -> Profile:
    """A profile of the named plugins. Raises KeyError for an unknown name."""
    return profile(REGISTRY[name](handle, {}) for name in names)


def default_profiles(handle: Handle) -> Mapping[str, Profile]:
    """The one scheduler that every cluster has."""
    return {"default-scheduler": build(handle)}
