"""No credential in any log: a server that logs and records all it can, and every way in which a token comes to it.

The server is a process of its own, so that what is searched is its output and not that of the clients in this one.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from k8slite import config
from k8slite.config import ApiServerConfig, AuditConfig, AuditLogConfig, StoreConfig
from k8slite.connection import ClientConfig
from k8slite.pki import Authority, ensure_signing_key
from k8slite.testing.kubectl import Kubectl
from k8slite.testing.kubelet import FakeKubelet
from k8slite.testing.server import RunningServer

from .audit_log import EVERYTHING, policy_file

DEFAULT = "/api/v1/namespaces/default"
SECRETS = f"{DEFAULT}/secrets"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
STATIC = "static-token-9d3f0a7c51"
WRONG = "wrong-token-77aa01bb2c"
VALUE = "value-of-a-secret-4be1"
PASSWORD = "password-of-alice-e81c"
BOOTSTRAP = "0123456789abcdef"
"""Credentials of this test's own; whatever the server issues comes to them."""


@dataclass
class Program:
    """A server as a process, with its outputs, and what must not be in them."""

    server: RunningServer
    process: asyncio.subprocess.Process
    outputs: list[Path]
    credentials: set[str] = field(default_factory=lambda: {STATIC, WRONG, VALUE, PASSWORD, BOOTSTRAP})

    def written(self) -> str:
        return "".join(path.read_text(errors="replace") for path in self.outputs)

    def forms(self) -> Iterator[str]:
        """The credentials as they are, and as other texts carry them."""
        for text in self.credentials:
            yield text
            yield base64.b64encode(text.encode()).decode().rstrip("=")
            yield base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
            if text.count(".") == 2:
                yield text.rpartition(".")[2]  # the signature is what makes a token of it


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    authority = Authority.ensure(tmp_path)
    admin = authority.issue_client("admin", user="kubernetes-admin", groups=["system:masters"])
    pair = authority.issue_server("apiserver", common_name="kube-apiserver", hosts=["127.0.0.1"])
    kubelet_client = authority.issue_client("kubelet-client", user="apiserver", groups=["system:masters"])
    tokens = tmp_path / "tokens.csv"
    tokens.write_text(f'{STATIC},alice,1,"system:masters"\n')
    log = tmp_path / "audit.log"
    settings = ApiServerConfig(
        port=0,
        store=StoreConfig(engine="memory"),
        cert_file=pair.cert_file,
        key_file=pair.key_file,
        client_ca_file=authority.cert_file,
        service_account_key_file=ensure_signing_key(tmp_path / "sa.key"),
        token_file=tokens,
        kubelet_ca_file=authority.cert_file,
        kubelet_client_cert_file=kubelet_client.cert_file,
        kubelet_client_key_file=kubelet_client.key_file,
        audit=AuditConfig(policy_file=policy_file(tmp_path, EVERYTHING), log=AuditLogConfig(path=str(log))),
    )
    config.dump(settings, tmp_path / "apiserver.yaml")
    kubelet = FakeKubelet()
    await kubelet.start(authority)
    output = tmp_path / "output.log"
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "k8slite", "apiserver", "--config", str(tmp_path / "apiserver.yaml")),
            stdout=file,
            stderr=file,
            env={**os.environ, "K8SLITE_LOG": "debug", "PYTHONPATH": str(Path(__file__).parents[3])},
        )
    try:
        url = await _address(output, process)
        client = ClientConfig(
            server=url, ca_file=authority.cert_file, cert_file=admin.cert_file, key_file=admin.key_file
        )
        port = int(url.rpartition(":")[2])
        server = RunningServer(url, port, tmp_path, authority, client, settings, None)
        await _populate(server, kubelet.port)
        yield Program(server, process, [output, log])
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        await kubelet.stop()


async def _address(output: Path, process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(30):
        while True:
            if found := re.search(r"serving on (https://\S+)", output.read_text()):
                return found[1]
            assert process.returncode is None, output.read_text()
            await asyncio.sleep(0.02)


async def _populate(server: RunningServer, port: int) -> None:
    addresses = [{"type": "InternalIP", "address": "127.0.0.1"}]
    node = {"status": {"addresses": addresses, "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}}
    pod = {"metadata": {"name": "web"}, "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "x"}]}}
    running = {"status": {"phase": "Running", "podIP": "127.0.0.1"}}
    merge = {"content-type": "application/merge-patch+json"}
    async with server.http() as http:
        for method, path, body in (
            ("POST", f"{DEFAULT}/serviceaccounts", {"metadata": {"name": "default"}}),
            ("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}}),
            ("PATCH", "/api/v1/nodes/n1/status", node),
            ("POST", f"{DEFAULT}/pods", pod),
            ("PATCH", f"{DEFAULT}/pods/web/status", running),
        ):
            answer = await http.request(method, path, json=body, headers=merge if method == "PATCH" else {})
            assert answer.is_success, answer.text


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_no_credential_is_in_any_log(program: Program) -> None:
    async with program.server.http() as http, _without_certificate(program.server) as plain:
        await _tokens(program, http, plain)
        await _headers_and_queries(program, http, plain)
        await _secrets(http)
    await _websockets(program)
    await _kubectl(program)
    program.process.terminate()
    await program.process.wait()  # all that it has to write is written
    lines = program.outputs[1].read_text().splitlines()
    assert len(lines) > 80
    events = [json.loads(line) for line in lines]
    uris = {event["requestURI"].partition("?")[0] for event in events}
    assert uris >= {f"{DEFAULT}/serviceaccounts/default/token", REVIEWS, f"{SECRETS}/grown", f"{DEFAULT}/pods/web/exec"}
    written = program.written()
    assert [form for form in program.forms() if form in written] == []


async def test_what_is_hidden_is_seen_to_be(program: Program) -> None:
    async with program.server.http() as http:
        issued = await http.post(f"{DEFAULT}/serviceaccounts/default/token", json={"spec": {}})
        review = await http.post(REVIEWS, json={"spec": {"token": issued.json()["status"]["token"]}})
        made = await http.post(SECRETS, json={"metadata": {"name": "seen"}, "stringData": {"a": VALUE}})
        query = await http.get(f"{DEFAULT}/pods?limit=7&access_token={WRONG}&x=y")
    found: dict[str, Any] = {}
    async with asyncio.timeout(20):
        while len(found) < 4:
            for line in program.outputs[1].read_text().splitlines():
                event = json.loads(line)
                if event["stage"] == "ResponseComplete":
                    for answer in (issued, review, made, query):
                        if event["auditID"] == answer.headers["audit-id"]:
                            found[event["auditID"]] = event
            await asyncio.sleep(0.02)
    events = [found[answer.headers["audit-id"]] for answer in (issued, review, made, query)]
    assert events[0]["responseObject"]["status"]["token"] == "REDACTED"
    assert events[1]["requestObject"]["spec"]["token"] == "REDACTED"
    assert events[1]["responseObject"]["status"]["user"]["username"] == "system:serviceaccount:default:default"
    assert events[2]["requestObject"]["stringData"] == {"a": "REDACTED"}
    assert events[2]["responseObject"]["data"] == {"a": "REDACTED"}
    assert events[3]["requestURI"] == f"{DEFAULT}/pods?limit=7&access_token=REDACTED&x=y"


def _without_certificate(server: RunningServer) -> httpx.AsyncClient:
    return server.http(ClientConfig(server=server.url, ca_file=server.authority.cert_file))


async def _tokens(program: Program, http: httpx.AsyncClient, plain: httpx.AsyncClient) -> None:
    """Tokens issued, reviewed and used, good and bad ones."""
    bodies: list[Any] = [
        {"spec": {}},
        {"spec": {"audiences": ["other"], "expirationSeconds": 700}},
        {"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "web"}}},
        {"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "none"}}},
        {"spec": {"expirationSeconds": 1}},
    ]
    for body in bodies:
        answer = await http.post(f"{DEFAULT}/serviceaccounts/default/token", json=body)
        if answer.status_code == 201:
            program.credentials.add(answer.json()["status"]["token"])
    assert len(program.credentials) == 8
    for token in (*program.credentials, "a.b.c", "-"):
        for path in (f"{DEFAULT}/pods", "/version", "/no/such/path", f"{DEFAULT}/pods?watch=true&timeoutSeconds=1"):
            await plain.get(path, headers=bearer(token))
        await http.post(REVIEWS, json={"spec": {"token": token, "audiences": ["x"]}})
        await http.post(REVIEWS, json={"spec": {"token": token, "unknown": True}}, params={"fieldValidation": "Strict"})
        await http.post(REVIEWS, json={"spec": {"token": [token]}})
        yaml = f"kind: TokenReview\napiVersion: authentication.k8s.io/v1\nspec: {{token: '{token}'}}\n"
        await http.post(REVIEWS, content=yaml, headers={"content-type": "application/yaml"})


async def _headers_and_queries(program: Program, http: httpx.AsyncClient, plain: httpx.AsyncClient) -> None:
    """Other places in which clients bring credentials."""
    for token in sorted(program.credentials):
        basic = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
        for headers in (
            {"authorization": f"Basic {basic}"},
            {"authorization": token},
            {"authorization": f"Negotiate {token}"},
            {"cookie": f"token={token}"},
            {"proxy-authorization": f"Bearer {token}"},
            {**bearer(token), "impersonate-user": "bob"},
        ):
            assert (await plain.get(f"{DEFAULT}/pods", headers=headers)).status_code in (401, 403)
        for query in (f"access_token={token}", f"a=b&Token={token}", f"x%74oken={token}&c", f"password={token}&"):
            await plain.get(f"{DEFAULT}/pods?{query}")
            await http.get(f"{DEFAULT}/pods?{query}&labelSelector=a%20b%20c")
            await http.get(f"{DEFAULT}/services/none/proxy/login?{query}")
            await http.get(f"/nothing/here?{query}")


async def _secrets(http: httpx.AsyncClient) -> None:
    """Secrets in every form, written and read in every way."""
    token = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "grown"}, "stringData": {"token": VALUE}}
    encoded = {**token, "data": {"token": base64.b64encode(VALUE.encode()).decode()}, "stringData": None}
    bootstrap = {
        "metadata": {"name": "bootstrap-token-abcdef", "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {"token-id": "abcdef", "token-secret": BOOTSTRAP},
    }
    one = f"{SECRETS}/grown"
    assert (await http.post(SECRETS, json=token)).status_code == 201
    assert (await http.post(SECRETS, json=token)).status_code == 409
    assert (await http.post("/api/v1/namespaces/kube-system/secrets", json=bootstrap)).status_code in (201, 404)
    assert (await http.put(one, json=encoded)).status_code == 200
    await http.put(one, json={**token, "type": "changed"})
    patches = {
        "application/merge-patch+json": {"stringData": {"token": VALUE}},
        "application/strategic-merge-patch+json": {"stringData": {"other": VALUE}, "data": {"x": "%"}},
        "application/json-patch+json": [{"op": "add", "path": "/stringData", "value": {"token": VALUE}}],
        "application/apply-patch+yaml": token,
    }
    last = "kubectl.kubernetes.io/last-applied-configuration"
    for form, patch in patches.items():
        await http.patch(f"{one}?fieldManager=me&force=true", json=patch, headers={"content-type": form})
    annotated = {"metadata": {"annotations": {last: json.dumps(token)}}}
    await http.patch(one, json=annotated, headers={"content-type": "application/merge-patch+json"})
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    for path in (one, SECRETS, "/api/v1/secrets", f"{SECRETS}?includeObject=Object"):
        for accept in ("application/json", table, "application/yaml"):
            assert (await http.get(path, headers={"accept": accept})).status_code == 200
    await http.get(f"{SECRETS}?watch=true&timeoutSeconds=1")
    assert (await http.delete(one)).status_code == 200
    assert (await http.delete(SECRETS)).status_code == 200


async def _websockets(program: Program) -> None:
    """Tokens as a subprotocol's name, good and bad, for exec and for a watch."""
    context = ssl.create_default_context(cafile=str(program.server.admin.ca_file))
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        for token in sorted(program.credentials):
            text = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
            protocols = [f"base64url.bearer.authorization.k8s.io.{text}", "v5.channel.k8s.io"]
            for path in ("pods/web/exec?container=main&command=ls&stdout=1", "pods?watch=true&timeoutSeconds=1"):
                with contextlib.suppress(aiohttp.WSServerHandshakeError):
                    async with session.ws_connect(
                        f"{program.server.url}{DEFAULT}/{path}", protocols=protocols
                    ) as socket:
                        await socket.receive()


async def _kubectl(program: Program) -> None:
    kubectl = Kubectl(program.server)
    created = await kubectl("create", "token", "default")
    assert created.code == 0, created.err
    program.credentials.add(created.out)
    assert (await kubectl("create", "secret", "generic", "made", f"--from-literal=a={VALUE}")).code == 0
    apply = json.dumps({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x"}, "stringData": {"a": VALUE}})
    assert (await kubectl("apply", "-f", "-", stdin=apply)).code == 0
    assert VALUE in base64.b64decode((await kubectl("get", "secret", "x", "-o", "jsonpath={.data.a}")).out).decode()
    user = ClientConfig(server=program.server.url, ca_file=program.server.authority.cert_file, token=STATIC)
    assert (await Kubectl(program.server, user)("auth", "whoami")).code == 0
