"""Which pods a Service selects, and which Services a change of a pod touches: both by index, not by search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from k8slite import selectors
from k8slite.kinds.core import Node, Service
from k8slite.kinds.resources import NODES, SERVICES

from .context import Context
from .pods import PODS, Pod

ZONE = "topology.kubernetes.io/zone"


class ServicePods:
    """Watches Services and pods; calls `enqueue` with the key of every Service whose endpoints may have changed."""

    def __init__(self, context: Context, *, enqueue: Callable[[str], None]) -> None:
        self._enqueue = enqueue
        self.services = context.informers.of(SERVICES, selector=_first_pair)
        self._pods = context.informers.of(PODS, label=_pairs)
        self._nodes = context.informers.of(NODES)
        self.services.add_handler(self._service_changed)
        self._pods.add_handler(self._pod_changed)

    def of(self, service: Service) -> Sequence[Pod]:
        """The pods that a Service selects, in the order of their names."""
        pairs = list(_first_pair(service))
        if not pairs:
            return ()
        selector = selectors.from_labels(service.spec.selector or {})
        found = [pod for pod in self._pods.by_index("label", pairs[0]) if selector.matches(pod.metadata.labels)]
        return sorted(found, key=lambda pod: pod.name)

    def zone(self, node_name: str) -> str | None:
        """The zone of a node, by its label."""
        node: Node | None = self._nodes.get(node_name)
        return node.metadata.labels.get(ZONE) if node is not None else None

    def _service_changed(self, old: Service | None, new: Service | None) -> None:
        if item := new or old:
            self._enqueue(item.key)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None and new is not None and _relevant(old) == _relevant(new):
            return
        for pod in (old, new):
            if pod is None:
                continue
            for pair in _pairs(pod):
                for service in self.services.by_index("selector", pair):
                    if selectors.from_labels(service.spec.selector or {}).matches(pod.metadata.labels):
                        self._enqueue(service.key)


def _pairs(pod: Pod) -> Iterable[str]:
    return [f"{pod.namespace}/{key}={value}" for key, value in pod.metadata.labels.items()]


def _first_pair(service: Service) -> Iterable[str]:
    if service.spec.type == "ExternalName":
        return ()
    return [f"{service.namespace}/{key}={value}" for key, value in sorted((service.spec.selector or {}).items())[:1]]


def _relevant(pod: Pod) -> tuple[object, ...]:
    """What of a pod reaches endpoints."""
    return (
        pod.metadata.labels,
        pod.deleting,
        pod.status.pod_ips,
        pod.status.pod_ip,
        pod.status.phase,
        pod.ready,
        pod.spec.node_name,
        pod.spec.hostname,
        pod.spec.subdomain,
    )
