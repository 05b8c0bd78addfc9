"""What an event says of a request, and what it does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from k8slite.apiserver.audit import bodies, event
from k8slite.apiserver.authn.base import User
from k8slite.apiserver.authz.base import Attributes


def scope(query: bytes = b"", *headers: tuple[bytes, bytes], client: Any = ("10.1.1.1", 5)) -> dict[str, Any]:
    return {"path": "/a", "raw_path": b"/a%20b", "query_string": query, "headers": list(headers), "client": client}


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (b"", "/a%20b"),
        (b"limit=5&watch", "/a%20b?limit=5&watch"),
        (b"continue=abc", "/a%20b?continue=abc"),
        (b"command=echo&command=a%20b", "/a%20b?command=echo&command=a%20b"),
        (b"access_token=s3", "/a%20b?access_token=REDACTED"),
        (b"a=b&X-Auth-TOKEN=s3&c=d", "/a%20b?a=b&X-Auth-TOKEN=REDACTED&c=d"),
        (b"%74oken=s3", "/a%20b?%74oken=REDACTED"),
        (b"password=a=b&client_secret=", "/a%20b?password=REDACTED&client_secret=REDACTED"),
        (b"name=token", "/a%20b?name=token"),
    ],
)
def test_the_uri_is_what_came_but_for_credentials(query: bytes, shown: str) -> None:
    assert event.request_uri(scope(query)) == shown


@pytest.mark.parametrize(
    ("headers", "client", "ips"),
    [
        ([], ("10.1.1.1", 5), ["10.1.1.1"]),
        ([], None, []),
        ([(b"x-forwarded-for", b"1.2.3.4, nonsense,5.6.7.8")], ("10.1.1.1", 5), ["1.2.3.4", "5.6.7.8", "10.1.1.1"]),
        ([(b"x-forwarded-for", b"1.2.3.4"), (b"x-real-ip", b"1.2.3.4")], ("1.2.3.4", 5), ["1.2.3.4"]),
        ([(b"x-real-ip", b"2001:DB8::1")], ("10.1.1.1", 5), ["2001:db8::1", "10.1.1.1"]),
        ([(b"x-real-ip", b"nowhere")], ("10.1.1.1", 5), ["10.1.1.1"]),
    ],
)
def test_sources_are_addresses_only(headers: list[tuple[bytes, bytes]], client: Any, ips: list[str]) -> None:
    assert event.source_ips(scope(b"", *headers, client=client)) == ips


@pytest.mark.parametrize(
    ("microsecond", "before", "shown"),
    [(0, 0.0, "12:00:00.000001Z"), (5, 0.0, "12:00:00.000005Z"), (250000, 0.5, "11:59:59.750000Z")],
)
def test_moments_always_have_their_microseconds(microsecond: int, before: float, shown: str) -> None:
    now = datetime(2026, 3, 1, 12, microsecond=microsecond, tzinfo=UTC)
    assert event.encode({"at": event.moment(now, before=before)}) == b'{"at":"2026-03-01T%b"}\n' % shown.encode()


def test_a_long_name_of_a_program_is_cut() -> None:
    assert event.user_agent([(b"user-agent", b"x" * 2000)]) == "x" * 1024 + "...TRUNCATED"


def test_users_are_encoded_anew_when_they_are_others() -> None:
    users = event.Users()
    for index in range(10_000):
        user = User(f"user-{index}", uid="1", groups=("g",), extra={"k": ("v",)})
        expected = {"username": f"user-{index}", "uid": "1", "groups": ["g"], "extra": {"k": ["v"]}}
        assert json.loads(orjson.dumps(users.encoded(user))) == expected
    assert orjson.dumps(users.encoded(User(""))) == b"{}"


def attributes(resource: str, group: str = "") -> Attributes:
    resource, _, subresource = resource.partition("/")
    return Attributes(User("x"), "create", "/x", group, "v1", resource, subresource, "ns", "")


@pytest.mark.parametrize(
    ("metadata", "more"),
    [
        (None, {}),
        (
            {"name": "a", "namespace": "other", "uid": "u", "resourceVersion": "5"},
            {"name": "a", "uid": "u", "resourceVersion": "5"},
        ),
        ({"name": None, "uid": 7}, {}),
    ],
)
def test_the_object_is_named_by_the_path_and_then_by_itself(metadata: Any, more: dict[str, str]) -> None:
    found = event.object_ref(attributes("deployments/scale", "apps"), metadata)
    expected = {"resource": "deployments", "namespace": "ns", "apiGroup": "apps", "apiVersion": "v1"}
    assert found == expected | {"subresource": "scale"} | more


SECRET = {"kind": "Secret", "metadata": {"name": "a"}, "data": {"a": "c2VjcmV0"}, "stringData": {"b": "secret"}}
HIDDEN = {**SECRET, "data": {"a": "REDACTED"}, "stringData": {"b": "REDACTED"}}
LAST = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.mark.parametrize(
    ("resource", "group", "document", "shown"),
    [
        ("secrets", "", SECRET, HIDDEN),
        ("secrets", "", {"items": [SECRET, SECRET]}, {"items": [HIDDEN, HIDDEN]}),
        ("secrets", "", {"rows": [{"object": SECRET}]}, {"rows": [{"object": HIDDEN}]}),
        ("secrets", "", {"data": None, "stringData": "x"}, {"data": "REDACTED", "stringData": "REDACTED"}),
        (
            "secrets",
            "",
            [{"op": "replace", "path": "/data/a", "value": "secret"}, {"op": "remove", "path": "/x"}],
            [{"op": "replace", "path": "/data/a", "value": "REDACTED"}, {"op": "remove", "path": "/x"}],
        ),
        (
            "secrets",
            "",
            {"metadata": {"annotations": {LAST: "secret", "a": "b"}}},
            {"metadata": {"annotations": {LAST: "REDACTED", "a": "b"}}},
        ),
        ("serviceaccounts/token", "", {"status": {"token": "secret"}}, {"status": {"token": "REDACTED"}}),
        ("tokenreviews", "authentication.k8s.io", {"spec": {"token": "secret"}}, {"spec": {"token": "REDACTED"}}),
        ("configmaps", "", {"data": {"token": "mine"}}, {"data": {"token": "mine"}}),
    ],
)
def test_bodies_never_hold_credentials(resource: str, group: str, document: Any, shown: Any) -> None:
    place = attributes(resource, group)
    body = json.dumps(document, indent=1).encode()
    for content_type in ("application/json", "application/merge-patch+json", "application/apply-patch+yaml"):
        found = bodies.received(body, content_type, place, omit_managed_fields=False)
        assert json.loads(orjson.dumps(found)) == shown
        assert b"\n" not in orjson.dumps(found)
    if isinstance(document, dict):
        found = bodies.answered(orjson.dumps(document), place, omit_managed_fields=True)
        assert json.loads(orjson.dumps(found)) == shown


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 5000, b"\xff", b'{"a": ' * 1000 + b"1" + b"}" * 1000])
def test_what_cannot_be_read_is_left_out(body: bytes) -> None:
    for resource in ("secrets", "pods"):
        for form in ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf"):
            found = bodies.received(body, form, attributes(resource), omit_managed_fields=True)
            assert found is None or json.loads(orjson.dumps(found)) is not None


def test_managed_fields_are_dropped_from_objects_lists_and_tables() -> None:
    full = {"metadata": {"name": "a", "managedFields": [{}]}}
    lean = {"metadata": {"name": "a"}}
    for document, expected in (
        (full, lean),
        ({"items": [full]}, {"items": [lean]}),
        ({"rows": [{"object": full}]}, {"rows": [{"object": lean}]}),
    ):
        found = bodies.answered(orjson.dumps(document), attributes("pods"), omit_managed_fields=True)
        assert json.loads(orjson.dumps(found)) == expected


def test_halves_of_characters_lose_no_event() -> None:
    users = event.Users()
    claimed = User("a\ud800", groups=("\udfff",), extra={"\ud800": ("\ud83d\ude00",)})
    made = {"user": users.encoded(claimed), "annotations": {"a": "b\ud800"}, "sourceIPs": ["\ud800"], "code": 400}
    assert json.loads(event.encode(made)) == {
        "user": {"username": "a\ufffd", "groups": ["\ufffd"], "extra": {"\ufffd": ["\U0001f600"]}},
        "annotations": {"a": "b\ufffd"},
        "sourceIPs": ["\ufffd"],
        "code": 400,
    }


def test_an_answer_that_is_nested_too_deep_loses_itself_and_not_the_event() -> None:
    body = b'{"items":[' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"]}"
    assert bodies.answered(body, attributes("widgets", "example.com"), omit_managed_fields=True) is None
