"""What aggregation decides without asking anyone: order, availability, registration, and what is taken over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from k8slite.apiserver.aggregation import conditions, described, order, registration, services
from k8slite.apiserver.aggregation.conditions import Availability, unreachable, with_condition
from k8slite.apiserver.aggregation.headers import request_headers, user_headers
from k8slite.apiserver.authn.base import User
from k8slite.apiserver.backends import ServiceReference
from k8slite.catalogue import builtin

Document = dict[str, Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def api_service(
    version: str, group: str, *, priority: int = 1000, rank: int = 100, remote: bool = True, managed: str = ""
) -> services.ApiService:
    spec: Document = {
        "group": group,
        "version": version,
        "groupPriorityMinimum": priority,
        "versionPriority": rank,
    }
    if remote:
        spec["service"] = {"namespace": "n", "name": "s"}
    labels = {services.MANAGED: managed} if managed else {}
    return services.read({"metadata": {"name": f"{version}.{group}", "labels": labels}, "spec": spec})


# Order


def test_the_builtin_groups_are_in_the_order_of_their_priorities() -> None:
    local = builtin().groups()
    merged = order.merge_groups(local, [])
    assert merged == local
    assert [group for group in merged if group] == [group for group in local if group]


def test_groups_are_ordered_by_priority_then_by_name_and_versions_as_kubernetes_does() -> None:
    found = order.merge_groups(
        {"apps": ["v1"], "custom.example.com": ["v1"]},
        [
            api_service("v1", "b.example.com", priority=500),
            api_service("v1", "a.example.com", priority=500),
            api_service("v1", "top.example.com", priority=18_500),
            api_service("v1beta1", "many.example.com", priority=100, rank=10),
            api_service("v2", "many.example.com", priority=50, rank=10),
            api_service("v1", "many.example.com", priority=700, rank=20),
            api_service("v1", "nobody.example.com", remote=False),
        ],
    )
    assert found == {
        "top.example.com": ["v1"],
        "apps": ["v1"],
        "custom.example.com": ["v1"],
        "many.example.com": ["v1", "v2", "v1beta1"],
        "a.example.com": ["v1"],
        "b.example.com": ["v1"],
    }
    assert list(found) == [
        "top.example.com",
        "apps",
        "custom.example.com",
        "many.example.com",
        "a.example.com",
        "b.example.com",
    ]


# Availability

REFERENCE = ServiceReference("n", "s", 443)
SERVICE: Document = {"spec": {"type": "ClusterIP", "ports": [{"port": 443, "name": "https"}]}}


def endpoint_slice(*, ready: bool | None = True, name: str = "https") -> Document:
    return {
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {} if ready is None else {"ready": ready}}],
        "ports": [{"name": name, "port": 8443}],
    }


@pytest.mark.parametrize(
    ("service", "slices", "reason"),
    [
        (None, [], "ServiceNotFound"),
        ({"spec": {"ports": [{"port": 80}]}}, [], "ServicePortError"),
        (SERVICE, [], "EndpointsNotFound"),
        (SERVICE, [endpoint_slice(ready=False)], "MissingEndpoints"),
        (SERVICE, [endpoint_slice(name="http")], "MissingEndpoints"),
        (SERVICE, [endpoint_slice(ready=False), endpoint_slice(ready=None)], None),
        ({"spec": {"type": "ExternalName", "externalName": "example.com"}}, [], None),
    ],
)
def test_a_service_that_leads_nowhere(service: Document | None, slices: list[Document], reason: str | None) -> None:
    found = unreachable(REFERENCE, service, slices)
    assert (found.reason if found is not None else None) == reason
    assert found is None or not found.status


def test_a_condition_keeps_its_time_while_its_status_lasts() -> None:
    missing = Availability(False, "ServiceNotFound", "gone")
    first = with_condition({"status": {"conditions": [{"type": "Other"}]}}, missing, NOW)
    later = NOW + timedelta(minutes=1)
    assert with_condition(first, missing, later) is first
    second = with_condition(first, Availability(False, "MissingEndpoints", "none"), later)
    third = with_condition(second, conditions.PASSED, later)
    times = [services.available(each)["lastTransitionTime"] for each in (first, second, third)]  # type: ignore[index]
    assert times == ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"]
    assert [each["type"] for each in third["status"]["conditions"]] == ["Other", "Available"]
    assert services.available(first)["reason"] == "ServiceNotFound"  # type: ignore[index]


# Registration


def test_a_start_makes_what_is_missing_mends_what_is_its_own_and_removes_what_is_no_more() -> None:
    present = {
        each.name: each
        for each in (
            api_service("v1", "apps", remote=False, priority=17_800, rank=15, managed="onstart"),
            api_service("v1", "batch", remote=False, priority=1, rank=1, managed="onstart"),
            api_service("v1", "policy", priority=1, rank=1),
            api_service("v1", "old.k8s.io", remote=False, managed="onstart"),
            api_service("v1", "custom.example.com", remote=False, managed="true"),
        )
    }
    groups = {"": ["v1"], "apps": ["v1"], "batch": ["v1"], "policy": ["v1"], "custom.example.com": ["v1"]}
    plan = registration.builtin_plan(groups, present)
    assert [each["metadata"]["name"] for each in plan.create] == ["v1."]
    assert plan.create[0]["spec"] == {"version": "v1", "groupPriorityMinimum": 18_000, "versionPriority": 1}
    assert plan.mend == {
        "v1.batch": {"group": "batch", "version": "v1", "groupPriorityMinimum": 17_400, "versionPriority": 15}
    }
    assert plan.delete == ("v1.old.k8s.io",)


def test_custom_resources_come_and_go_and_leave_what_others_made() -> None:
    present = {
        each.name: each
        for each in (
            api_service("v1", "gone.example.com", remote=False, managed="true"),
            api_service("v1", "taken.example.com"),
            api_service("v1", "apps", remote=False, managed="onstart"),
        )
    }
    served = [("new.example.com", "v1"), ("taken.example.com", "v1"), ("apps", "v1")]
    plan = registration.custom_plan(served, present)
    assert [each["metadata"]["name"] for each in plan.create] == ["v1.new.example.com"]
    assert plan.create[0]["metadata"]["labels"] == {services.MANAGED: "true"}
    assert (plan.mend, plan.delete) == ({}, ("v1.gone.example.com",))


# What other servers say of themselves


def test_a_list_of_resources_reads_as_aggregated_discovery() -> None:
    resources = [
        {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "PodMetrics", "verbs": ["get"]},
        {"name": "pods/scale", "kind": "Scale", "group": "autoscaling", "version": "v1", "verbs": ["get"]},
        {"name": "nodes", "singularName": "", "namespaced": False, "kind": "N", "verbs": [], "shortNames": ["n"]},
        {"name": "orphans/status", "kind": "Orphan", "verbs": []},
    ]
    entry = described.version_of({"resources": resources}, "metrics.k8s.io", "v1beta1")
    pods, nodes = entry["resources"]
    assert pods["responseKind"] == {"group": "metrics.k8s.io", "version": "v1beta1", "kind": "PodMetrics"}
    assert pods["subresources"] == [
        {
            "subresource": "scale",
            "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
            "verbs": ["get"],
        }
    ]
    assert (nodes["scope"], nodes["shortNames"]) == ("Cluster", ["n"])
    assert described.stale(entry, "v1beta1") == {**entry, "freshness": "Stale"}
    assert described.stale(None, "v1beta1") == {"version": "v1beta1", "freshness": "Stale"}


@pytest.mark.parametrize(
    "hostile",
    [
        {"resources": "pods"},
        {"resources": [None, "pods", {}]},
        {"resources": [{"name": 5, "verbs": "get", "shortNames": {"a": 1}}]},
        {"items": [{"metadata": "g"}, {"metadata": {"name": "g"}, "versions": 5}]},
        {
            "items": [
                {"metadata": {"name": "g"}, "versions": ["v1", {"version": "v1", "resources": [[], {"verbs": 1}]}]}
            ]
        },
        {"paths": ["apis/g/v1"]},
        {"paths": {"apis/g/v1": {"serverRelativeURL": {"a": "b"}}}},
    ],
)
def test_a_document_that_is_none_costs_nobody_anything(hostile: Document) -> None:
    entry = described.version_of(hostile, "g", "v1")
    found = described.version_in(hostile, "g", "v1") or entry
    for row in (*entry["resources"], *found["resources"]):
        assert row["verbs"] == []
        assert all(isinstance(row[field], str) for field in ("resource", "scope", "singularResource"))
        assert set(row) == {"resource", "responseKind", "scope", "singularResource", "verbs"}
    assert described.line_of_v3(hostile, "/apis/g/v1") in (None, {"serverRelativeURL": "/openapi/v3/apis/g/v1"})


def test_aggregated_discovery_is_taken_over_field_by_field() -> None:
    kind = {"group": "g", "version": "v1", "kind": "Thing"}
    row = {
        "resource": "things",
        "responseKind": kind,
        "scope": "Cluster",
        "singularResource": "thing",
        "verbs": ["get"],
        "categories": ["all"],
        "subresources": [
            {"subresource": "run", "responseKind": kind, "acceptedTypes": [kind], "verbs": ["create"]},
        ],
    }
    version = {"version": "v1", "resources": [{**row, "more": {"and": "more"}}], "freshness": "Stale"}
    found = described.version_in({"items": [{"metadata": {"name": "g"}, "versions": [version]}]}, "g", "v1")
    assert found == {"version": "v1", "resources": [row], "freshness": "Current"}


def test_a_line_of_openapi_3_leads_nowhere_else() -> None:
    index = {"paths": {"apis/g/v1": {"serverRelativeURL": "https://elsewhere.example.com/openapi?hash=A"}}}
    assert described.line_of_v3(index, "/apis/g/v1") == {"serverRelativeURL": "/openapi/v3/apis/g/v1?hash=A"}


def test_openapi_2_is_cut_to_the_group_version_and_completed() -> None:
    document = {
        "paths": {
            "/apis/g/v1/": {"get": {"responses": {"200": {"schema": {"$ref": "#/definitions/A"}}}}},
            "/apis/g/v1/things": {
                "parameters": [{"$ref": "#/parameters/pretty"}, {"$ref": "#/parameters/missing"}],
                "post": {"parameters": [{"name": "body", "in": "body", "schema": {"$ref": "#/definitions/B"}}]},
            },
            "/apis/g/v10/others": {"get": {}},
        },
        "parameters": {"pretty": {"name": "pretty", "in": "query", "type": "string"}},
        "definitions": {"A": {"items": {"$ref": "#/definitions/C"}}, "B": {}, "C": {}, "D": {}},
    }
    part = described.part_of_v2(document, "/apis/g/v1")
    assert list(part["paths"]) == ["/apis/g/v1/", "/apis/g/v1/things"]
    assert set(part["definitions"]) == {"A", "B", "C"}
    things = part["paths"]["/apis/g/v1/things"]
    assert [each["name"] for each in things["parameters"]] == ["pretty"]
    assert things["post"]["tags"] == []
    assert things["post"]["responses"] == {}


def test_definitions_of_the_same_name_are_kept_apart_unless_they_are_the_same() -> None:
    ours = {"paths": {"/a": {"get": 1}}, "definitions": {"Same": {"type": "object"}, "Other": {"type": "string"}}}
    theirs = {
        "paths": {"/a": {}, "/b": {"x": {"$ref": "#/definitions/Other"}, "y": {"$ref": "#/definitions/Same"}}},
        "definitions": {
            "Same": {"type": "object"},
            "Other": {"type": "integer"},
            "New": {"items": {"$ref": "#/definitions/Other"}},
        },
    }
    merged = described.merge_v2(ours, theirs)
    assert merged["paths"] == {
        "/a": {"get": 1},
        "/b": {"x": {"$ref": "#/definitions/Other_v2"}, "y": {"$ref": "#/definitions/Same"}},
    }
    assert merged["definitions"] == {
        "Same": {"type": "object"},
        "Other": {"type": "string"},
        "Other_v2": {"type": "integer"},
        "New": {"items": {"$ref": "#/definitions/Other_v2"}},
    }
    assert set(ours["definitions"]) == {"Same", "Other"}


# Headers


def test_a_user_is_named_with_all_that_is_known() -> None:
    user = User("jürgen", uid="u", groups=("a b",), extra={"a/b c": ("1", "2")})
    assert list(user_headers(user)) == [
        ("X-Remote-User", "jürgen"),
        ("X-Remote-Uid", "u"),
        ("X-Remote-Group", "a b"),
        ("X-Remote-Extra-a%2Fb%20c", "1"),
        ("X-Remote-Extra-a%2Fb%20c", "2"),
    ]


@pytest.mark.parametrize("name", ["jane\r\nX-Remote-Group: system:masters", "jane\0", "jane ", "\tjane", "jane\x7f"])
def test_a_name_that_would_arrive_as_another_is_not_sent(name: str) -> None:
    for user in (User(name), User("u", uid=name), User("u", groups=(name,)), User("u", extra={"k": (name,)})):
        with pytest.raises(ValueError, match=r'^net/http: invalid header field value for "X-Remote-'):
            list(user_headers(user))


def test_no_header_of_the_client_names_somebody_or_carries_its_token() -> None:
    token = b"base64url.bearer.authorization.k8s.io.c2VjcmV0"
    headers = [
        (b"connection", b"x-remote-user"),
        (b"x-remote-user", b"root"),
        (b"x_remote_user", b"root"),
        (b"x-remote_extra-a", b"b"),
        (b"impersonate_user", b"root"),
        (b"authorization", b"Bearer secret"),
        (b"proxy_authorization", b"secret"),
        (b"sec-websocket-protocol", b"chat, " + token),
        (b"x-name", "jürgen".encode()),
    ]
    found = list(request_headers({"headers": headers}))
    assert found == [("sec-websocket-protocol", "chat"), ("x-name", "jürgen")]


def test_hop_by_hop_headers_stay_here() -> None:
    headers = [
        (b"connection", b"close, X-Hop"),
        (b"x-hop", b"1"),
        (b"x-own", b"2"),
        (b"x-forwarded-for", b"10.0.0.9"),
        (b"te", b"trailers"),
    ]
    scope = {"headers": headers, "client": ("10.0.0.1", 1)}
    assert list(request_headers(scope)) == [("x-own", "2"), ("X-Forwarded-For", "10.0.0.9, 10.0.0.1")]
