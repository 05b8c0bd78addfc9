"""A cluster that changes step by step, twice: as documents for a reference, and as columns that follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from k8slite.scheduler.change import Change, Event
from k8slite.scheduler.columns import Columns
from k8slite.scheduler.namespaces import Namespaces
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Namespace, Node, Pod

Document = dict[str, Any]
Step = tuple[Any, ...]

NODES = ("n0", "n1", "n2", "n3")
SPACES = ("default", "other", "third")
HOST = "kubernetes.io/hostname"

pod_labels = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from("ab"))
space_labels = st.dictionaries(st.sampled_from(["team", "env"]), st.sampled_from("xy"), max_size=1)
node_labels = st.fixed_dictionaries(
    {}, optional={"zone": st.sampled_from(["a", "b", ""]), "rack": st.sampled_from("rs"), HOST: st.sampled_from(NODES)}
)

no_taints: SearchStrategy[list[Document]] = st.just([])


def steps(
    pods: SearchStrategy[Document],
    *,
    labels: SearchStrategy[dict[str, str]] = node_labels,
    taints: SearchStrategy[list[Document]] = no_taints,
) -> SearchStrategy[list[Step]]:
    """What may happen, one after the other; pods come often."""
    place = st.tuples(st.just("place"), st.integers(0, 5), pods, st.sampled_from(NODES))
    return st.lists(
        st.one_of(
            place,
            place,
            st.tuples(st.just("remove"), st.integers(0, 5)),
            st.tuples(st.just("relabel"), st.integers(0, 5), pod_labels),
            st.tuples(st.just("leave"), st.integers(0, 5)),
            st.tuples(st.just("move"), st.integers(0, 5), st.sampled_from(NODES)),
            st.tuples(st.just("node"), st.sampled_from(NODES), labels, taints),
            st.tuples(st.just("taint"), st.sampled_from(NODES), taints),
            st.tuples(st.just("lose"), st.sampled_from(NODES)),
            st.tuples(st.just("namespace"), st.sampled_from(SPACES), space_labels),
            st.tuples(st.just("drop"), st.sampled_from(SPACES)),
        ),
        max_size=14,
    )


@dataclass
class World:
    """A cluster twice: as documents, and as columns that follow every step."""

    nodes: dict[str, Document] = field(default_factory=dict)
    placed: dict[int, tuple[Document, str]] = field(default_factory=dict)
    spaces: dict[str, dict[str, str]] = field(default_factory=dict)
    columns: Columns = field(default_factory=lambda: Columns(capacity=2))
    namespaces: Namespaces = field(default_factory=Namespaces)

    def where(self) -> list[tuple[Document, Document]]:
        """Pods with their nodes, as far as these exist."""
        return [(pod, self.nodes[node]) for pod, node in self.placed.values() if node in self.nodes]

    def do(self, step: Step) -> Event:
        """Do it in both."""
        match step:
            case "place", number, pod, node if number not in self.placed:
                return self._put(number, pod, node)
            case "relabel", number, labels if number in self.placed:
                pod, node = self.placed[number]
                return self._put(number, pod | {"metadata": pod["metadata"] | {"labels": labels}}, node)
            case "leave", number if number in self.placed:
                pod, node = self.placed[number]
                leaving = pod["metadata"] | {"deletionTimestamp": "2026-01-01T00:00:00Z"}
                return self._put(number, pod | {"metadata": leaving}, node)
            case "move", number, node if number in self.placed:
                return self._put(number, self.placed[number][0], node)
            case "remove", number if number in self.placed:
                del self.placed[number]
                return self.columns.remove(str(number))
            case "node", name, labels, taints:
                self.nodes[name] = {"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}}
                return self.columns.set_node(Node.model_validate(self.nodes[name]))
            case "taint", name, taints if name in self.nodes:
                self.nodes[name] = self.nodes[name] | {"spec": {"taints": taints}}
                return self.columns.set_node(Node.model_validate(self.nodes[name]))
            case "lose", name if name in self.nodes:
                del self.nodes[name]
                return self.columns.remove_node(name)
            case "namespace", name, labels:
                old, self.spaces[name] = self._space(name), labels
                return self._told(old, self._space(name))
            case "drop", name if name in self.spaces:
                old = self._space(name)
                del self.spaces[name]
                return self._told(old, None)
        return Event(Change.NOTHING)

    def _put(self, number: int, pod: Document, node: str) -> Event:
        self.placed[number] = pod, node
        view = seen(pod, str(number))
        return self.columns.place(view, shape_of(view), node)

    def _space(self, name: str) -> Namespace | None:
        if name not in self.spaces:
            return None
        return Namespace.model_validate({"metadata": {"name": name, "labels": self.spaces[name]}})

    def _told(self, old: Namespace | None, new: Namespace | None) -> Event:
        told = self.namespaces.on_namespace(old, new)
        return Event(Change.NAMESPACE, old=old, new=new) if told else Event(Change.NOTHING)


def seen(pod: Document, uid: str) -> Pod:
    return Pod.model_validate(pod | {"metadata": pod["metadata"] | {"name": uid, "uid": uid}})
