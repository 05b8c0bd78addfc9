from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.authn.base import User
from k8slite.apiserver.authz import rules
from k8slite.apiserver.authz.base import Attributes, Decision
from k8slite.apiserver.authz.chain import Chain, Masters, denial
from k8slite.apiserver.authz.rbac import RBAC
from k8slite.apiserver.authz.rules import Rule
from k8slite.errors import ApiError


@dataclass
class Row:
    key: str
    revision: int
    document: dict[str, Any]
    labels: dict[str, str] = field(default_factory=dict)


class Roles:
    """A source that is a dictionary."""

    def __init__(self) -> None:
        self.changes = 0
        self.objects: dict[str, list[dict[str, Any]]] = {}

    def version(self) -> int:
        return self.changes

    def entries(self, plural: str) -> Iterable[Row]:
        return [Row(f"{plural}/{n}", self.changes, d) for n, d in enumerate(self.objects.get(plural, []))]

    def add(self, plural: str, name: str, namespace: str = "", **fields: Any) -> None:
        metadata = {"name": name, "labels": fields.pop("labels", {})} | ({"namespace": namespace} if namespace else {})
        self.objects.setdefault(plural, []).append({"metadata": metadata, **fields})
        self.changes += 1


def rule(verbs: str, resources: str = "", *, groups: str = "", names: str = "", urls: str = "") -> dict[str, Any]:
    return {
        "verbs": verbs.split(),
        "apiGroups": groups.split() or [""],
        "resources": resources.split(),
        "resourceNames": names.split(),
        "nonResourceURLs": urls.split(),
    }


def bound(*granted: dict[str, Any], namespace: str = "", subject: dict[str, str] | None = None) -> RBAC:
    roles = Roles()
    roles.add("clusterroles", "r", rules=list(granted))
    roles.add(
        "rolebindings" if namespace else "clusterrolebindings",
        "b",
        namespace,
        roleRef={"kind": "ClusterRole", "name": "r"},
        subjects=[subject or {"kind": "User", "name": "alice"}],
    )
    return RBAC(roles)


ALICE = User("alice", groups=("dev", "system:authenticated"))


async def allowed(rbac: RBAC, verb: str, resource: str = "", *, user: User = ALICE, **fields: str) -> bool:
    resource, _, subresource = resource.partition("/")
    attributes = Attributes(user, verb, resource=resource, subresource=subresource, **fields)
    return (await rbac.authorize(attributes))[0] is Decision.ALLOW


@pytest.mark.parametrize(
    ("granted", "verb", "resource", "fields", "expected"),
    [
        (rule("get", "pods"), "get", "pods", {"namespace": "n", "name": "p"}, True),
        (rule("get", "pods"), "list", "pods", {"namespace": "n"}, False),
        (rule("get", "pods"), "get", "pods/log", {"namespace": "n", "name": "p"}, False),
        (rule("get", "pods/log"), "get", "pods/log", {"namespace": "n", "name": "p"}, True),
        (rule("get", "pods/log"), "get", "pods", {"namespace": "n", "name": "p"}, False),
        (rule("get", "*"), "get", "pods/log", {"namespace": "n", "name": "p"}, True),
        (rule("update", "*/scale", groups="*"), "update", "deployments/scale", {"group": "apps", "name": "d"}, True),
        (rule("update", "*/scale", groups="*"), "update", "deployments", {"group": "apps", "name": "d"}, False),
        (rule("*", "pods"), "escalate", "pods", {}, True),
        (rule("get", "deployments"), "get", "deployments", {"group": "apps"}, False),
        (rule("get", "deployments", groups="apps"), "get", "deployments", {"group": "apps"}, True),
        (rule("get", "secrets", names="a b"), "get", "secrets", {"name": "b"}, True),
        (rule("get", "secrets", names="a b"), "get", "secrets", {"name": "c"}, False),
        (rule("list", "secrets", names="a b"), "list", "secrets", {}, False),
        (rule("get", urls="/healthz"), "get", "", {"path": "/healthz"}, True),
        (rule("get", urls="/healthz"), "get", "", {"path": "/healthz/etcd"}, False),
        (rule("get", urls="/healthz/*"), "get", "", {"path": "/healthz/etcd"}, True),
        (rule("get", urls="*"), "get", "", {"path": "/metrics"}, True),
        (rule("get", "*", groups="*"), "get", "", {"path": "/metrics"}, False),
    ],
)
async def test_rules(granted: dict[str, Any], verb: str, resource: str, fields: dict[str, str], expected: bool) -> None:
    rbac = bound(granted)
    assert await allowed(rbac, verb, resource, **fields) is expected
    assert await allowed(rbac, verb, resource, **fields) is expected  # as remembered


async def test_role_binding_counts_in_its_namespace_only() -> None:
    rbac = bound(rule("get", "pods nodes", urls="/metrics"), namespace="dev")
    assert await allowed(rbac, "get", "pods", namespace="dev")
    assert not await allowed(rbac, "get", "pods", namespace="prod")
    assert not await allowed(rbac, "get", "nodes")
    assert not await allowed(rbac, "get", path="/metrics")


@pytest.mark.parametrize(
    ("subject", "user"),
    [
        ({"kind": "Group", "name": "dev"}, ALICE),
        ({"kind": "ServiceAccount", "name": "bot", "namespace": "ci"}, User("system:serviceaccount:ci:bot")),
    ],
)
async def test_subjects(subject: dict[str, str], user: User) -> None:
    rbac = bound(rule("get", "pods"), subject=subject)
    assert await allowed(rbac, "get", "pods", user=user)
    assert not await allowed(rbac, "get", "pods", user=User("bob"))


async def test_a_change_counts_at_once() -> None:
    roles = Roles()
    rbac = RBAC(roles)
    assert not await allowed(rbac, "get", "pods", namespace="n")
    roles.add("roles", "r", "n", rules=[rule("get", "pods")])
    binding = {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "alice"}]}
    roles.add("rolebindings", "b", "n", **binding)
    assert await allowed(rbac, "get", "pods", namespace="n")
    roles.objects["rolebindings"].clear()
    roles.changes += 1
    assert not await allowed(rbac, "get", "pods", namespace="n")


async def test_reasons_name_binding_role_and_subject() -> None:
    rbac = bound(rule("get", "pods"), namespace="n")
    _, reason = await rbac.authorize(Attributes(ALICE, "get", resource="pods", namespace="n"))
    assert reason == 'RBAC: allowed by RoleBinding "b/n" of ClusterRole "r" to User "alice"'


async def test_refusal_as_kubernetes_words_it() -> None:
    roles = Roles()
    subjects = [{"kind": "User", "name": "alice"}]
    chain = Chain([Masters(), RBAC(roles)])
    with pytest.raises(ApiError) as refused:
        await chain.require(Attributes(ALICE, "list", resource="pods", namespace="default"))
    assert refused.value.code == 403
    assert refused.value.message == (
        'pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the namespace "default"'
    )
    roles.add("clusterrolebindings", "b", roleRef={"kind": "ClusterRole", "name": "gone"}, subjects=subjects)
    attributes = Attributes(ALICE, "create", group="apps", resource="deployments", subresource="scale", name="d")
    with pytest.raises(ApiError) as refused:
        await chain.require(attributes)
    assert refused.value.message == (
        'deployments.apps "d" is forbidden: User "alice" cannot create resource "deployments/scale" in API group "apps"'
        ' at the cluster scope: RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found'
    )
    assert denial(Attributes(ALICE, "get", path="/metrics")).message == (
        'forbidden: User "alice" cannot get path "/metrics"'
    )


async def test_masters_need_no_rule() -> None:
    chain = Chain([Masters(), RBAC(Roles())])
    await chain.require(Attributes(User("root", groups=("system:masters",)), "delete", resource="nodes", name="n"))


async def test_aggregated_roles_nest_and_may_run_in_a_circle() -> None:
    def aggregating(label: str) -> dict[str, Any]:
        return {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]}}

    roles = Roles()
    roles.add("clusterroles", "admin", labels={"to-edit": "true"}, **aggregating("to-admin"))
    roles.add("clusterroles", "edit", labels={"to-admin": "true"}, **aggregating("to-edit"))
    roles.add("clusterroles", "more", labels={"to-edit": "true"}, rules=[rule("get", "crontabs")])
    subjects = [{"kind": "User", "name": "alice"}]
    roles.add("clusterrolebindings", "b", roleRef={"kind": "ClusterRole", "name": "admin"}, subjects=subjects)
    assert await allowed(RBAC(roles), "get", "crontabs")
    assert not await allowed(RBAC(roles), "list", "crontabs")


words = st.sampled_from(["a", "b", "c", "*"])
some = st.frozensets(words, min_size=1, max_size=3)
resources = st.frozensets(st.sampled_from(["a", "b", "a/s", "*/s", "*"]), min_size=1, max_size=3)
names = st.frozensets(st.sampled_from(["x", "y"]), max_size=2)
urls = st.frozensets(st.sampled_from(["/a", "/a/b", "/a/*", "*"]), min_size=1, max_size=2)
a_rule = st.one_of(
    st.builds(Rule, verbs=some, groups=some, resources=resources, names=names), st.builds(Rule, verbs=some, urls=urls)
)


@given(st.lists(a_rule, max_size=3))
def test_rules_cover_themselves(held: list[Rule]) -> None:
    assert rules.uncovered(held, held=held) == []


@given(held=st.lists(a_rule, max_size=3), wanted=a_rule)
def test_nothing_is_allowed_by_covered_rules_that_was_not_before(held: list[Rule], wanted: Rule) -> None:
    if rules.uncovered([wanted], held=held):
        return
    for verb in "abc":
        for path in ("/a", "/a/b", "/a/c", "/x"):
            if wanted.allows_path(verb=verb, path=path):
                assert any(rule.allows_path(verb=verb, path=path) for rule in held)
        for group in "abc":
            for resource, subresource in (("a", ""), ("b", ""), ("a", "s"), ("c", "s")):
                kind = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
                for name in ("x", "y", "z"):
                    if wanted.allows_kind(**kind) and (not wanted.names or name in wanted.names):
                        assert any(r.allows_kind(**kind) and (not r.names or name in r.names) for r in held)


@pytest.mark.parametrize("made_up", ["namespace", "resource", "verb", "user", "group"])
async def test_long_questions_fill_no_memory(made_up: str) -> None:
    """Anybody may ask, of whatever comes to mind; a path has up to 64 KiB, and a review takes megabytes."""
    rbac = bound(rule("get", "pods"))
    await allowed(rbac, "get", "pods", namespace="ns")
    tracemalloc.start()
    try:
        for number in range(200):
            text = f"{number}".rjust(50_000, "a")
            verb = text if made_up == "verb" else "get"
            resource = text if made_up == "resource" else "pods"
            namespace = text if made_up == "namespace" else "ns"
            user = User(text if made_up == "user" else "u", groups=(text,) if made_up == "group" else ())
            await allowed(rbac, verb, resource, user=user, namespace=namespace)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 1 << 20
    assert await allowed(rbac, "get", "pods", namespace="ns")
