"""Escalation, impersonation and reviews: what stands on top of the rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from k8slite import catalogue
from k8slite.apiserver.admission.base import Admission
from k8slite.apiserver.admission.rbac_escalation import RbacEscalation
from k8slite.apiserver.authn.base import Credentials, User
from k8slite.apiserver.authn.impersonation import impersonate, wanted
from k8slite.apiserver.authn.static import StaticTokens
from k8slite.apiserver.authn.tokens import Tokens
from k8slite.apiserver.authz.base import Attributes
from k8slite.apiserver.authz.chain import Chain, Masters
from k8slite.apiserver.authz.index import GROUP
from k8slite.apiserver.authz.rbac import RBAC
from k8slite.apiserver.strategies.base import Context
from k8slite.apiserver.verbs.reviews import Reviews
from k8slite.clock import VirtualClock
from k8slite.errors import ApiError

ALICE = User("alice", groups=("system:authenticated",))
ROOT = User("root", groups=("system:masters",))


@dataclass
class Row:
    key: str
    revision: int
    document: dict[str, Any]
    labels: dict[str, str] = field(default_factory=dict)


class Roles:
    def __init__(self, *rules: dict[str, Any]) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {
            "clusterroles": [
                {"metadata": {"name": "alices"}, "rules": list(rules)},
                {"metadata": {"name": "reader"}, "rules": [rule("get", "pods")]},
                {"metadata": {"name": "writer"}, "rules": [rule("get create", "pods")]},
            ],
            "clusterrolebindings": [
                {
                    "metadata": {"name": "b"},
                    "roleRef": {"kind": "ClusterRole", "name": "alices"},
                    "subjects": [{"kind": "User", "name": "alice"}],
                }
            ],
        }

    def version(self) -> int:
        return 1

    def entries(self, plural: str) -> Iterable[Row]:
        return [Row(f"{plural}/{n}", 1, document) for n, document in enumerate(self.objects.get(plural, []))]


def rule(verbs: str, resources: str, groups: str = "", names: str = "") -> dict[str, Any]:
    fields = {"verbs": verbs.split(), "apiGroups": groups.split() or [""], "resources": resources.split()}
    return fields | ({"resourceNames": names.split()} if names else {})


def writing(plural: str, new: dict[str, Any], *, user: User = ALICE, old: dict[str, Any] | None = None) -> Admission:
    resource = catalogue.builtin().by_path(GROUP, "v1", plural)
    assert resource
    now = datetime(2026, 1, 1, tzinfo=UTC)
    context = Context(user=user, now=now, namespace="ns", dry_run=False, lookup=lambda *_: None, warnings=[])
    return Admission("UPDATE" if old else "CREATE", resource, "", "ns", new["metadata"]["name"], new, old, context)


def escalation(*rules: dict[str, Any]) -> RbacEscalation:
    rbac = RBAC(Roles(*rules))
    return RbacEscalation(rbac=rbac, authorizer=Chain([Masters(), rbac]))


def role(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "new"}, "rules": list(rules)}


def binding(name: str) -> dict[str, Any]:
    return {"metadata": {"name": "new"}, "roleRef": {"kind": "ClusterRole", "name": name}, "subjects": []}


async def test_a_role_of_what_one_holds() -> None:
    await escalation(rule("get list", "pods")).validate(writing("roles", role(rule("get", "pods"))))


async def test_a_role_of_more_than_one_holds() -> None:
    with pytest.raises(ApiError) as refused:
        await escalation(rule("get", "pods")).validate(writing("roles", role(rule("get delete", "pods"))))
    assert refused.value.message == (
        'roles.rbac.authorization.k8s.io "new" is forbidden: user "alice" (groups=["system:authenticated"]) is '
        "attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}'
    )


async def test_who_may_escalate_or_bind_may_grant_anything() -> None:
    await escalation(rule("escalate", "roles", GROUP)).validate(writing("roles", role(rule("*", "*"))))
    await escalation(rule("bind", "clusterroles", GROUP, "writer")).validate(writing("rolebindings", binding("writer")))
    await escalation().validate(writing("roles", role(rule("*", "*")), user=ROOT))


async def test_bindings() -> None:
    plugin = escalation(rule("get", "pods"))
    await plugin.validate(writing("rolebindings", binding("reader")))
    with pytest.raises(ApiError, match="not currently held"):
        await plugin.validate(writing("rolebindings", binding("writer")))
    with pytest.raises(ApiError, match='"gone" not found'):
        await plugin.validate(writing("rolebindings", binding("gone")))


async def test_a_label_on_a_role_of_more_than_one_holds() -> None:
    """An aggregated role may gather what is labelled: CVE-like second path to other people's rules."""
    old = role(rule("*", "*"))
    labelled = old | {"metadata": {"name": "new", "labels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}}}
    with pytest.raises(ApiError, match="not currently held"):
        await escalation(rule("get", "pods")).validate(writing("clusterroles", labelled, old=old))
    with pytest.raises(ApiError, match="not currently held"):
        bound = binding("writer")
        await escalation().validate(
            writing("rolebindings", bound | {"metadata": {"name": "new", "labels": {"a": "b"}}}, old=bound)
        )


async def test_the_garbage_collector_may_always_finish_its_work() -> None:
    old = role(rule("*", "*")) | {"metadata": {"name": "new", "finalizers": ["foregroundDeletion"]}}
    await escalation().validate(writing("roles", role(rule("*", "*")), old=old))


async def test_only_who_holds_everything_may_aggregate() -> None:
    new = role() | {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}
    with pytest.raises(ApiError, match="must have cluster-admin privileges to use an aggregationRule"):
        await escalation(rule("get", "pods")).validate(writing("clusterroles", new))
    with pytest.raises(ApiError, match="must have cluster-admin privileges"):
        await escalation(rule("get", "pods")).validate(writing("clusterroles", role(), old=new))
    everything = [rule("*", "*", "*"), {"verbs": ["*"], "nonResourceURLs": ["*"]}]
    await escalation(*everything).validate(writing("clusterroles", new))


async def test_what_is_missing_is_listed_by_resource() -> None:
    with pytest.raises(ApiError) as refused:
        wanted = role(rule("get list delete", "pods nodes"), rule("watch", "pods", names="a b"))
        await escalation(rule("get", "pods")).validate(writing("clusterroles", wanted))
    assert refused.value.message.split("\n")[1:] == [
        '{APIGroups:[""], Resources:["nodes"], Verbs:["delete" "get" "list"]}',
        '{APIGroups:[""], Resources:["pods"], ResourceNames:["a"], Verbs:["watch"]}',
        '{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["watch"]}',
        '{APIGroups:[""], Resources:["pods"], Verbs:["delete" "list"]}',
    ]


async def test_a_right_to_escalate_one_name_counts_for_that_role_only() -> None:
    plugin = escalation(rule("escalate", "roles", GROUP, "new"))
    await plugin.validate(writing("roles", role(rule("*", "*")), old=role()))
    with pytest.raises(ApiError, match="not currently held"):
        await plugin.validate(writing("roles", role(rule("*", "*"))))
    with pytest.raises(ApiError, match="not currently held"):
        other = {"metadata": {"name": "other"}}
        await plugin.validate(writing("roles", role(rule("*", "*")) | other, old=role() | other))


async def acting(user: User, headers: list[tuple[bytes, bytes]], authorizer: Chain) -> User:
    other = wanted(headers)
    if other is None:
        return user
    return (await impersonate(Attributes(user, "get", resource="pods"), other, authorizer=authorizer)).user


async def test_impersonation() -> None:
    chain = Chain([Masters(), RBAC(Roles(rule("impersonate", "users", names="bob")))])
    assert await acting(ALICE, [(b"accept", b"x")], chain) is ALICE
    assert await acting(ALICE, [(b"impersonate-user", b"bob")], chain) == User("bob", groups=("system:authenticated",))
    with pytest.raises(ApiError) as refused:
        await acting(ALICE, [(b"impersonate-user", b"root")], chain)
    assert refused.value.code == 403
    with pytest.raises(ApiError) as refused:
        headers = [(b"impersonate-user", b"bob"), (b"impersonate-group", b"system:masters")]
        await acting(ALICE, headers, chain)
    assert refused.value.code == 403
    with pytest.raises(ApiError) as refused:
        await acting(ROOT, [(b"impersonate-group", b"dev")], chain)
    assert refused.value.code == 400
    account = await acting(ROOT, [(b"impersonate-user", b"system:serviceaccount:ns:bot")], chain)
    assert account.groups == ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")


@pytest.fixture
def reviews(tmp_path: Any) -> Reviews:
    (tmp_path / "tokens.csv").write_text("s3cret,carol,7,dev\n")
    clock = VirtualClock()
    tokens = Tokens([StaticTokens.load(tmp_path / "tokens.csv")], audiences=["https://issuer"], clock=clock)
    return Reviews(tokens=tokens, clock=clock)


def body(kind: str, **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "spec": spec}


async def test_who_am_i(reviews: Reviews) -> None:
    asked = {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}}
    user = replace(ALICE, uid="1", extra={"k": ("v",)})
    assert (await reviews.review("selfsubjectreviews", asked, user=user))["status"]["userInfo"] == {
        "username": "alice",
        "uid": "1",
        "groups": ["system:authenticated"],
        "extra": {"k": ["v"]},
    }


async def test_token_review_never_repeats_the_token(reviews: Reviews) -> None:
    answer = await reviews.review("tokenreviews", body("TokenReview", token="s3cret"), user=ROOT)
    assert answer["status"]["authenticated"]
    assert answer["status"]["user"]["username"] == "carol"
    assert "s3cret" not in str(answer)
    answer = await reviews.review("tokenreviews", body("TokenReview", token="wrong"), user=ROOT)
    assert not answer["status"].get("authenticated")
    assert "wrong" not in str(answer)


def test_credentials_do_not_show_tokens() -> None:
    assert "s3cret" not in f"{Credentials(token='s3cret')!r}"
