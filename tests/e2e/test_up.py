"""The life of a cluster: up twice, stopped and started, down without a trace."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contract.etcd_server import etcd

from .cluster import Cluster, eventually, is_ready, output


def leftovers(name: str) -> list[str]:
    containers = output("docker", "ps", "-aq", "--filter", f"label=k8slite.io/cluster={name}").split()
    tables = [line for line in output("nft", "list", "tables").splitlines() if name.replace("-", "_") in line]
    return containers + tables


def links(cluster: Cluster) -> list[str]:
    """The cluster's bridge, and what is plugged into it; other clusters of the machine come and go meanwhile."""
    bridge = re.search(r"bridge: (\S+)", (cluster.kubeconfig.parent / "cluster.yaml").read_text())
    assert bridge
    return [line for line in output("ip", "-o", "link").splitlines() if re.search(rf"\b{bridge[1]}\b", line)]


def test_up_again_changes_nothing_and_down_leaves_nothing(tmp_path: Path) -> None:
    cluster = Cluster("e2e-life", tmp_path)
    try:
        cluster.up()
        pids = {s["name"]: s["pid"] for s in cluster.status()["supervisor"]["services"]}
        cluster.kubectl("run", "kept", "--image=k8slite/example:1", "--", "sleep", "3600")
        cluster.kubectl("wait", "--for=condition=Ready", "pod/kept", "--timeout=60s")
        cluster.up()
        assert {s["name"]: s["pid"] for s in cluster.status()["supervisor"]["services"]} == pids
        refused = cluster.k8slite("up", "--name", cluster.name, "--nodes", "2", check=False)
        assert "exists, but it has 1 node(s), not 2" in refused

        cluster.k8slite("cluster", "stop", "--name", cluster.name)
        assert not cluster.status()["running"]
        cluster.up()
        pod = cluster.get("pod", "kept")
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
        made = links(cluster)
        assert len(made) >= 2
        findings = json.loads(cluster.k8slite("check", "--name", cluster.name, "-o", "json"))
        assert {finding["state"] for finding in findings} == {"PASS", "N/A", "MANUAL"}
        assert sum(finding["state"] == "PASS" for finding in findings) > 60
    finally:
        cluster.down()
    assert leftovers(cluster.name) == []
    names = {line.split(": ")[1].partition("@")[0] for line in made}
    assert not names & {line.split(": ")[1].partition("@")[0] for line in output("ip", "-o", "link").splitlines()}
    assert not list(tmp_path.iterdir())


def test_simulated_nodes_are_said_to_be_simulated(tmp_path: Path) -> None:
    cluster = Cluster("e2e-simulated", tmp_path)
    try:
        told = cluster.k8slite("up", "--name", cluster.name, "--simulate", "3")
        proposed = re.search(r"k8slite (describe node \S+)", told)
        assert proposed
        assert "Name:" in cluster.k8slite(*proposed[1].split())
        assert "simulated" in cluster.k8slite("status", "--name", cluster.name)
        assert len(cluster.get("nodes")["items"]) == 3
        assert "simulated" in json.dumps(cluster.get("nodes")["items"][0]["metadata"])
        cluster.kubectl("create", "deployment", "web", "--image=anything", "--replicas=5")
        cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        assert "is simulated: no process runs in its container anything" in cluster.kubectl("logs", "deployment/web")
        told = cluster.kubectl("exec", "deployment/web", "--", "ls", check=False)
        assert "is simulated: no process runs in its container anything, so nothing can be executed in it" in told
        cluster.kubectl("create", "job", "once", "--image=anything")
        cluster.kubectl("wait", "--for=condition=Complete", "job/once", "--timeout=60s")
        cluster.kubectl("delete", "deployment/web", "--cascade=foreground", "--timeout=60s")
        with joined(cluster, "--nodes", "3", "--name", "guest", "--remove"):
            eventually(lambda: len(ready_guests(cluster)) == 3, what="guests")
            guest = ready_guests(cluster)[0]
            assert [taint["key"] for taint in guest["spec"]["taints"]] == ["k8slite.io/simulated"]
            overrides = json.dumps({"spec": {"nodeName": guest["metadata"]["name"]}})
            cluster.kubectl("run", "visitor", "--image=anything", f"--overrides={overrides}")
            cluster.kubectl("wait", "--for=condition=Ready", "pod/visitor", "--timeout=60s")
            assert "visitor is simulated" in cluster.kubectl("logs", "visitor")
        assert not ready_guests(cluster)
    finally:
        cluster.down()


def ready_guests(cluster: Cluster) -> list[dict[str, Any]]:
    nodes = cluster.get("nodes", "-l", "k8slite.io/simulator=guest")["items"]
    ours = ("node.kubernetes.io/not-ready",)
    return [node for node in nodes if is_ready(node) and all(t["key"] not in ours for t in node["spec"]["taints"])]


@contextmanager
def joined(cluster: Cluster, *options: str) -> Iterator[None]:
    """Simulated nodes of another program, as long as the block lasts."""
    command = [sys.executable, "-m", "k8slite", "simulate", *options]
    with subprocess.Popen(command, env=cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
    assert process.returncode == 0


def test_an_etcd_that_runs_already_serves_as_the_store(tmp_path: Path) -> None:
    with etcd(tmp_path / "etcd") as [server]:
        cluster = Cluster("e2e-endpoints", tmp_path / "home")
        try:
            cluster.up("--simulate", "1", "--etcd-endpoints", server.endpoint)
            status = cluster.status()
            assert status["store"] == "etcd"
            assert "etcd" not in {service["name"] for service in status["supervisor"]["services"]}
            cluster.kubectl("create", "configmap", "kept", "--from-literal=key=value")
            cluster.k8slite("cluster", "stop", "--name", cluster.name)
            cluster.up()
            assert cluster.get("configmap", "kept")["data"] == {"key": "value"}
        finally:
            cluster.down()


@pytest.mark.parametrize("reached", ["Certificates", "Programs"])
def test_what_an_interrupted_up_left_down_removes(tmp_path: Path, reached: str) -> None:
    cluster = Cluster("e2e-interrupted", tmp_path)
    command = [sys.executable, "-m", "k8slite", "up", "--name", cluster.name]
    try:
        with subprocess.Popen(
            command, env=cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as up:
            assert up.stdout and up.stderr
            assert any(reached in line for line in up.stdout)
            up.send_signal(signal.SIGINT)
            assert up.wait(timeout=30) == 130
            told = up.stderr.read()
        bridge = re.search(r"bridge: (\S+)", (cluster.kubeconfig.parent / "cluster.yaml").read_text())
    finally:
        cluster.down()
    assert "`k8slite down` removes what there is" in told
    assert "Traceback" not in told
    assert leftovers(cluster.name) == []
    assert bridge
    assert f"{bridge[1]}:" not in output("ip", "-o", "link")
    assert not list(tmp_path.iterdir())


def test_without_an_engine_the_message_names_both_ways_and_nothing_is_left(tmp_path: Path) -> None:
    cluster = Cluster("e2e-engineless", tmp_path / "home")
    cluster.environment["DOCKER_HOST"] = "unix:///nonexistent"
    told = cluster.k8slite("up", "--name", cluster.name, check=False)
    assert "no Docker engine answers (unix:///nonexistent: No such file or directory)" in told
    assert "install Docker" in told
    assert "k8slite up --simulate 3" in told
    assert not any((tmp_path / "home").iterdir())


def test_an_ordinary_user_gets_simulated_nodes_and_is_told_how_to_get_real_ones(tmp_path: Path) -> None:
    cluster = Cluster("e2e-user", tmp_path)
    os.chown(tmp_path, 65534, 65534)

    def k8slite(*arguments: str) -> str:
        # One capability stays: to read the sources, wherever they were cloned.
        kept = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *kept]
        dropped = [*user, sys.executable, "-m", "k8slite", *arguments]
        done = subprocess.run(dropped, env=cluster.environment, capture_output=True, text=True, timeout=100)
        return done.stdout + done.stderr

    told = k8slite("up", "--name", cluster.name)
    assert "nodes need root" in told
    assert "k8slite up --simulate 3" in told
    assert not list(tmp_path.iterdir())
    try:
        assert "is ready" in k8slite("up", "--name", cluster.name, "--simulate", "20", "--zones", "2")
        nodes = cluster.get("nodes", "-l", "topology.kubernetes.io/zone=zone-2")["items"]
        assert len(nodes) == 10
        assert "Nodes: 20 of 20 ready" in k8slite("status", "--name", cluster.name)
    finally:
        assert "is gone" in k8slite("down", "--name", cluster.name)
    assert not list(tmp_path.iterdir())


def test_a_supervisor_that_cannot_start_is_told_at_once(tmp_path: Path) -> None:
    cluster = Cluster("e2e-stuck", tmp_path)
    try:
        cluster.up("--simulate", "1")
        cluster.k8slite("cluster", "stop", "--name", cluster.name)
        (tmp_path / cluster.name / "supervisor.sock").mkdir()
        told = cluster.k8slite("up", "--name", cluster.name, check=False)
        assert "the supervisor does not run" in told
        assert "supervisor.sock" in told
    finally:
        cluster.down()


def test_system_commands_are_found_without_sbin_on_the_path_and_from_anywhere(tmp_path: Path) -> None:
    cluster = Cluster("e2e-path", Path("home"))
    entries = os.environ["PATH"].split(":")
    cluster.environment["PATH"] = ":".join(entry for entry in entries if not entry.endswith("sbin"))
    command = [sys.executable, "-m", "k8slite"]
    up = subprocess.run([*command, "up", "--name", cluster.name], cwd=tmp_path, env=cluster.environment, timeout=100)
    down = subprocess.run(
        [*command, "down", "--name", cluster.name], cwd=tmp_path, env=cluster.environment, timeout=100
    )
    assert (up.returncode, down.returncode) == (0, 0)
    assert leftovers(cluster.name) == []


def test_malformed_yaml_names_file_and_line(tmp_path: Path) -> None:
    cluster = Cluster("e2e-none", tmp_path)
    bad = tmp_path / "bad.yaml"
    bad.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: [unclosed\n")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "current-context": "x",
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:9"}}],
                "users": [{"name": "x", "user": {}}],
            }
        )
    )
    told = cluster.k8slite("apply", "-f", str(bad), "--kubeconfig", str(kubeconfig), check=False)
    assert f"{bad}:5:1" in told
    assert "Traceback" not in told
