"""An operator written with kopf whose handlers are admission webhooks: `@kopf.on.mutate` and `@kopf.on.validate`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from k8slite.pki import Authority
from k8slite.testing import RunningServer, running_server
from k8slite.testing.kubectl import Kubectl

from ..apiserver.custom.definitions import custom, definition, establish

pytestmark = pytest.mark.asyncio(loop_scope="module")
PETS = "/apis/pets.example.com/v1/namespaces/default/pets"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server whose operator is ready."""
    directory = tmp_path_factory.mktemp("operator")
    async with server.http() as client:
        await establish(client, definition("pets", "pets.example.com"))
        process = await _start(server, directory)
        try:
            await _configured(client)
            yield client
        except BaseException:
            sys.stdout.write((directory / "log").read_text())
            raise
        finally:
            process.terminate()
            await process.wait()


async def _start(server: RunningServer, directory: Path) -> asyncio.subprocess.Process:
    authority = Authority.ensure(directory)
    pair = authority.issue_server("hook", common_name="hook", hosts=["127.0.0.1"])
    environment = {
        **os.environ,
        "KUBECONFIG": str(server.kubeconfig()),
        "HOOK_CA": str(authority.cert_file),
        "HOOK_CERT": str(pair.cert_file),
        "HOOK_KEY": str(pair.key_file),
    }
    script = Path(__file__).parent / "webhook_operator.py"
    with (directory / "log").open("wb") as output:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kopf", "run", "--standalone", "--all-namespaces", "--verbose", script),
            env=environment,
            stdout=output,
            stderr=output,
        )


async def _configured(http: httpx.AsyncClient) -> None:
    """Wait until kopf has configured its webhooks."""
    async with asyncio.timeout(60):
        for plural, count in (("mutatingwebhookconfigurations", 1), ("validatingwebhookconfigurations", 3)):
            while True:
                found = await http.get(f"{CONFIGURATIONS}/{plural}/auto.kopf.dev")
                if found.status_code == 200 and len(found.json().get("webhooks") or ()) == count:
                    break
                await asyncio.sleep(0.05)


def pet(name: str, **spec: Any) -> dict[str, Any]:
    """A pet."""
    return custom("pets.example.com/v1", "Pet", name, spec=spec)


async def test_a_handler_changes_what_is_made(http: httpx.AsyncClient) -> None:
    made = await http.post(PETS, json=pet("dog", kind="dog"))
    assert made.status_code == 201, made.text
    assert made.json()["spec"] == {"kind": "dog", "called": "Rex"}
    assert made.headers["warning"] == '299 - "a pet should have a name"'
    made = await http.post(PETS, json=pet("cat", kind="cat", called="Tom"))
    assert made.json()["spec"] == {"kind": "cat", "called": "Tom"}
    assert "warning" not in made.headers


async def test_a_handler_refuses_what_is_made_changed_or_deleted(http: httpx.AsyncClient) -> None:
    refused = await http.post(PETS, json=pet("shere-khan", kind="tiger", called="Khan"))
    assert refused.status_code == 403
    assert refused.json()["message"].endswith("denied the request: no tigers")
    trial = await http.post(f"{PETS}?dryRun=All", json=pet("shere-khan", kind="tiger", called="Khan"))
    assert trial.json()["message"].endswith("denied the request: no tigers even on trial")
    assert (await http.post(PETS, json=pet("loved", kind="dog", called="Rex"))).status_code == 201
    headers = {"content-type": "application/merge-patch+json"}
    changed = await http.patch(f"{PETS}/loved", json={"spec": {"kind": "tiger"}}, headers=headers)
    assert changed.status_code == 403
    kept = await http.delete(f"{PETS}/loved")
    assert kept.json()["message"].endswith("kubernetes-admin may not part with it")
    assert (await http.get(f"{PETS}/loved")).json()["spec"]["kind"] == "dog"


async def test_kubectl_says_why(server: RunningServer, http: httpx.AsyncClient, tmp_path: Path) -> None:
    manifest = tmp_path / "pet.yaml"
    manifest.write_text(
        "apiVersion: pets.example.com/v1\nkind: Pet\nmetadata: {name: tigger}\nspec: {kind: tiger, called: Tigger}\n"
    )
    kubectl = Kubectl(server)
    for more in ((), ("--server-side",), ("--dry-run=server",)):
        result = await kubectl("apply", "-f", str(manifest), *more)
        assert result.code != 0
        assert 'admission webhook "tame.auto.kopf.dev" denied the request: no tigers' in result.err, result.err
