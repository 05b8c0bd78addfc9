"""Bootstrap tokens: a Secret of kube-system lets a node in, for as long as it says so."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from k8slite.testing import RunningServer, running_server
from k8slite.testing.kubectl import Kubectl

from .clients import as_bearer, user

PATH = "/api/v1/namespaces/kube-system/secrets"
TOKEN = "abcdef.0123456789abcdef"


def secret(**data: str) -> dict[str, Any]:
    fields = {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        **{key.replace("_", "-"): value for key, value in data.items()},
    }
    return {
        "metadata": {"name": "bootstrap-token-abcdef"},
        "type": "bootstrap.kubernetes.io/token",
        "data": {key: b64encode(value.encode()).decode() for key, value in fields.items()},
    }


def _at(**distance: float) -> str:
    return (datetime.now(UTC) + timedelta(**distance)).isoformat(timespec="seconds").replace("+00:00", "Z")


async def write(server: RunningServer, content: dict[str, Any]) -> None:
    async with server.http() as http:
        await http.delete(f"{PATH}/bootstrap-token-abcdef")
        answer = await http.post(PATH, json=content)
    assert answer.status_code == 201, answer.text


async def test_a_token_of_a_secret_authenticates_until_the_secret_says_otherwise() -> None:
    async with running_server(enable_bootstrap_token_auth=True) as server:
        assert await user(server, TOKEN) == 401
        await write(server, secret(auth_extra_groups="system:bootstrappers:workers", expiration=_at(hours=1)))
        assert await user(server, TOKEN) == {
            "username": "system:bootstrap:abcdef",
            "groups": ["system:bootstrappers", "system:bootstrappers:workers", "system:authenticated"],
        }
        assert await user(server, "abcdef.0123456789abcdee") == 401
        assert await user(server, "abcdee.0123456789abcdef") == 401
        assert (await Kubectl(server, as_bearer(server, TOKEN))("auth", "whoami")).code == 0
        async with server.http() as http:
            label = {"metadata": {"labels": {"touched": "yes"}}}
            await http.patch(
                f"{PATH}/bootstrap-token-abcdef", json=label, headers={"Content-Type": "application/merge-patch+json"}
            )
        assert await user(server, TOKEN) != 401
        async with server.http() as http:
            await http.delete(f"{PATH}/bootstrap-token-abcdef")
        assert await user(server, TOKEN) == 401


@pytest.mark.parametrize(
    "data",
    [
        {"expiration": _at(seconds=-1)},
        {"expiration": "tomorrow"},
        {"usage_bootstrap_authentication": "false"},
        {"auth_extra_groups": "system:masters"},
        {"token_id": "zzzzzz"},
        {"token_secret": ""},
    ],
    ids=lambda data: next(iter(data)),
)
async def test_secrets_that_let_nobody_in(data: dict[str, str]) -> None:
    async with running_server(enable_bootstrap_token_auth=True) as server:
        await write(server, secret())
        assert await user(server, TOKEN) != 401
        await write(server, secret(**data))
        assert await user(server, TOKEN) == 401


async def test_other_types_and_servers_without_the_setting_take_no_such_token() -> None:
    async with running_server(enable_bootstrap_token_auth=True) as server:
        await write(server, {**secret(), "type": "Opaque"})
        assert await user(server, TOKEN) == 401
    async with running_server() as server:
        await write(server, secret())
        assert await user(server, TOKEN) == 401
