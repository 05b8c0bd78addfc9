"""Which pods a Service selects, and which Services a change of a pod or node touches: by index, not by search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from k8slite.kinds.core import Node, Service
from k8slite.kinds.resources import NODES, SERVICES

from .context import Context
from .pods import PODS, Pod, by_node, ready_condition

ZONE = "topology.kubernetes.io/zone"


class ServicePods:
    """Watches Services, pods and nodes; calls `enqueue` with the key of every Service whose endpoints may have changed.

    It remembers for each Service the earliest of the moments that led to changes since `take_trigger` was asked last.
    """

    def __init__(self, context: Context, *, enqueue: Callable[[str], None]) -> None:
        self._enqueue = enqueue
        self.services = context.informers.of(SERVICES, selector=_first_pair)
        self._pods = context.informers.of(PODS, label=_pairs, node=by_node)
        self.nodes = context.informers.of(NODES)
        self._triggers: dict[str, datetime] = {}
        self._known: set[str] = set()
        self.services.add_handler(self._service_changed)
        self._pods.add_handler(self._pod_changed)
        self.nodes.add_handler(self._node_changed)

    def of(self, service: Service) -> Sequence[Pod]:
        """The pods that a Service selects."""
        pairs = list(_first_pair(service))
        if not pairs:
            return ()
        found = self._pods.by_index("label", pairs[0])
        wanted = (service.spec.selector or {}).items()
        if len(wanted) == 1:
            return found
        return [pod for pod in found if wanted <= pod.metadata.labels.items()]

    def zone(self, node_name: str) -> str | None:
        """The zone of a node by its label, empty if it has none; None if there is no such node."""
        node = self.nodes.get(node_name)
        return node.metadata.labels.get(ZONE, "") if node is not None else None

    def take_trigger(self, service: Service) -> datetime | None:
        """When the first of the changes happened that nobody has asked about yet; the Service's birth at first."""
        trigger = self._triggers.pop(service.key, None)
        if service.key in self._known:
            return trigger
        self._known.add(service.key)
        return service.metadata.creation_timestamp

    def put_trigger(self, key: str, moment: datetime | None) -> None:
        """What was to be written about that moment was not."""
        if moment is not None:
            self._triggers[key] = min(moment, self._triggers.get(key, moment))

    def _service_changed(self, old: Service | None, new: Service | None) -> None:
        if new is None and old is not None:
            self._triggers.pop(old.key, None)
            self._known.discard(old.key)
        if item := new or old:
            self._enqueue(item.key)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None and new is not None and _relevant(old) == _relevant(new):
            return
        moment = _moment(new) if new is not None else None
        if old is not None and new is not None and moment == _moment(old) and _labels(old) == _labels(new):
            moment = None
        same = old is not None and new is not None and _labels(old) == _labels(new)
        for pod in (new,) if same else (old, new):
            if pod is None:
                continue
            for key in self._services_of(pod):
                if moment is not None:
                    self.put_trigger(key, moment)
                self._enqueue(key)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        """A pod counts only while its node is there, and is where the node is."""
        if old is not None and new is not None and old.metadata.labels.get(ZONE) == new.metadata.labels.get(ZONE):
            return
        if node := new or old:
            for pod in self._pods.by_index("node", node.name):
                for key in self._services_of(pod):
                    self._enqueue(key)

    def _services_of(self, pod: Pod) -> Iterable[str]:
        labels = pod.metadata.labels.items()
        for pair in _pairs(pod):
            for service in self.services.by_index("selector", pair):
                if (service.spec.selector or {}).items() <= labels:
                    yield service.key


def _labels(pod: Pod) -> dict[str, str]:
    return pod.metadata.labels


def _pairs(pod: Pod) -> Iterable[str]:
    return [f"{pod.namespace}/{key}={value}" for key, value in pod.metadata.labels.items()]


def _first_pair(service: Service) -> Iterable[str]:
    if service.spec.type == "ExternalName":
        return ()
    return [f"{service.namespace}/{key}={value}" for key, value in sorted((service.spec.selector or {}).items())[:1]]


def _moment(pod: Pod) -> datetime | None:
    """When the pod became ready, or ceased to be."""
    ready = ready_condition(pod)
    return ready.last_transition_time if ready is not None else None


def _relevant(pod: Pod) -> tuple[object, ...]:
    """What of a pod reaches endpoints."""
    status, spec = pod.status, pod.spec
    return (
        pod.deleting,
        pod.ready,
        status.phase,
        status.pod_ip,
        status.pod_ips,
        spec.node_name,
        spec.hostname,
        spec.subdomain,
        pod.metadata.labels,
    )
