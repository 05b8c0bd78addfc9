"""Rollouts on virtual time: the plan is carried out on made-up ReplicaSets, step after step."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.controllers.deployment import template
from k8slite.controllers.deployment.plan import plan
from k8slite.controllers.deployment.scaling import Bounds, shrink_old
from k8slite.kinds.apps import Deployment, DeploymentStatus, ReplicaSet

from .builders import at, deployment, replicaset


class World:
    """A Deployment and its ReplicaSets, whose pods are numbers; `broken` images never become available."""

    def __init__(self, deployment: Deployment, *, broken: set[str] = frozenset(), choose=lambda size: size) -> None:
        self.deployment = deployment
        self.sets: dict[str, ReplicaSet] = {}
        self.broken = broken
        self.choose = choose
        self.now = 0.0
        self.revision = 0

    def set_spec(self, **fields) -> None:
        spec = self.deployment.spec.model_copy(update=fields)
        metadata = self.deployment.metadata.model_copy(update={"generation": self.deployment.metadata.generation + 1})
        self.deployment = self.deployment.model_copy(update={"spec": spec, "metadata": metadata})

    def set_image(self, image: str) -> None:
        self.set_spec(template=deployment(image=image).spec.template)

    def step(self):
        decided = plan(
            deployment=self.deployment,
            replicasets=list(self.sets.values()),
            unfinished={rs.uid: rs.status.replicas for rs in self.sets.values()},
            now=at(self.now),
        )
        if decided.create:
            made = decided.create
            assert made.name not in self.sets
            self.revision += 1
            rs = replicaset(
                made.name, replicas=made.replicas, created=self.revision, annotations=dict(made.annotations)
            )
            document = template.labelled(self.deployment.spec.template, made.hash)
            spec = rs.spec.model_copy(update={"template": type(rs.spec.template)(document)})
            self.sets[rs.name] = rs.model_copy(update={"spec": spec})
        for change in decided.change:
            rs = self.sets[change.replicaset.name]
            spec = rs.spec.model_copy(update={"replicas": change.replicas})
            annotations = rs.metadata.annotations | change.annotations
            metadata = rs.metadata.model_copy(update={"annotations": annotations})
            self.sets[rs.name] = rs.model_copy(update={"spec": spec, "metadata": metadata})
        for rs in decided.delete:
            del self.sets[rs.name]
        annotations = self.deployment.metadata.annotations | decided.annotations
        metadata = self.deployment.metadata.model_copy(update={"annotations": annotations})
        self.deployment = self.deployment.model_copy(update={"status": decided.status, "metadata": metadata})
        return decided

    def serve(self) -> None:
        """The ReplicaSets move towards their sizes, by as much as `choose` lets them."""
        for rs in list(self.sets.values()):
            have, want = rs.status.replicas, rs.spec.replicas
            replicas = have + self.choose(want - have) if want > have else want
            image = rs.spec.template.spec["containers"][0]["image"]
            serving = 0 if image in self.broken else replicas
            status = rs.status.model_copy(
                update={"replicas": replicas, "ready_replicas": serving, "available_replicas": serving}
            )
            self.sets[rs.name] = rs.model_copy(update={"status": status})

    @property
    def status(self) -> DeploymentStatus:
        return self.deployment.status

    def condition(self, type_: str):
        return next(c for c in self.status.conditions if c.type == type_)

    @property
    def sizes(self) -> dict[str, int]:
        return {
            rs.spec.template.spec["containers"][0]["image"]: rs.spec.replicas
            for rs in self.sets.values()
            if rs.spec.replicas
        }

    def settle(self, *, limit: int = 200) -> None:
        for _ in range(limit):
            before = (self.deployment, dict(self.sets))
            self.step()
            self.serve()
            self.now += 1
            if (self.deployment, self.sets) == before:
                return
        raise AssertionError("the rollout does not settle")


def test_a_first_rollout():
    world = World(deployment(replicas=3, annotations={"team": "a"}))
    world.settle()
    assert world.sizes == {"web:1": 3}
    (rs,) = world.sets.values()
    assert rs.metadata.annotations["deployment.kubernetes.io/revision"] == "1"
    assert rs.metadata.annotations["deployment.kubernetes.io/desired-replicas"] == "3"
    assert rs.metadata.annotations["deployment.kubernetes.io/max-replicas"] == "4"
    assert rs.metadata.annotations["team"] == "a"
    assert world.deployment.metadata.annotations["deployment.kubernetes.io/revision"] == "1"
    assert world.condition("Progressing").reason == "NewReplicaSetAvailable"
    assert world.condition("Available").status == "True"
    assert (world.status.replicas, world.status.updated_replicas, world.status.available_replicas) == (3, 3, 3)


def test_a_rollout_and_its_undo_raise_the_revision_of_the_old_set():
    world = World(deployment(replicas=4))
    world.settle()
    world.set_image("web:2")
    world.settle()
    assert world.sizes == {"web:2": 4}
    world.set_image("web:1")
    world.settle()
    assert world.sizes == {"web:1": 4}
    assert len(world.sets) == 2
    first = next(rs for rs in world.sets.values() if rs.spec.replicas)
    assert first.metadata.annotations["deployment.kubernetes.io/revision"] == "3"
    assert first.metadata.annotations["deployment.kubernetes.io/revision-history"] == "1"
    assert world.deployment.metadata.annotations["deployment.kubernetes.io/revision"] == "3"


def test_a_bad_template_stops_and_the_old_pods_go_on():
    world = World(deployment(replicas=4), broken={"bad"})
    world.settle()
    world.set_image("bad")
    world.settle()
    assert world.sizes == {"web:1": 3, "bad": 2}
    assert world.status.available_replicas == 3
    assert world.condition("Progressing").status == "True"
    world.now += 700
    world.step()
    assert world.condition("Progressing").reason == "ProgressDeadlineExceeded"
    world.set_image("web:1")
    world.settle()
    assert world.sizes == {"web:1": 4}
    assert world.condition("Progressing").reason == "NewReplicaSetAvailable"


def test_an_undo_does_not_inherit_the_failure_that_it_undoes():
    """`kubectl rollout status` looks right after it."""
    world = World(deployment(replicas=4), broken={"bad"})
    world.settle()
    world.set_image("web:2")
    world.step()
    world.serve()
    world.set_image("bad")
    world.settle()
    world.now += 700
    world.step()
    assert world.condition("Progressing").reason == "ProgressDeadlineExceeded"
    world.set_image("web:2")
    world.step()
    assert world.condition("Progressing").reason == "FoundNewReplicaSet"


def test_a_revision_that_is_no_number_keeps_nobody_busy():
    world = World(deployment(replicas=1))
    world.settle()
    (rs,) = world.sets.values()
    metadata = rs.metadata.model_copy(update={"annotations": {"deployment.kubernetes.io/revision": "mine"}})
    world.sets[rs.name] = rs.model_copy(update={"metadata": metadata})
    world.settle()
    assert world.condition("Progressing").reason == "NewReplicaSetAvailable"


def test_going_back_to_what_does_not_work_times_out_too():
    world = World(deployment(replicas=4), broken={"bad"})
    world.set_image("bad")
    world.settle()
    world.set_image("web:1")
    world.settle()
    world.set_image("bad")
    world.settle()
    assert world.condition("Progressing").status == "True"
    world.now += 700
    world.step()
    assert world.condition("Progressing").reason == "ProgressDeadlineExceeded"


@pytest.mark.parametrize(
    ("size", "seen", "revisions", "left"),
    [
        (0, 1, "", 1),  # It was told to shrink a moment ago: the pod that serves is about to go.
        (1, 0, "1", 1),  # It is to keep its pod after all, and may not have heard of that yet.
        (1, 1, "1", 0),
        (1, 0, "", 0),  # Nobody has ever told it to shrink.
    ],
)
def test_pods_of_a_template_that_is_gone_back_to_count_once_they_are_sure_to_stay(
    size: int, seen: int, revisions: str, left: int
):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    wanted = deployment(replicas=1, strategy=strategy)
    annotations = {"deployment.kubernetes.io/revision-history": revisions} if revisions else {}
    status = {"availableReplicas": 1, "observedGeneration": seen}
    new = replicaset("new", replicas=size, annotations=annotations, status=status)
    old = replicaset("old", replicas=1, status={"availableReplicas": 1, "observedGeneration": 1})
    sizes = shrink_old(wanted, new=new, new_replicas=1, old=[old], bounds=Bounds.of(wanted))
    assert sizes.get(old.uid, old.spec.replicas) == left


def test_the_deadline_is_asked_for_in_time():
    world = World(deployment(replicas=1, progressDeadlineSeconds=60), broken={"web:1"})
    world.settle()
    decided = world.step()
    assert decided.requeue_after is not None and 0 < decided.requeue_after <= 61


def test_recreate_waits_for_the_old_pods_to_end():
    world = World(deployment(replicas=2, strategy={"type": "Recreate"}))
    world.settle()
    world.set_image("web:2")
    world.step()
    assert world.sizes == {}
    world.step()
    assert world.sizes == {}
    world.serve()
    world.step()
    assert world.sizes == {"web:2": 2}


def test_a_paused_deployment_scales_but_does_not_roll():
    world = World(deployment(replicas=2))
    world.settle()
    world.set_spec(paused=True)
    world.settle()
    assert world.condition("Progressing").reason == "DeploymentPaused"
    world.set_image("web:2")
    world.set_spec(replicas=5)
    world.settle()
    assert world.sizes == {"web:1": 5}
    world.set_spec(paused=False)
    world.settle()
    assert world.sizes == {"web:2": 5}


def test_scaling_in_the_middle_of_a_rollout_keeps_proportions():
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    world = World(deployment(replicas=10, strategy=strategy), broken={"bad"})
    world.settle()
    world.set_image("bad")
    world.settle()
    assert world.sizes == {"web:1": 8, "bad": 5}
    world.set_spec(replicas=15)
    world.step()
    assert world.sizes == {"web:1": 11, "bad": 7}


def test_history_is_limited():
    world = World(deployment(replicas=1, revisionHistoryLimit=2))
    for number in range(6):
        world.set_image(f"web:{number}")
        world.settle()
    assert len(world.sets) == 3
    assert world.deployment.metadata.annotations["deployment.kubernetes.io/revision"] == "6"


def test_unknown_fields_of_a_template_count():
    one, two = deployment(), deployment()
    changed = {**two.spec.template.document, "spec": {**two.spec.template.spec, "somethingNew": True}}
    assert template.canonical(one.spec.template) == template.canonical(two.spec.template)
    assert template.canonical(type(one.spec.template)(changed)) != template.canonical(one.spec.template)


def test_a_collision_gives_another_name():
    raw = deployment().spec.template
    assert template.template_hash(raw, collisions=0) != template.template_hash(raw, collisions=1)


@pytest.mark.parametrize(
    ("surge", "unavailable", "replicas", "expected"),
    [
        ("25%", "25%", 10, (3, 2)),
        (0, 0, 5, (0, 1)),
        ("0%", "10%", 5, (0, 1)),
        (1, 9, 4, (1, 4)),
        ("100%", 0, 3, (3, 0)),
    ],
)
def test_bounds(surge, unavailable, replicas, expected):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    bounds = Bounds.of(deployment(replicas=replicas, strategy=strategy))
    assert (bounds.surge, bounds.unavailable) == expected


counts = st.one_of(st.integers(0, 4), st.sampled_from(["0%", "10%", "25%", "50%", "100%"]))


@settings(max_examples=150, deadline=None)
@given(
    replicas=st.integers(0, 8),
    surge=counts,
    unavailable=counts,
    data=st.data(),
    moves=st.lists(
        st.one_of(
            st.tuples(st.just("image"), st.sampled_from(["web:1", "web:2", "web:3"])),
            st.tuples(st.just("replicas"), st.integers(0, 8)),
        ),
        max_size=5,
    ),
)
def test_a_rollout_keeps_its_bounds_and_ends(replicas, surge, unavailable, data, moves):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    world = World(
        deployment(replicas=replicas, strategy=strategy),
        choose=lambda missing: data.draw(st.integers(0, missing)),
    )
    for kind, value in [("image", "web:1"), *moves]:
        if kind == "image":
            world.set_image(value)
        else:
            world.set_spec(replicas=value)
        for _ in range(data.draw(st.integers(0, 6))):
            before = sum(rs.status.available_replicas for rs in world.sets.values())
            world.step()
            bounds = Bounds.of(world.deployment)
            wanted = world.deployment.spec.replicas
            total = sum(rs.spec.replicas for rs in world.sets.values())
            spared = sum(min(rs.spec.replicas, rs.status.available_replicas) for rs in world.sets.values())
            if all(k == "image" for k, _ in moves):
                assert total <= wanted + bounds.surge
                assert spared >= min(before, wanted - bounds.unavailable)
            world.serve()
            world.now += 1
    world.choose = lambda missing: missing
    world.settle()
    image = world.deployment.spec.template.spec["containers"][0]["image"]
    wanted = world.deployment.spec.replicas
    assert world.sizes == ({image: wanted} if wanted else {})
    assert world.status.updated_replicas == world.status.available_replicas == wanted
    assert world.condition("Progressing").reason == "NewReplicaSetAvailable"
