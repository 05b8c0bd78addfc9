"""The life of a cluster: up twice, stopped and started, down without a trace."""

from __future__ import annotations

import json
import re
from pathlib import Path

from .cluster import Cluster, output


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
    finally:
        cluster.down()
    assert leftovers(cluster.name) == []
    names = {line.split(": ")[1].partition("@")[0] for line in made}
    assert not names & {line.split(": ")[1].partition("@")[0] for line in output("ip", "-o", "link").splitlines()}
    assert not list(tmp_path.iterdir())


def test_simulated_nodes_are_said_to_be_simulated(tmp_path: Path) -> None:
    cluster = Cluster("e2e-simulated", tmp_path)
    try:
        cluster.up("--simulate", "3")
        assert "simulated" in cluster.k8slite("status", "--name", cluster.name)
        assert len(cluster.get("nodes")["items"]) == 3
        assert "simulated" in json.dumps(cluster.get("nodes")["items"][0]["metadata"])
        cluster.kubectl("create", "deployment", "web", "--image=anything", "--replicas=5")
        cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    finally:
        cluster.down()


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
