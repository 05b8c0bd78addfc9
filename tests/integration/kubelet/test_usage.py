"""What real containers use: the kubelet's pages, the metrics API over them, kubectl, and who may ask."""

from __future__ import annotations

import json
import ssl
from typing import Any

import aiohttp
import pytest

from k8slite.errors import ApiError
from k8slite.quantity import parse

from .conftest import NODE, Cluster, until

PODS = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"
BURN = ["sh", "-c", "while :; do :; done"]


async def cores(cluster: Cluster, name: str) -> dict[str, float]:
    """What the containers of a pod use, as the metrics API says; nothing while it does not know."""
    try:
        found = await cluster.client.request("GET", f"{PODS}/{name}")
    except ApiError as error:
        assert error.code == 404
        return {}
    return {each["name"]: float(parse(each["usage"]["cpu"])) for each in found["containers"]}


async def burning(cluster: Cluster, name: str) -> dict[str, float]:
    """What is used once some container uses a tenth of a core: a lot on a busy machine."""

    async def look() -> dict[str, float]:
        found = await cores(cluster, name)
        return found if max(found.values(), default=0.0) > 0.1 else {}

    return await until(look)


async def told(cluster: Cluster, name: str) -> dict[str, float]:
    """What is used once it is known."""
    return await until(lambda: cores(cluster, name))


async def test_a_container_that_burns_is_seen_to(cluster: Cluster) -> None:
    await cluster.create(
        "calm",
        containers=[{"name": "main"}, {"name": "side"}],
    )
    await cluster.create("burns", main={"command": BURN})
    for name in ("calm", "burns"):
        await cluster.until(name, lambda pod: pod.status.phase == "Running")
    assert (await burning(cluster, "burns")).keys() == {"main"}
    calm = await cores(cluster, "calm")
    assert calm.keys() == {"main", "side"} and max(calm.values()) < 0.05
    memory = await cluster.client.request("GET", f"{PODS}/calm")
    assert all(parse(each["usage"]["memory"]) > 0 for each in memory["containers"])
    [node] = (await cluster.client.request("GET", "/apis/metrics.k8s.io/v1beta1/nodes"))["items"]
    assert node["metadata"]["name"] == NODE and parse(node["usage"]["cpu"]) > parse("100m")
    assert parse(node["usage"]["memory"]) > 50 << 20

    code, out, err = await cluster.kubectl("top", "pod", "--containers")
    assert code == 0, err
    assert {tuple(line.split()[:2]) for line in out.splitlines()[1:]} == {
        ("calm", "main"),
        ("calm", "side"),
        ("burns", "main"),
    }
    code, out, err = await cluster.kubectl("top", "node")
    assert code == 0 and out.splitlines()[1].split()[0] == NODE, err


async def test_a_restarted_container_has_a_rate_of_its_own_life(cluster: Cluster) -> None:
    """It burns in its first life and sleeps in its second; nothing of the first is told of the second."""
    script = "[ -e /kept/x ] && exec sleep 1000; touch /kept/x; trap 'exit 0' TERM; while :; do :; done"
    mounts = [{"name": "kept", "mountPath": "/kept"}]
    await cluster.create(
        "again",
        main={"command": ["sh", "-c", script], "volumeMounts": mounts},
        volumes=[{"name": "kept", "emptyDir": {}}],
    )
    await burning(cluster, "again")
    code, _, err = await cluster.kubectl("exec", "again", "--", "kill", "1")
    assert code == 0, err
    await cluster.until(
        "again", lambda pod: pod.ready and any(one.restart_count for one in pod.status.container_statuses)
    )
    seen = []

    async def calm() -> bool:
        seen.append(await cores(cluster, "again"))
        return any(seen[-1]) and seen[-1]["main"] < 0.05

    await until(calm)
    assert all(each.get("main", 0.0) >= 0.0 for each in seen)


async def test_the_summary_and_the_page_through_the_node_proxy(cluster: Cluster) -> None:
    await cluster.create("web")
    await cluster.until("web", lambda pod: pod.status.phase == "Running")

    async def summary() -> dict[str, Any]:
        code, out, err = await cluster.kubectl("get", "--raw", f"/api/v1/nodes/{NODE}/proxy/stats/summary")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    found = await summary()
    assert found["node"]["nodeName"] == NODE
    assert found["node"]["cpu"]["usageCoreNanoSeconds"] > 0 and found["node"]["fs"]["capacityBytes"] > 0
    [pod] = found["pods"]
    assert pod["podRef"]["name"] == "web" and pod["podRef"]["namespace"] == "default"
    [container] = pod["containers"]
    assert container["memory"]["workingSetBytes"] > 0 and container["cpu"]["usageCoreNanoSeconds"] > 0
    assert pod["network"]["interfaces"][0]["name"] == "eth0"
    code, out, err = await cluster.kubectl("get", "--raw", f"/api/v1/nodes/{NODE}/proxy/metrics/resource")
    assert code == 0 and 'container_start_time_seconds{container="main",namespace="default",pod="web"}' in out, err


async def test_a_kubelet_that_is_down_is_left_out(cluster: Cluster) -> None:
    await cluster.create("web")
    await cluster.until("web", lambda pod: pod.status.phase == "Running")
    await told(cluster, "web")
    await cluster.stop_kubelet()

    async def left_out() -> bool:
        return not await cores(cluster, "web")

    await until(left_out)
    await cluster.start_kubelet()
    await told(cluster, "web")


async def status(cluster: Cluster, path: str, *, user: str = "", token: str = "") -> int:
    """What the kubelet answers to somebody."""
    context = ssl.create_default_context(cafile=str(cluster.config.client_ca_file))
    if user:
        pair = cluster.server.authority.issue_client(user.replace(":", "-"), user=user)
        context.load_cert_chain(pair.cert_file, pair.key_file)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    url = f"https://127.0.0.1:{cluster.config.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url, ssl=context, headers=headers) as answer:
        return answer.status


async def test_who_may_ask_a_kubelet_is_what_rbac_says(cluster: Cluster) -> None:
    create = cluster.client.request
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    rules = [{"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]}]
    await create("POST", f"{rbac}/clusterroles", body={"metadata": {"name": "reader"}, "rules": rules})
    subjects = [
        {"kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io"},
        {"kind": "ServiceAccount", "name": "default", "namespace": "default"},
    ]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"}
    binding = {"metadata": {"name": "reader"}, "roleRef": reference, "subjects": subjects}
    await create("POST", f"{rbac}/clusterrolebindings", body=binding)
    asked = await create("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", body={"spec": {}})
    token = asked["status"]["token"]

    assert await status(cluster, "/metrics/resource", user="alice") == 200
    assert await status(cluster, "/metrics/resource", token=token) == 200
    assert await status(cluster, "/stats/summary", user="alice") == 403
    assert await status(cluster, "/pods", token=token) == 403
    assert await status(cluster, "/metrics/resource", user="mallory") == 403
    assert await status(cluster, "/metrics/resource", token="nonsense") == 401
    assert await status(cluster, "/metrics/resource") == 401
    assert await status(cluster, "/healthz") == 401


@pytest.mark.parametrize("path", ["/exec/default/web/main", "/containerLogs/default/web/main", "/pods"])
async def test_nobody_gets_in_without_a_name(cluster: Cluster, path: str) -> None:
    assert await status(cluster, path) == 401
