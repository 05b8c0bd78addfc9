"""The example application, looked after with the real kubectl."""

from __future__ import annotations

import json

import pytest

from .cluster import NODE_PORT, Cluster, eventually, fetch, kubectl_path


@pytest.fixture(scope="module", autouse=True)
def example(cluster: Cluster) -> None:
    cluster.apply_example()


def test_the_node_port_leads_to_the_front_end_and_it_finds_the_back_end_by_name(cluster: Cluster) -> None:
    page = eventually(lambda: fetch() if "knows 40 bytes of secret" in fetch() else "", what="page with back end")
    assert page.startswith("Hello from k8slite\nfront end: front-")
    assert "back end: back-" in page


def test_every_replica_gets_its_share(cluster: Cluster) -> None:
    names = {pod["metadata"]["name"] for pod in cluster.pods("app=front")}
    seen: set[str] = set()

    def all_seen() -> bool:
        seen.add(fetch().splitlines()[1].removeprefix("front end: "))
        return seen == names

    eventually(all_seen, what="answers of every replica")


def test_get_all_lists_what_runs(cluster: Cluster) -> None:
    words = ("pod/front-", "service/front", "replicaset.apps/back-", f"80:{NODE_PORT}/TCP")
    text = cluster.kubectl("get", "all")
    assert [word for word in words if word not in text] == []
    # A probe that a busy machine answers late makes a pod unready for a moment.
    eventually(lambda: "deployment.apps/front   3/3" in cluster.kubectl("get", "all"), what="three of three ready")


def test_describe_tells_a_pods_story(cluster: Cluster) -> None:
    pod = cluster.pods("app=front")[0]
    text = cluster.kubectl("describe", "pod", pod["metadata"]["name"])
    assert "Status:           Running" in text
    assert f"IP:               {pod['status']['podIP']}" in text
    for event in ("Scheduled", "Created", "Started"):
        assert event in text
    assert "Controlled By:  ReplicaSet/front-" in text


def test_logs_and_exec_reach_the_container(cluster: Cluster) -> None:
    name = cluster.pods("app=front")[0]["metadata"]["name"]
    assert cluster.kubectl("exec", name, "--", "cat", "/config/greeting") == "Hello from k8slite"
    assert cluster.kubectl("exec", "-i", name, "--", "cat", stdin="through the pipe") == "through the pipe"
    assert "exit code 7" in cluster.kubectl("exec", name, "--", "sh", "-c", "exit 7", check=False)
    cluster.kubectl("exec", name, "--", "sh", "-c", "echo said by the test > /proc/1/fd/1")
    assert "said by the test" in eventually(lambda: cluster.kubectl("logs", name, "--tail=5"), what="logs")


def test_scale_changes_the_number_of_replicas(cluster: Cluster) -> None:
    cluster.kubectl("scale", "deployment/front", "--replicas=5")
    cluster.kubectl("rollout", "status", "deployment/front", "--timeout=60s")
    assert len(cluster.pods("app=front")) == 5
    cluster.kubectl("scale", "deployment/front", "--replicas=3")
    eventually(lambda: len(cluster.pods("app=front")) == 3, what="3 replicas")


def test_a_pod_reaches_the_api_with_its_own_token(cluster: Cluster) -> None:
    """kubectl itself, mounted from the machine, finds API server, CA and token as any client in a pod does."""
    container = {
        "name": "client",
        "image": "k8slite/example:1",
        "command": ["sleep", "3600"],
        "volumeMounts": [{"name": "kubectl", "mountPath": "/kubectl", "readOnly": True}],
    }
    volume = {"name": "kubectl", "hostPath": {"path": kubectl_path(), "type": "File"}}
    pod = {"containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 0}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": pod}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
    who = cluster.kubectl("exec", "client", "--", "/kubectl", "auth", "whoami")
    assert "system:serviceaccount:default:default" in who
    refused = cluster.kubectl("exec", "client", "--", "/kubectl", "get", "secrets", check=False)
    assert 'User "system:serviceaccount:default:default" cannot list resource "secrets"' in refused
    cluster.kubectl("create", "rolebinding", "client", "--clusterrole=view", "--serviceaccount=default:default")
    assert "front-" in cluster.kubectl("exec", "client", "--", "/kubectl", "get", "pods")
    cluster.kubectl("delete", "pod/client", "rolebinding/client")


def test_the_k8slite_command_sees_the_same(cluster: Cluster) -> None:
    assert "front-" in cluster.k8slite("get", "pods")
    assert "deployment.apps/front" in cluster.k8slite("get", "deployments", "-o", "name")
    name = cluster.pods("app=front")[0]["metadata"]["name"]
    assert cluster.k8slite("exec", name, "--", "hostname").strip() == name
    assert "successfully rolled out" in cluster.k8slite("rollout", "status", "deployment/front")
    assert "Controlled By" in cluster.k8slite("describe", "pod", name)


def test_delete_removes_everything(cluster: Cluster) -> None:
    cluster.kubectl("delete", "deployment,service", "-l", "app", "--timeout=60s")
    eventually(lambda: not cluster.get("pods")["items"], what="no pods")
    slices = ("endpointslices", "-l", "kubernetes.io/service-name=front")
    eventually(lambda: not cluster.get(*slices)["items"], what="no endpoint slices")
