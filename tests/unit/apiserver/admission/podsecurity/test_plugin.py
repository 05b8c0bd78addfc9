"""The plugin over dictionaries: what it notes for the audit log, what it reads, and where it stops looking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from k8slite.apiserver.admission.base import Admission, Operation
from k8slite.apiserver.admission.podsecurity import existing
from k8slite.apiserver.admission.podsecurity.configuration import Settings
from k8slite.apiserver.admission.podsecurity.levels import PREFIX
from k8slite.apiserver.admission.podsecurity.plugin import PodSecurity, is_significant
from k8slite.apiserver.authn.base import User
from k8slite.apiserver.strategies.base import Context
from k8slite.catalogue import builtin
from k8slite.clock import VirtualClock
from k8slite.errors import ApiError

Document = dict[str, Any]
BAD = {"containers": [{"name": "c", "image": "i", "securityContext": {"privileged": True}}]}
WHY = 'privileged (container "c" must not set securityContext.privileged=true)'


@dataclass
class Entry:
    key: str
    document: Document
    revision: int = 1
    read: int = 0

    @property
    def labels(self) -> Mapping[str, str]:
        self.read += 1
        return self.document["metadata"].get("labels") or {}


@dataclass
class Rows:
    entries: list[Entry] = field(default_factory=list)
    changed: int = 1

    def get(self, namespace: str, name: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.key == name), None)

    def select(self, *, namespace: str = "", fields: Any = None) -> Sequence[Entry]:
        return self.entries


class Objects:
    def __init__(self, labels: Mapping[str, str], pods: Sequence[Document] = ()) -> None:
        named = {PREFIX + name: value for name, value in labels.items()}
        self.namespace = Entry("n", {"metadata": {"name": "n", "labels": named}})
        self.rows = {
            "namespaces": Rows([self.namespace]),
            "pods": Rows([Entry(pod["metadata"]["name"], pod) for pod in pods]),
        }

    def resource(self, group: str, plural: str) -> Rows:
        return self.rows[plural]


class Hasty(VirtualClock):
    """A clock by which every look takes a hundredth of a second."""

    def monotonic(self) -> float:
        self._elapsed += 0.01
        return self._elapsed


def request(
    new: Document | None,
    *,
    old: Document | None = None,
    plural: str = "pods",
    group: str = "",
    subresource: str = "",
    user: str = "u",
    namespace: str = "n",
) -> Admission:
    resource = builtin().by_path(group, "v1", plural)
    assert resource is not None
    operation: Operation = "CREATE" if old is None else "UPDATE"
    context = Context(
        User(user), VirtualClock().now(), namespace, dry_run=False, lookup=lambda *_: None, warnings=[], annotations={}
    )
    name = (new or {})["metadata"]["name"]
    return Admission(operation, resource, subresource, namespace, name, new, old, context)


def pod(name: str = "x", spec: Document | None = None, **metadata: Any) -> Document:
    return {"metadata": {"name": name, **metadata}, "spec": BAD if spec is None else spec}


def plugin(objects: Objects, **settings: Any) -> PodSecurity:
    return PodSecurity(objects, settings=Settings(**settings), clock=VirtualClock())


async def annotations(checked: PodSecurity, admission: Admission) -> dict[str, str]:
    try:
        await checked.validate(admission)
    except ApiError as error:
        assert error.code == 403
    return {key.removeprefix(PREFIX): value for key, value in admission.context.annotations.items()}


async def test_the_audit_log_learns_what_was_enforced_and_what_was_violated() -> None:
    checked = plugin(Objects({"enforce": "baseline", "audit": "restricted", "audit-version": "v1.5"}))
    noted = await annotations(checked, request(pod()))
    assert noted["enforce-policy"] == "baseline:latest"
    assert noted["audit-violations"].startswith(f'would violate PodSecurity "restricted:v1.5": {WHY}, runAsNonRoot')
    assert await annotations(plugin(Objects({})), request(pod())) == {"enforce-policy": "privileged:latest"}
    workload = {"metadata": {"name": "d"}, "spec": {"template": {"spec": BAD}}}
    admission = request(workload, plural="deployments", group="apps")
    assert list(await annotations(checked, admission)) == ["audit-violations"]


async def test_the_audit_log_learns_of_labels_that_cannot_be_understood() -> None:
    noted = await annotations(plugin(Objects({"enforce": "none", "warn": "none"})), request(pod()))
    assert noted["enforce-policy"] == "restricted:latest"
    assert noted["error"].startswith(f"Failed to parse policy: [metadata.labels[{PREFIX}enforce]: Invalid value")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"namespaces": frozenset({"n"})}, "namespace"),
        ({"usernames": frozenset({"u"})}, "user"),
        ({"runtime_classes": frozenset({"kata"})}, "runtimeClass"),
    ],
)
async def test_the_audit_log_learns_why_a_request_is_exempt(settings: dict[str, Any], why: str) -> None:
    checked = plugin(Objects({"enforce": "restricted", "audit": "restricted"}), **settings)
    spec = {**BAD, "runtimeClassName": "kata"}
    assert await annotations(checked, request(pod(spec=spec))) == {"exempt": why}
    workload = {"metadata": {"name": "d"}, "spec": {"template": {"spec": spec}}}
    assert await annotations(checked, request(workload, plural="daemonsets", group="apps")) == {"exempt": why}


@pytest.mark.parametrize(
    "subresource", ["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"]
)
async def test_subresources_that_change_nothing_are_let_alone(subresource: str) -> None:
    checked = plugin(Objects({"enforce": "restricted"}))
    assert await annotations(checked, request(pod(), subresource=subresource)) == {}
    assert await annotations(checked, request(pod(), subresource="one-of-the-future")) != {}


async def test_the_labels_of_a_namespace_are_read_once_for_each_state_of_it() -> None:
    objects = Objects({})
    checked = plugin(objects)
    for _ in range(5):
        await checked.validate(request(pod()))
    assert objects.namespace.read == 1
    objects.namespace.document["metadata"]["labels"] = {PREFIX + "enforce": "baseline"}
    objects.namespace.revision = 2
    with pytest.raises(ApiError, match='violates PodSecurity "baseline:latest"'):
        await checked.validate(request(pod()))
    assert objects.namespace.read == 2


async def test_a_pod_of_an_unknown_namespace_is_refused_and_a_workload_is_not() -> None:
    checked = plugin(Objects({}))
    with pytest.raises(ApiError, match='failed to lookup namespace "other"'):
        await checked.validate(request(pod(), namespace="other"))
    workload = {"metadata": {"name": "d"}, "spec": {"template": {"spec": BAD}}}
    admission = request(workload, plural="deployments", group="apps", namespace="other")
    assert await annotations(checked, admission) == {"error": 'failed to lookup namespace "other"'}


@pytest.mark.parametrize(
    ("change", "significant"),
    [
        ({}, False),
        ({"nodeName": "n"}, False),
        ({"containers": [{"name": "c", "image": "i", "resources": {}}]}, False),
        ({"containers": [{"name": "c", "image": "other"}]}, True),
        ({"containers": []}, True),
        ({"initContainers": [{"name": "i", "image": "i"}]}, True),
        ({"ephemeralContainers": [{"name": "e", "image": "i"}]}, False),
        ({"ephemeralContainers": [{"name": "e", "image": "other"}]}, True),
        ({"ephemeralContainers": [{"name": "e", "image": "i"}, {"name": "f"}]}, True),
        ({"ephemeralContainers": []}, False),
    ],
)
def test_changes_that_matter(change: Document, significant: bool) -> None:
    old = {**BAD, "ephemeralContainers": [{"name": "e", "image": "i"}]}
    assert is_significant(pod(spec={**old, **change}), pod(spec=old)) is significant


def relabelled(**labels: str) -> Admission:
    named = {PREFIX + name: value for name, value in labels.items()}
    old = {"metadata": {"name": "n"}}
    return request({"metadata": {"name": "n", "labels": named}}, old=old, plural="namespaces", namespace="")


async def test_owners_come_first_and_some_pods_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def owned(number: int, owner: str) -> Document:
        return pod(f"p{number}", ownerReferences=[{"uid": owner, "controller": True}])

    pods = [owned(number, "same") for number in range(5)] + [owned(9, "other"), pod("z"), pod("zz", {"hostPID": True})]
    pods.append(pod("exempt", {**BAD, "runtimeClassName": "kata"}))
    monkeypatch.setattr(existing, "MOST", 4)
    admission = relabelled(enforce="baseline")
    await plugin(Objects({}, pods), runtime_classes=frozenset({"kata"})).validate(admission)
    assert admission.context.warnings == [
        "new PodSecurity enforce level only checked against the first 4 of 8 existing pods",
        'existing pods in namespace "n" violate the new PodSecurity enforce level "baseline:latest"',
        "p0 (and 2 other pods): privileged",
        "zz: host namespaces",
    ]


async def test_looking_ends_after_a_second() -> None:
    pods = [pod(f"p{number:04}") for number in range(400)]
    checked = PodSecurity(Objects({}, pods), settings=Settings(), clock=Hasty())
    admission = relabelled(enforce="baseline")
    await checked.validate(admission)
    first, *_, last = admission.context.warnings
    assert first == "new PodSecurity enforce level only checked against the first 100 of 400 existing pods"
    assert last == "p0000 (and 99 other pods): privileged"


async def test_a_namespace_that_is_exempt_is_told_that_its_labels_mean_nothing() -> None:
    checked = plugin(Objects({}, [pod()]), namespaces=frozenset({"n"}))
    admission = relabelled(enforce="baseline", warn="privileged", **{"audit-version": "v1.3"})
    await checked.validate(admission)
    assert admission.context.warnings == [
        'namespace "n" is exempt from Pod Security, and the policy (enforce=baseline:latest) will be ignored'
    ]
