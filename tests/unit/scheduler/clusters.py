"""Random clusters for Hypothesis: documents of nodes, of pods already on them and of pods to come.

A cluster is made of JSON documents, as the API would give them: the columns read them through the scheduler's models,
a reference implementation reads them as they are. Everything odd that the API lets through is rare but there: labels
that look like numbers, nodes without a resource, repeated taints, quantities that are not whole.

A test of one plugin asks for the parts of a pod that concern it (`pods(requests=True)`), and adds what is not here by
`spec`: `pods(labels=True, topologySpreadConstraints=my_strategy)`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from k8slite.scheduler.columns import Columns
from k8slite.scheduler.framework import Compare, Filter, Score
from k8slite.scheduler.journal import ALL
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Node, Pod

Document = dict[str, Any]

NAMES = tuple(f"n{number}" for number in range(6))
NAMESPACES = ("default", "other")
#: Values of labels: few, so that they meet; some are numbers, some only look like it.
VALUES = ("a", "b", "1", "2", "10", "01", "1_0", "007", "99999999999999999999", "")
KEYS = ("zone", "size", "disk", "app")

HUGE = "hugepages-2Mi"
GPU = "example.com/gpu"
FPGA = "other.example.com/fpga"
STORAGE = "ephemeral-storage"
#: What containers ask for, and what nodes have, by resource; a node that lacks one has none of it.
ASKED = {
    "cpu": ("0", "1m", "100m", "0.25", "1", "1500m", "3"),
    "memory": ("0", "1", "64Mi", "200Mi", "1Gi", "1500M", "100m", "3e9"),
    STORAGE: ("0", "1Gi", "10Gi", "1k"),
    HUGE: ("0", "2Mi", "8Mi"),
    GPU: ("0", "1", "2"),
    FPGA: ("0", "1"),
}
HAD = {
    "cpu": ("0", "500m", "1", "2", "3999m", "4", "64"),
    "memory": ("0", "512Mi", "1Gi", "4Gi", "7999999999", "64Gi"),
    "pods": ("0", "1", "2", "3", "110"),
    STORAGE: ("0", "5Gi", "100Gi"),
    HUGE: ("0", "8Mi", "1Gi"),
    GPU: ("0", "1", "2", "8"),
    FPGA: ("0", "4"),
}
IMAGES = ("app", "app:v1", "registry.example.com:5000/app", "registry.example.com/team/app:v2", "db@sha256:0a", "db:1")
SIZES = (0, 1, 10 << 20, 23 << 20, (90 << 20) + 7, 500 << 20, 4000 << 20)

_taints = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["a", "b", "node.kubernetes.io/unschedulable"]),
        "effect": st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"]),
    },
    optional={"value": st.sampled_from(["", "1", "x", "7"])},
)


@dataclass
class Cluster:
    """Nodes, and pods with the nodes that they are on; a node that is only named is none (yet)."""

    nodes: list[Document]
    placed: list[Document] = field(default_factory=list)

    def columns(self, found: Columns | None = None) -> Columns:
        """The scheduler's view of it: pods first here and there, as informers may bring them.

        `found` are columns to fill that plugins follow already.
        """
        found = found or Columns(capacity=2)
        for pod in self.placed[::2]:
            self._place(found, pod)
        for node in self.nodes:
            found.set_node(Node.model_validate(node))
        for pod in self.placed[1::2]:
            self._place(found, pod)
        return found

    @staticmethod
    def _place(found: Columns, document: Document) -> None:
        pod = Pod.model_validate(document)
        found.place(pod, shape_of(pod), pod.spec.node_name)

    def on(self, node: Document) -> list[Document]:
        """The pods of a node."""
        return [pod for pod in self.placed if pod["spec"]["nodeName"] == node["metadata"]["name"]]


def quantities(choices: dict[str, tuple[str, ...]]) -> SearchStrategy[dict[str, str]]:
    """Amounts of some of the resources; the first two are usual, the others rare. Make it once: that takes time."""
    usual, rare = list(choices)[:2], list(choices)[2:]
    pairs = [(name, text) for name in usual * 2 + rare for text in choices[name]]
    return st.lists(st.sampled_from(pairs), unique_by=_first, max_size=4).map(dict)


def _first(pair: tuple[str, str]) -> str:
    return pair[0]


_asked, _had = quantities(ASKED), quantities(HAD)
_overheads = quantities({"cpu": ("0", "50m"), "memory": ("100m", "120Mi")})
#: What a pod may request as a whole.
whole = quantities({name: ASKED[name] for name in ("cpu", "memory", HUGE)})
_labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=3)
_reports = st.lists(
    st.fixed_dictionaries(
        {
            "names": st.lists(st.sampled_from(sorted({*IMAGES, *(f"{name}:latest" for name in IMAGES)})), max_size=2),
            "sizeBytes": st.sampled_from(SIZES),
        }
    ),
    max_size=4,
)
_selectors = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES[:3]), max_size=1)
_some_taints = st.lists(_taints, max_size=2)
_rarely = st.integers(0, 3).map(lambda number: number == 0)


@st.composite
def nodes(
    draw: DrawFn,
    name: str = "",
    *,
    requests: bool = False,
    tolerating: bool = False,
    labelled: bool = False,
    images: bool = False,
) -> Document:
    """A node with what is asked for: odd amounts, taints and cordons, odd labels, images that it reports."""
    name = name or draw(st.sampled_from(NAMES))
    document: Document = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": draw(_labels) if labelled else {}},
        "spec": {"taints": draw(_some_taints) if tolerating else []},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}},
    }
    if labelled and draw(st.booleans()):
        document["metadata"]["labels"]["kubernetes.io/hostname"] = name
    if tolerating and draw(_rarely):
        document["spec"]["unschedulable"] = True
    if requests:
        had = document["status"]["allocatable"] | draw(_had)
        for missing in draw(st.sets(st.sampled_from(list(had)), max_size=1)):
            del had[missing]
        document["status"]["allocatable"] = had
    if images:
        document["status"]["images"] = draw(_reports)
    return document


_ports = st.fixed_dictionaries(
    {"containerPort": st.just(80)},
    optional={
        "hostPort": st.sampled_from([0, 80, 81]),
        "hostIP": st.sampled_from(["", "0.0.0.0", "10.0.0.1", "10.0.0.2"]),
        "protocol": st.sampled_from(["", "TCP", "UDP"]),
    },
)
_some_ports = st.lists(_ports, max_size=2)


@st.composite
def containers(
    draw: DrawFn, *, requests: bool = False, ports: bool = False, images: bool = False, init: bool = False
) -> list[Document]:
    """Containers, or init containers, of which some are sidecars."""
    found = []
    for index in range(draw(st.integers(0 if init else 1, 3))):
        container: Document = {"name": f"{'i' if init else 'c'}{index}"}
        if requests:
            container["resources"] = {"requests": draw(_asked)}
        if ports:
            container["ports"] = draw(_some_ports)
        if images:
            container["image"] = draw(st.sampled_from(IMAGES))
        if init and draw(st.booleans()):
            container["restartPolicy"] = "Always"
        found.append(container)
    return found


_effects = st.sampled_from(["", "NoSchedule", "PreferNoSchedule", "NoExecute"])
tolerations: SearchStrategy[list[Document]] = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"key": st.sampled_from(["a", "b"]), "value": st.sampled_from(["", "1", "x", "7"])},
            optional={"operator": st.just("Equal"), "effect": _effects},
        ),
        st.fixed_dictionaries(
            {
                "key": st.sampled_from(["a", "b"]),
                "operator": st.sampled_from(["Lt", "Gt"]),
                "value": st.sampled_from(["1", "7", "10", "-1", "99999999999999999999"]),
            },
            optional={"effect": _effects},
        ),
        st.fixed_dictionaries(
            {"operator": st.just("Exists")},
            optional={
                "key": st.sampled_from(["", "a", "b", "node.kubernetes.io/unschedulable"]),
                "effect": _effects,
            },
        ),
    ),
    max_size=3,
)


@st.composite
def expressions(draw: DrawFn) -> Document:
    """A requirement on a node's label."""
    operator = draw(st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]))
    values: list[str] = []
    if operator in ("In", "NotIn"):
        values = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=3))
    elif operator in ("Gt", "Lt"):
        values = [draw(st.sampled_from(["1", "2", "0", "10"]))]
    return {"key": draw(st.sampled_from((*KEYS, "nowhere"))), "operator": operator, "values": values}


node_terms: SearchStrategy[Document] = st.fixed_dictionaries(
    {},
    optional={
        "matchExpressions": st.lists(expressions(), max_size=2),
        "matchFields": st.lists(
            st.fixed_dictionaries(
                {
                    "key": st.just("metadata.name"),
                    "operator": st.sampled_from(["In", "NotIn"]),
                    "values": st.lists(st.sampled_from(NAMES), min_size=1, max_size=1),
                }
            ),
            max_size=2,
        ),
    },
)

node_affinity: SearchStrategy[Document] = st.fixed_dictionaries(
    {},
    optional={
        "requiredDuringSchedulingIgnoredDuringExecution": st.fixed_dictionaries(
            {"nodeSelectorTerms": st.lists(node_terms, min_size=1, max_size=3)}
        ),
        "preferredDuringSchedulingIgnoredDuringExecution": st.lists(
            st.fixed_dictionaries({"weight": st.integers(1, 100), "preference": node_terms}), max_size=3
        ),
    },
)


@st.composite
def pods(
    draw: DrawFn,
    name: str = "pending",
    *,
    on: SearchStrategy[str] | None = None,
    requests: bool = False,
    ports: bool = False,
    images: bool = False,
    tolerating: bool = False,
    choosing: bool = False,
    labelled: bool = False,
    **spec: SearchStrategy[Any],
) -> Document:
    """A pod with the parts asked for; `on` is the node that it is bound to, `spec` draws further fields."""
    parts = {"requests": requests, "ports": ports, "images": images}
    body: Document = {"containers": draw(containers(**parts)), "initContainers": draw(containers(**parts, init=True))}
    if requests and draw(_rarely):
        body["overhead"] = draw(_overheads)
    if requests and draw(_rarely):
        body["resources"] = {"requests": draw(whole)}
    if tolerating:
        body["tolerations"] = draw(tolerations)
    if choosing:
        body["nodeSelector"] = draw(_selectors)
        body["affinity"] = {"nodeAffinity": draw(node_affinity)}
    body |= {key: draw(strategy) for key, strategy in spec.items()}
    if on is not None:
        body["nodeName"] = draw(on)
    metadata: Document = {"name": name, "namespace": draw(st.sampled_from(NAMESPACES)), "uid": f"uid-{name}"}
    metadata["labels"] = draw(_labels) if labelled else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": body,
        "status": {"phase": "Running" if on is not None else "Pending"},
    }


@st.composite
def clusters(
    draw: DrawFn,
    *,
    requests: bool = False,
    ports: bool = False,
    tolerating: bool = False,
    labelled: bool = False,
    images: bool = False,
    most: int = 8,
    **spec: SearchStrategy[Any],
) -> Cluster:
    """Nodes, and up to `most` placed pods, with what is asked for; some pods are on nodes that do not exist."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    on = st.sampled_from((*names, "elsewhere"))
    number = draw(st.integers(0, most)) if requests or ports or labelled or spec else 0
    bound = [
        draw(pods(f"placed-{index}", on=on, requests=requests, ports=ports, labelled=labelled, **spec))
        for index in range(number)
    ]
    parts = {"requests": requests, "tolerating": tolerating, "labelled": labelled, "images": images}
    return Cluster([draw(nodes(name, **parts)) for name in names], bound)


def passing(plugin: Filter, pod: Document, state: Columns) -> set[str]:
    """The names of the nodes that a filter lets a pod on; seeing all rows and seeing some must agree."""
    wanted = shape_of(Pod.model_validate(pod))
    rows = np.flatnonzero(state.live)
    if not plugin.concerns(wanted):
        return {state.names[row] for row in rows}
    everywhere = plugin.filter(wanted, state, ALL)
    assert (plugin.filter(wanted, state, rows) == everywhere[rows]).all(), "some rows are as all rows"
    for row in rows:
        assert plugin.filter(wanted, state, np.array([row]))[0] == everywhere[row], "and as one row"
    return {state.names[row] for row in rows if everywhere[row]}


def scores(plugin: Score, pod: Document, state: Columns) -> dict[str, float]:
    """What a score says of each node; seeing all rows and seeing some must agree."""
    wanted = shape_of(Pod.model_validate(pod))
    rows = np.flatnonzero(state.live)
    everywhere = plugin.score(wanted, state, ALL)
    assert (plugin.score(wanted, state, rows) == everywhere[rows]).all(), "some rows are as all rows"
    for row in rows:
        assert plugin.score(wanted, state, np.array([row]))[0] == everywhere[row], "and as one row"
    return {state.names[row]: float(everywhere[row]) for row in rows}


def compared(plugin: Compare, pod: Document, state: Columns, feasible: set[str] | None = None) -> dict[str, float]:
    """What a comparison says of each feasible node; all zero if it is not concerned."""
    view = Pod.model_validate(pod)
    rows = [row for name, row in state.rows.items() if state.live[row] and (feasible is None or name in feasible)]
    if not plugin.concerned(view, shape_of(view)):
        return {state.names[row]: 0.0 for row in rows}
    mask = np.zeros(state.capacity, dtype=np.bool_)
    mask[rows] = True
    found = plugin.compare(view, shape_of(view), state, mask)
    return {state.names[row]: float(found[row]) for row in rows}
