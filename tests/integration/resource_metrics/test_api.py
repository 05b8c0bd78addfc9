"""The metrics API as clients use it: kubectl, selectors, forms, refusals, and who may read."""

from __future__ import annotations

import asyncio

from k8slite.testing.kubectl import Kubectl

from .conftest import API, Metered, until

CPU, MEMORY = "k8slite.io/cpu-usage", "k8slite.io/memory-usage"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata{};v=v1;g=meta.k8s.io"


async def three_pods(world: Metered) -> None:
    await world.http.post("/api/v1/namespaces", json={"metadata": {"name": "other"}})
    account = {"metadata": {"name": "default"}}
    await world.http.post("/api/v1/namespaces/other/serviceaccounts", json=account)
    two = [{"name": "one", "image": "x"}, {"name": "two", "image": "x"}]
    await world.pod("a", labels={"app": "web"}, annotations={CPU: "100m", MEMORY: "10Mi"})
    await world.pod("b", node="sim-1", annotations={CPU: "300m", MEMORY: "6Mi"}, containers=two)
    await world.pod("c", namespace="other", annotations={CPU: "200m", MEMORY: "20Mi"})
    await world.running("a", "b")
    await world.running("c", namespace="other")


def rows(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines()]


def near(text: str, milli: int) -> bool:
    """A window's ends are whole milliseconds, and kubectl rounds up."""
    return abs(int(text.removesuffix("m")) - milli) <= 1


async def test_kubectl_top(world: Metered) -> None:
    await three_pods(world)
    kubectl = Kubectl(world.server)

    async def top(*arguments: str) -> list[list[str]]:
        result = await kubectl("top", *arguments)
        assert result.code == 0, result.err
        return rows(result.out)

    head, *pods = await top("pod")
    assert head == ["NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert [(row[0], row[2]) for row in pods] == [("a", "10Mi"), ("b", "6Mi")]
    assert near(pods[0][1], 100) and near(pods[1][1], 300)

    head, *pods = await top("pod", "--containers", "--sort-by=cpu")
    assert head == ["POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert [tuple(row[:2]) for row in pods] == [("b", "one"), ("b", "two"), ("a", "main")]
    assert [row[1] for row in (await top("pod", "-A", "--sort-by=memory"))[1:]] == ["c", "a", "b"]
    assert [row[1] for row in (await top("pod", "-A", "--sort-by=cpu"))[1:]] == ["b", "c", "a"]
    assert (await top("pod", "-A", "--sum"))[-1][-1] == "36Mi"
    assert [row[0] for row in (await top("pod", "-l", "app=web"))[1:]] == ["a"]
    assert [row[0] for row in (await top("pod", "--field-selector=metadata.name=b"))[1:]] == ["b"]
    assert [row[0] for row in (await top("pod", "b"))[1:]] == ["b"]
    assert [row[:2] for row in (await top("pod", "-n", "other", "--no-headers", "--containers"))] == [["c", "main"]]

    head, *nodes = await top("node", "--sort-by=cpu")
    assert head == ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    assert [row[0] for row in nodes] == ["sim-0", "sim-1"] or near(nodes[0][1], 350)
    assert near({row[0]: row[1] for row in nodes}["sim-1"], 350)
    assert [row[0] for row in (await top("node", "sim-1"))[1:]] == ["sim-1"]
    assert [row[0] for row in (await top("node", "-l", "kubernetes.io/hostname=sim-0"))[1:]] == ["sim-0"]


async def test_kubectl_says_what_is_not_there(world: Metered) -> None:
    kubectl = Kubectl(world.server)
    nobody = await kubectl("top", "pod", "nobody")
    assert nobody.code == 1 and nobody.err == 'Error from server (NotFound): pods "nobody" not found'
    waits = {"containers": [{"name": "main", "image": "x"}]}
    await world.http.post("/api/v1/namespaces/default/pods", json={"metadata": {"name": "waits"}, "spec": waits})
    waiting = await kubectl("top", "pod", "waits")
    told = 'Error from server (NotFound): podmetrics.metrics.k8s.io "default/waits" not found'
    assert waiting.code == 1 and waiting.err == told
    assert (await kubectl("top", "node", "sim-9")).err == 'Error from server (NotFound): nodes "sim-9" not found'
    empty = await kubectl("top", "pod", "-l", "app=nothing")
    assert (empty.out, empty.err) == ("", "No resources found in default namespace.")


async def test_kubectl_get_shows_tables_and_explains(world: Metered) -> None:
    await three_pods(world)
    kubectl = Kubectl(world.server)
    head, *pods = rows((await kubectl("get", "podmetrics", "-A")).out)
    assert head == ["NAMESPACE", "NAME", "CPU", "MEMORY", "WINDOW"]
    assert [(row[0], row[1], row[3]) for row in pods] == [
        ("default", "a", "10Mi"),
        ("default", "b", "6Mi"),
        ("other", "c", "20Mi"),
    ]
    assert rows((await kubectl("get", "nodes.metrics.k8s.io")).out)[0] == ["NAME", "CPU", "MEMORY", "WINDOW"]
    assert (await kubectl("get", "nodes")).out.splitlines()[0].split()[1] == "STATUS", "a bare word is the Node"
    listed = (await kubectl("api-resources", "--api-group=metrics.k8s.io", "--no-headers")).out
    assert rows(listed) == [
        ["nodes", "metrics.k8s.io/v1beta1", "false", "NodeMetrics"],
        ["pods", "metrics.k8s.io/v1beta1", "true", "PodMetrics"],
    ]
    service = rows((await kubectl("get", "apiservice", "v1beta1.metrics.k8s.io", "--no-headers")).out)[0]
    assert service[:3] == ["v1beta1.metrics.k8s.io", "Local", "True"]
    assert "usage\t<map[string]Quantity> -required-" in (await kubectl("explain", "podmetrics.containers")).out


async def test_every_form(world: Metered) -> None:
    await three_pods(world)
    path = f"{API}/namespaces/default/pods"
    table = (await world.http.get(path, headers={"accept": TABLE})).json()
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "cpu", "memory", "Window"]
    assert [row["object"]["metadata"]["name"] for row in table["rows"]] == ["a", "b"]
    partial = (await world.http.get(f"{path}/a", headers={"accept": PARTIAL.format("")})).json()
    assert partial.keys() == {"kind", "apiVersion", "metadata"} and partial["metadata"]["labels"] == {"app": "web"}
    listed = (await world.http.get(path, headers={"accept": PARTIAL.format("List")})).json()
    assert listed["kind"] == "PartialObjectMetadataList" and len(listed["items"]) == 2
    found = (await world.http.get(path)).json()
    assert (found["kind"], found["apiVersion"]) == ("PodMetricsList", "metrics.k8s.io/v1beta1")
    assert len(await world.items("/pods")) == 3


REFUSED = (
    ("GET", "/namespaces/default/pods?watch=1", 405, "MethodNotAllowed"),
    ("POST", "/namespaces/default/pods", 405, "MethodNotAllowed"),
    ("DELETE", "/namespaces/default/pods", 405, "MethodNotAllowed"),
    ("DELETE", "/nodes/sim-0", 405, "MethodNotAllowed"),
    ("PUT", "/nodes/sim-0", 405, "MethodNotAllowed"),
    ("GET", "/pods/a", 404, "NotFound"),
    ("GET", "/nodes/sim-0/status", 404, "NotFound"),
    ("GET", "/elsewhere", 404, "NotFound"),
    ("GET", "/pods?fieldSelector=status.phase%3DRunning", 400, "BadRequest"),
    ("GET", "/pods?labelSelector=%21%21", 400, "BadRequest"),
)


async def test_what_is_refused(world: Metered) -> None:
    for method, path, code, reason in REFUSED:
        body = {"kind": "PodMetrics", "metadata": {"name": "a"}} if method in ("POST", "PUT") else None
        answer = await world.http.request(method, f"{API}{path}", json=body)
        assert (answer.status_code, answer.json().get("reason")) == (code, reason), (method, path, answer.text)


async def test_who_may_read(world: Metered) -> None:
    """`view`, `edit` and `admin` bring it, each as far as they are bound."""
    await three_pods(world)
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    subject = {"kind": "User", "name": "viewer", "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": "viewer"}, "roleRef": reference, "subjects": [subject]}
    await world.http.post(f"{rbac}/namespaces/default/rolebindings", json=binding)
    # No controller runs here that would gather the rules of `view`.
    role = (await world.http.get(f"{rbac}/clusterroles/system:aggregated-metrics-reader")).json()
    assert {label.rpartition("-")[2] for label in role["metadata"]["labels"] if "aggregate-to" in label} == {
        "admin",
        "edit",
        "view",
    }
    await world.http.patch(
        f"{rbac}/clusterroles/view",
        json={"rules": role["rules"]},
        headers={"content-type": "application/merge-patch+json"},
    )
    async with world.server.http(world.server.client_config("viewer")) as viewer:

        async def allowed() -> bool:
            return (await viewer.get(f"{API}/namespaces/default/pods")).status_code == 200

        await until(allowed)
        for path in ("/namespaces/other/pods", "/pods", "/nodes", "/nodes/sim-0"):
            answer = await viewer.get(API + path)
            assert answer.status_code == 403, path
            assert 'in API group "metrics.k8s.io"' in answer.json()["message"]


async def test_many_at_once_share_what_is_asked_of_nodes(world: Metered) -> None:
    await three_pods(world)
    found = await asyncio.gather(
        *(world.items("/pods") for _ in range(30)), *(world.items("/nodes") for _ in range(30))
    )
    assert [len(each) for each in found] == [3] * 30 + [2] * 30
