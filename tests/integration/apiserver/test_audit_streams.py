"""What goes on for long in the audit log: exec, logs and proxies, which answer past ASGI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from k8slite.pki import Authority
from k8slite.testing.kubectl import Kubectl
from k8slite.testing.kubelet import FakeKubelet

from .audit_log import Audited, Event, audited

PODS = "/api/v1/namespaces/default/pods"
STARTED, COMPLETE = "ResponseStarted", "ResponseComplete"


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Audited]:
    authority = Authority.ensure(tmp_path)
    client = authority.issue_client("kubelet-client", user="kube-apiserver-kubelet-client", groups=["system:masters"])
    kubelet = FakeKubelet()
    await kubelet.start(authority)
    kubelet.more.set()
    async with audited(
        tmp_path,
        [{"level": "Metadata", "resources": [{"resources": ["pods/*", "nodes/proxy"]}]}],
        kubelet_ca_file=authority.cert_file,
        kubelet_client_cert_file=client.cert_file,
        kubelet_client_key_file=client.key_file,
    ) as found:
        await _populate(found, kubelet.port)
        yield found
    await kubelet.stop()


async def _populate(log: Audited, port: int) -> None:
    addresses = [{"type": "InternalIP", "address": "127.0.0.1"}]
    node = {"status": {"addresses": addresses, "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}}
    pod = {"metadata": {"name": "web"}, "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "x"}]}}
    merge = {"content-type": "application/merge-patch+json"}
    asked: list[tuple[str, str, Any]] = [
        ("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}}),
        ("PATCH", "/api/v1/nodes/n1/status", node),
        ("POST", PODS, pod),
        ("PATCH", f"{PODS}/web/status", {"status": {"phase": "Running", "podIP": "127.0.0.1"}}),
    ]
    async with log.server.http() as http:
        for method, path, body in asked:
            answer = await http.request(method, path, json=body, headers=merge if method == "PATCH" else {})
            assert answer.is_success, answer.text


async def ended(log: Audited, subresource: str, count: int = 1) -> list[Event]:
    """The events of the requests for a subresource, once so many have ended."""

    def of() -> list[Event]:
        return [e for e in log.events() if e.get("objectRef", {}).get("subresource") == subresource]

    await log.until(lambda: sum(event["stage"] == COMPLETE for event in of()) >= count)
    return of()


async def test_an_exec_is_recorded_when_it_begins_and_when_it_ends(log: Audited) -> None:
    result = await Kubectl(log.server)("exec", "web", "--", "echo", "a b")
    assert result.code == 0, result.err
    events = await ended(log, "exec")
    assert [(e["stage"], e["responseStatus"]["code"]) for e in events[1:]] == [(STARTED, 101), (COMPLETE, 101)]
    assert "command=echo&command=a+b" in events[0]["requestURI"]
    assert events[0]["objectRef"]["name"] == "web"


async def test_an_exec_that_is_refused_has_its_status(log: Audited) -> None:
    async with log.server.http(log.server.client_config("bob")) as http:
        assert (await http.post(f"{PODS}/web/exec?command=ls&stdout=1")).status_code == 403
    events = await ended(log, "exec")
    assert events[-1]["responseStatus"]["code"] == 403
    assert events[-1]["annotations"]["authorization.k8s.io/decision"] == "forbid"


async def test_logs_that_are_followed_are_recorded_twice(log: Audited) -> None:
    assert (await Kubectl(log.server)("logs", "-f", "web")).out == "one\ntwo"
    events = [e for e in await ended(log, "log") if e["stage"] != "RequestReceived"]
    assert [(e["stage"], e["responseStatus"]["code"]) for e in events] == [(STARTED, 200), (COMPLETE, 200)]


async def test_a_proxied_request_has_the_status_of_the_other_server(log: Audited) -> None:
    async with log.server.http() as http:
        answer = await http.post("/api/v1/nodes/n1/proxy/echo/x", content=b"text")
        assert answer.status_code == 418
    events = [e for e in await ended(log, "proxy") if e["stage"] != "RequestReceived"]
    assert [(e["stage"], e["responseStatus"]["code"]) for e in events] == [(STARTED, 418), (COMPLETE, 418)]
    assert {e["verb"] for e in events} == {"create"}
