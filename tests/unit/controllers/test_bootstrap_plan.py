"""What bootstrap tokens sign, and until when."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from k8slite.controllers.bootstrap.plan import Token, expires, is_token, signature, signed, token
from k8slite.kinds.core import Secret

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = {"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true"}


def secret(*, name: str = "bootstrap-token-abcdef", namespace: str = "kube-system", **data: str | None) -> Secret:
    given = {key.replace("_", "-"): value for key, value in data.items()}
    content = {key: base64.b64encode(value.encode()).decode() for key, value in (GOOD | given).items() if value}
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    return Secret.model_validate({"metadata": metadata, "type": "bootstrap.kubernetes.io/token", "data": content})


def test_a_signature_is_what_every_implementation_makes_of_it() -> None:
    """The values are those of Kubernetes' own test, made by another library."""
    content = "Hello from the other side. I must have called a thousand times."
    made = signature(content, Token("joshua", "my voice is my passcode"))
    assert made == "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8"


@pytest.mark.parametrize(
    ("subject", "may"),
    [
        (secret(), True),
        (secret(expiration="2026-01-01T00:00:01Z"), True),
        (secret(expiration="2026-01-01T01:00:01+01:00"), True),
        (secret(expiration="2026-01-01T00:00:00Z"), False),
        (secret(expiration="tomorrow"), False),
        (secret(expiration="2026-02-02"), False),
        (secret(usage_bootstrap_signing=None), False),
        (secret(usage_bootstrap_signing="True"), False),
        (secret(token_secret=None), False),
        (secret(token_id="ghijkl"), False),
        (secret(name="mine"), False),
        (secret(name="bootstrap-token-abcdefg"), False),
    ],
)
def test_which_tokens_sign(subject: Secret, may: bool) -> None:
    assert token(subject, now=NOW) == (Token("abcdef", "0123456789abcdef") if may else None)


def test_tokens_stand_in_one_namespace() -> None:
    assert is_token(secret())
    assert not is_token(secret(namespace="default"))
    assert expires(secret()) is None


def test_the_secret_of_a_token_is_never_shown() -> None:
    assert "0123" not in repr(Token("abcdef", "0123456789abcdef"))


def test_signatures_come_change_and_go() -> None:
    one, two = Token("aaaaaa", "1"), Token("bbbbbb", "2")
    first = signed({"kubeconfig": "x", "other": "kept"}, [one, two])
    assert first is not None
    assert set(first) == {"kubeconfig", "other", "jws-kubeconfig-aaaaaa", "jws-kubeconfig-bbbbbb"}
    assert signed(first, [two, one]) is None
    less = signed(first, [two])
    assert less is not None
    assert set(less) == {"kubeconfig", "other", "jws-kubeconfig-bbbbbb"}
    changed = signed(first | {"kubeconfig": "y"}, [one, two])
    assert changed is not None
    assert changed["jws-kubeconfig-aaaaaa"] != first["jws-kubeconfig-aaaaaa"]
    assert signed({"other": "x"}, [one]) is None
