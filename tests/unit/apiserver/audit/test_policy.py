"""Which rule of an audit policy decides about a request."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k8slite.apiserver.audit.policy import Level, Policy, Rule, load, parse
from k8slite.apiserver.authn.base import User
from k8slite.apiserver.authz.base import Attributes
from k8slite.config import ConfigError

ALICE = User("alice", groups=("developers", "system:authenticated"))
STRANGER = User("")


def policy(*rules: dict[str, object], **more: object) -> Policy:
    return parse(json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules, **more}), origin="test")


def request(
    resource: str = "pods",
    *,
    user: User = ALICE,
    verb: str = "get",
    group: str = "",
    namespace: str = "a",
    name: str = "",
) -> Attributes:
    resource, _, subresource = resource.partition("/")
    return Attributes(user, verb, "/x", group, "v1", resource, subresource, namespace, name)


def url(path: str, *, user: User = ALICE, verb: str = "get") -> Attributes:
    return Attributes(user, verb, path)


@pytest.mark.parametrize(
    ("rule", "matching", "others"),
    [
        ({}, [request(), url("/healthz"), request(user=STRANGER)], []),
        ({"users": ["alice"]}, [request(), url("/x")], [request(user=User("bob")), request(user=STRANGER)]),
        (
            {"userGroups": ["developers"]},
            [request()],
            [request(user=User("bob", groups=("x",))), url("/", user=STRANGER)],
        ),
        ({"verbs": ["create", "get"]}, [request(), url("/x")], [request(verb="list")]),
        ({"namespaces": ["a"]}, [request()], [request(namespace="b"), request(namespace=""), url("/a")]),
        ({"namespaces": [""]}, [request("nodes", namespace="")], [request()]),
        ({"resources": [{"group": ""}]}, [request(), request("pods/log")], [request(group="apps"), url("/")]),
        ({"resources": [{"group": "*"}]}, [request(), request("x/y", group="apps")], [url("/")]),
        ({"resources": [{"resources": ["pods"]}]}, [request()], [request("pods/log"), request("secrets")]),
        ({"resources": [{"resources": ["pods/log"]}]}, [request("pods/log")], [request(), request("pods/status")]),
        ({"resources": [{"resources": ["pods/*"]}]}, [request(), request("pods/log")], [request("secrets/status")]),
        ({"resources": [{"resources": ["*/status"]}]}, [request("pods/status")], [request(), request("pods/log")]),
        ({"resources": [{"resources": ["*"]}]}, [request(), request("pods/log")], [request(group="apps")]),
        (
            {"resources": [{"resources": ["pods"], "resourceNames": ["x"]}]},
            [request(name="x")],
            [request(name="y"), request()],
        ),
        (
            {
                "resources": [{"group": "apps", "resources": ["deployments"]}, {"resources": ["pods"]}],
                "namespaces": ["a"],
            },
            [request(), request("deployments", group="apps")],
            [request("deployments", group="apps", namespace="b"), request("deployments")],
        ),
        ({"nonResourceURLs": ["/healthz*"]}, [url("/healthz"), url("/healthz/etcd")], [url("/"), request()]),
        ({"nonResourceURLs": ["/metrics"]}, [url("/metrics")], [url("/metrics/x"), url("/")]),
        ({"nonResourceURLs": ["*"]}, [url("/"), url("/x")], [request()]),
        ({"resources": None, "users": None, "namespaces": []}, [request(), url("/x")], []),
    ],
)
def test_a_rule_matches_what_it_names(
    rule: dict[str, object], matching: list[Attributes], others: list[Attributes]
) -> None:
    decide = policy({"level": "Metadata", **rule}).decide
    assert [decide(attributes).level for attributes in matching] == [Level.METADATA] * len(matching)
    assert [decide(attributes).level for attributes in others] == [Level.NONE] * len(others)


def test_the_first_rule_that_matches_decides() -> None:
    decide = policy(
        {"level": "RequestResponse", "verbs": ["create"]}, {"level": "None", "users": ["alice"]}, {"level": "Request"}
    ).decide
    assert decide(request(verb="create")).level is Level.REQUEST_RESPONSE
    assert decide(request()).level is Level.NONE
    assert decide(request(user=User("bob"))).level is Level.REQUEST


def test_stages_are_left_out_by_the_rule_and_by_the_policy() -> None:
    decide = policy(
        {"level": "Metadata", "verbs": ["get"], "omitStages": ["Panic"]},
        {"level": "Metadata"},
        omitStages=["RequestReceived"],
    ).decide
    assert decide(request()).omit_stages == {"RequestReceived", "Panic"}
    assert decide(request(verb="list")).omit_stages == {"RequestReceived"}


@pytest.mark.parametrize(
    ("overall", "rule", "omitted"), [(True, None, True), (True, False, False), (False, True, True)]
)
def test_a_rule_about_managed_fields_goes_before_the_policy(overall: bool, rule: bool | None, omitted: bool) -> None:
    decide = policy({"level": "Request", "omitManagedFields": rule}, omitManagedFields=overall).decide
    assert decide(request()).omit_managed_fields is omitted


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rules: [{level: None}]", "unknown group version field"),
        ("apiVersion: audit.k8s.io/v1\nkind: Policy", "0 rules"),
        ("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{verbs: [get]}]", "rules[0].level"),
        ("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Some}]", "rules[0].level"),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None, omitStages: [End]}]",
            "rules[0].omitStages[0]",
        ),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None, nonResourceURLs: [x]}]",
            "must begin with a '/'",
        ),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None, nonResourceURLs: ['/a*b']}]",
            "must be the final character",
        ),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None, nonResourceURLs: [/a], namespaces: [b]}]",
            "cannot apply to both",
        ),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None, resources: [{group: apps/v1}]}]",
            "no name of an API group",
        ),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None, resources: [{resourceNames: [x]}]}]",
            "requires at least one resource",
        ),
        ("[", "while parsing"),
        ("[]", "unknown group version field"),
        ("rules: 2026-99-99", "month must be in 1..12"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, origin="policy.yaml")
    assert problem in str(caught.value)
    assert "policy.yaml" in str(caught.value)


def test_a_policy_file_that_is_not_there_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match="nowhere"):
        load(tmp_path / "nowhere")


def test_unknown_fields_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    decide = policy({"level": "Metadata", "user": ["alice"], "resources": [{"names": ["x"]}]}).decide
    assert "rules[0].user" in caplog.text
    assert "rules[0].resources[0].names" in caplog.text
    assert decide(request(user=User("bob"))).level is Level.METADATA


NAMES = st.sampled_from(["a", "b", ""])
RESOURCES = st.sampled_from(["pods", "pods/log", "pods/*", "*/log", "*", "nodes"])
LISTS = {
    "users": st.lists(st.sampled_from(["alice", "bob"]), max_size=2),
    "userGroups": st.lists(st.sampled_from(["g", "h"]), max_size=2),
    "verbs": st.lists(st.sampled_from(["get", "list"]), max_size=2),
    "omitStages": st.lists(st.sampled_from(["RequestReceived", "Panic"]), max_size=2),
}
REGULAR = st.fixed_dictionaries(
    {"level": st.sampled_from(["None", "Metadata", "Request", "RequestResponse"])},
    optional={
        **LISTS,
        "namespaces": st.lists(NAMES, max_size=2),
        "resources": st.lists(
            st.fixed_dictionaries(
                {"group": st.sampled_from(["", "apps", "*"]), "resources": st.lists(RESOURCES, min_size=1, max_size=2)},
                optional={"resourceNames": st.lists(NAMES, max_size=2)},
            ),
            max_size=2,
        ),
    },
)
OTHER = st.fixed_dictionaries(
    {"level": st.sampled_from(["None", "Metadata"])},
    optional={**LISTS, "nonResourceURLs": st.lists(st.sampled_from(["*", "/a", "/a*", "/b/*"]), max_size=2)},
)
USERS = st.builds(
    User,
    st.sampled_from(["alice", "bob", ""]),
    groups=st.lists(st.sampled_from(["g", "h", "i"]), max_size=2).map(tuple),
)
REQUESTS = st.builds(
    Attributes,
    USERS,
    st.sampled_from(["get", "list"]),
    st.just("/x"),
    st.sampled_from(["", "apps"]),
    st.just("v1"),
    st.sampled_from(["pods", "nodes"]),
    st.sampled_from(["", "log", "status"]),
    NAMES,
    NAMES,
) | st.builds(Attributes, USERS, st.sampled_from(["get", "list"]), st.sampled_from(["/a", "/ab", "/b/c", "/"]))


def reference(rules: list[dict[str, object]], attributes: Attributes) -> tuple[str, frozenset[str]]:
    """What Kubernetes' words about a policy mean, taken one by one."""

    def allowed(values: object, value: str) -> bool:
        return not values or value in values  # type: ignore[operator]

    def names(entry: dict[str, list[str]]) -> bool:
        whole = attributes.resource + ("/" + attributes.subresource if attributes.subresource else "")
        if entry["group"] not in ("*", attributes.group) or not allowed(entry.get("resourceNames"), attributes.name):
            return False
        for text in entry["resources"]:
            resource, _, subresource = text.partition("/")
            if text in ("*", whole) or (subresource == "*" and resource == attributes.resource):
                return True
            if resource == "*" and subresource and subresource == attributes.subresource:
                return True
        return False

    for rule in rules:
        groups = rule.get("userGroups")
        if not allowed(rule.get("users"), attributes.user.name) or not allowed(rule.get("verbs"), attributes.verb):
            continue
        if groups and not set(groups) & set(attributes.user.groups):  # type: ignore[call-overload]
            continue
        namespaces, resources, urls = rule.get("namespaces"), rule.get("resources"), rule.get("nonResourceURLs")
        if (namespaces or resources) and not attributes.resource:
            continue
        if not allowed(namespaces, attributes.namespace):
            continue
        if resources and not any(names(entry) for entry in resources):  # type: ignore[attr-defined]
            continue
        if urls:
            hits = [
                text in ("*", attributes.path) or (text[-1] == "*" and attributes.path.startswith(text[:-1]))
                for text in urls
            ]  # type: ignore[attr-defined]
            if attributes.resource or not any(hits):
                continue
        return str(rule["level"]), frozenset(rule.get("omitStages") or ())  # type: ignore[call-overload]
    return "None", frozenset()


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(REGULAR | OTHER, min_size=1, max_size=4), st.lists(REQUESTS, min_size=1, max_size=8))
def test_decisions_are_those_of_the_reference_and_are_remembered_right(
    rules: list[dict[str, object]], requests: list[Attributes]
) -> None:
    decide = policy(*rules).decide
    for attributes in [*requests, *requests]:
        found = decide(attributes)
        assert (found.level.label, found.omit_stages) == reference(rules, attributes)


def test_what_clients_write_does_not_fill_the_memory() -> None:
    made = Policy([Rule(level="Metadata", nonResourceURLs=["/a*"])])
    for index in range(10_000):
        made.decide(url(f"/a{index}"))
        made.decide(url("/a" + "x" * 600 + str(index)))
    kept = made._known
    assert len(kept) <= 4096
    assert all(len(str(key)) < 1000 for key in kept)
