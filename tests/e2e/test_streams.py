"""Streams into a real pod: port forwarding to what listens on its loopback only, exec over SPDY and WebSocket."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .cluster import Cluster, kubectl_path
from .conftest import running

POD = """
apiVersion: v1
kind: Pod
metadata: {name: streams, labels: {app: streams}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: web
    image: k8slite/example:1
    command: [sh, -c, "echo hello from the loopback > /tmp/index.html; exec httpd -f -p 127.0.0.1:8080 -h /tmp"]
---
apiVersion: v1
kind: Service
metadata: {name: streams}
spec: {selector: {app: streams}, ports: [{port: 80, targetPort: 8080}]}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    for made in running("e2e-streams", tmp_path_factory.mktemp("home")):
        made.kubectl("apply", "-f", "-", stdin=POD)
        made.kubectl("wait", "--for=condition=Ready", "pod/streams", "--timeout=60s")
        yield made


@contextmanager
def forwarded(cluster: Cluster, place: str, port: int, websockets: str) -> Iterator[str]:
    """The URL of a forwarded port."""
    environment = cluster.environment | {"KUBECTL_PORT_FORWARD_WEBSOCKETS": websockets}
    command = [kubectl_path(), "port-forward", place, f":{port}"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        try:
            assert run.stdout
            line = run.stdout.readline()
            found = re.search(r"Forwarding from (127\.0\.0\.1:\d+)", line)
            assert found, line + run.stdout.read()
            yield f"http://{found[1]}/"
        finally:
            run.kill()


@pytest.mark.parametrize("websockets", ["true", "false"])
@pytest.mark.parametrize(("place", "port"), [("pod/streams", 8080), ("service/streams", 80)])
def test_a_port_is_forwarded(cluster: Cluster, place: str, port: int, websockets: str) -> None:
    with forwarded(cluster, place, port, websockets) as url:
        for _ in range(2):
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert answer.read() == b"hello from the loopback\n"


def test_exec_over_spdy(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cluster.environment, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false")
    assert cluster.kubectl("exec", "-i", "streams", "--", "cat", stdin="through SPDY") == "through SPDY"
    big = os.urandom(100_000).hex()
    assert cluster.kubectl("exec", "-i", "streams", "--", "cat", stdin=big) == big
    assert "exit code 7" in cluster.kubectl("exec", "streams", "--", "sh", "-c", "exit 7", check=False)


def test_logs_in_every_form(cluster: Cluster) -> None:
    cluster.kubectl("exec", "streams", "--", "sh", "-c", "for i in 1 2 3; do echo line $i > /proc/1/fd/1; done")
    logs = ["logs", "streams"]
    assert cluster.kubectl(*logs, "--tail=2") == "line 2\nline 3\n"
    assert cluster.kubectl(*logs, "--limit-bytes=6") == "line 1"
    assert cluster.kubectl(*logs, "--since=1h", "--all-containers", "--prefix", "--tail=1") == (
        "[pod/streams/web] line 3\n"
    )
    stamped = cluster.kubectl(*logs, "--timestamps").splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z line 1", stamped[0])
    assert cluster.kubectl(*logs, "--since-time=2020-01-01T00:00:00Z", "--tail=1") == "line 3\n"
    assert cluster.kubectl(*logs, "--since-time=2099-01-01T00:00:00Z") == ""
    assert 'previous terminated container "web" in pod "streams" not found' in cluster.kubectl(
        *logs, "--previous", check=False
    )
