"""Images that nodes have: the scores follow every report, and are those of the plain reference."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.scheduler.columns import Columns
from k8slite.scheduler.cycle import Placement
from k8slite.scheduler.plugins.image_locality import ImageLocality
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Node, Pod

from .builders import columns, decide, pod
from .clusters import IMAGES, Cluster, Document, clusters, compared, nodes, pods
from .reference.image_locality import Known

MIB = 1 << 20
mounted = st.lists(
    st.one_of(
        st.fixed_dictionaries({"reference": st.sampled_from(IMAGES)}).map(lambda image: {"name": "v", "image": image}),
        st.just({"name": "v", "emptyDir": {}}),
    ),
    max_size=2,
)
wanting = pods(images=True, volumes=mounted)


@settings(max_examples=150)
@given(clusters(images=True), wanting, st.lists(nodes(images=True), max_size=3), st.sets(st.sampled_from(["n0", "n1"])))
def test_images(cluster: Cluster, pod: Document, reports: list[Document], gone: set[str]) -> None:
    state, known = Columns(capacity=2), Known()
    plugin = ImageLocality(state)
    for node in [*cluster.nodes, *reports]:
        state.set_node(Node.model_validate(node))
        known.tell(node["metadata"]["name"], node)
        assert_scores(plugin, pod, state, known)
    for name in gone & known.nodes.keys():
        state.remove_node(name)
        known.tell(name, None)
        assert_scores(plugin, pod, state, known)


def assert_scores(plugin: ImageLocality, pod: Document, state: Columns, known: Known) -> None:
    expected = {name: known.score(pod, name) for name in known.nodes}
    view = Pod.model_validate(pod)
    if plugin.concerned(view, shape_of(view)):
        assert compared(plugin, pod, state) == expected
    else:
        assert len(set(expected.values())) <= 1, "left out where it would say the same of all nodes"


def having(name: str, *images: tuple[str, int]) -> Node:
    return Node.model_validate(
        {
            "metadata": {"name": name},
            "status": {
                "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
                "images": [{"names": [image], "sizeBytes": size} for image, size in images],
            },
        }
    )


def test_the_node_with_the_image_wins() -> None:
    state = columns(having("a"), having("b", ("app:latest", 900 * MIB)), having("c"))
    asking = pod(containers=[{"name": "c", "image": "app"}])
    assert decide(asking, state) == Placement("b")


def test_images_that_make_no_difference_are_not_compared() -> None:
    everywhere = ("all:v1", 900 * MIB)
    state = columns(having("a", ("app:v1", 900 * MIB), ("tiny:v1", MIB), everywhere), having("b", everywhere))
    plugin = ImageLocality(state)

    def concerned(image: str) -> bool:
        asking = pod(containers=[{"name": "c", "image": image}])
        return plugin.concerned(asking, shape_of(asking))

    assert concerned("app:v1")
    assert not concerned("app:v2")
    assert not concerned("tiny:v1"), "too small to be worth anything"
    assert not concerned("all:v1"), "worth the same on each node"
    state.set_node(having("c"))
    assert concerned("all:v1")


def test_nodes_share_what_they_report_alike() -> None:
    one, other = having("a", ("app:v1", 5)), having("b", ("app:v1", 5))
    assert one.status.images is other.status.images


def test_scores_are_given_away_whole() -> None:
    state = columns(having("a", ("app:v1", 900 * MIB)), having("b"))
    plugin, asking = ImageLocality(state), Pod.model_validate({"spec": {"containers": [{"image": "app:v1"}]}})
    wanted, feasible = shape_of(asking), state.live.copy()
    first = plugin.compare(asking, wanted, state, feasible)
    first *= 0
    assert np.max(plugin.compare(asking, wanted, state, feasible)) == 100 * (450 - 23) // (1000 - 23)
