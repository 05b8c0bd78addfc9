"""What counts as a credential among the headers of a request."""

from __future__ import annotations

import base64

import pytest

from k8slite.apiserver.authn.base import Credentials
from k8slite.apiserver.authn.presented import presented

PREFIX = "base64url.bearer.authorization.k8s.io."


def of(*headers: tuple[str, str]) -> Credentials:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return presented({"headers": raw, "path": "/api"}, dict(raw))


def protocol(token: str) -> str:
    return PREFIX + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("  BEARER abc  ", "abc"),
        ("Bearer abc def", "abc"),
        ("Bearer  abc", ""),
        ("Bearer", ""),
        ("Basic abc", ""),
        ("abc", ""),
        ("", ""),
    ],
)
def test_bearer_tokens(header: str, token: str) -> None:
    assert of(("authorization", header)).token == token


def test_extra_space_is_warned_of() -> None:
    notes = of(("authorization", "Bearer  abc")).notes
    assert notes is not None
    assert notes.warnings == [
        "the provided Authorization header contains extra space before the bearer token, and is ignored"
    ]


def test_of_several_headers_the_first_counts() -> None:
    assert of(("authorization", "Bearer first"), ("x", "y"), ("authorization", "Bearer second")).token == "first"


def websocket(*protocols: str) -> Credentials:
    return of(("upgrade", "websocket"), *(("sec-websocket-protocol", each) for each in protocols))


def test_tokens_as_subprotocols() -> None:
    assert websocket(f"v4.channel.k8s.io, {protocol('a.b_c-d?')}").token == "a.b_c-d?"
    assert websocket("v4.channel.k8s.io", protocol("token")).token == "token"
    assert websocket("v4.channel.k8s.io").token == ""
    assert of(("sec-websocket-protocol", f"x, {protocol('token')}")).token == ""
    with_both = of(
        ("authorization", "Bearer header"), ("upgrade", "websocket"), ("sec-websocket-protocol", protocol("other"))
    )
    assert (with_both.token, with_both.problem) == ("header", "")


@pytest.mark.parametrize(
    ("protocols", "problem"),
    [
        ([f"{protocol('a')}, {protocol('b')}, x"], "multiple base64.bearer.authorization tokens specified"),
        ([protocol("a"), protocol("b"), "x"], "multiple base64.bearer.authorization tokens specified"),
        ([f"{PREFIX}!!!, x"], "invalid base64.bearer.authorization token encoding"),
        ([f"{PREFIX}{base64.urlsafe_b64encode(bytes([255])).decode()}, x"], "invalid base64.bearer"),
        ([protocol("a")], "missing additional subprotocol"),
    ],
)
def test_subprotocols_that_are_no_tokens(protocols: list[str], problem: str) -> None:
    found = websocket(*protocols)
    assert found.token == ""
    assert problem in found.problem


def test_credentials_are_in_no_repr() -> None:
    shown = repr(Credentials(token="s3cret", certificate=b"der", headers=[(b"authorization", b"Bearer s3cret")]))
    assert "s3cret" not in shown
    assert "der'" not in shown
