"""A group that another server serves, behind our address: kubectl and RBAC, discovery, availability, watches."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from k8slite.pki import Authority
from k8slite.testing import RunningServer, running_server
from k8slite.testing.extension import extension
from k8slite.testing.kubectl import Kubectl

from .readings import AGGREGATED, GROUP, PATH, VERSION, Readings

NAME = f"{VERSION}.{GROUP}"
SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
READINGS = f"{PATH}/namespaces/default/readings"
DEADLINE = 15.0


async def until(read: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool]) -> Any:
    """What was read when it was as wanted."""
    seen = None
    try:
        async with asyncio.timeout(DEADLINE):
            while not wanted(seen := await read()):  # noqa: ASYNC110 - the state is the server's, which signals nothing
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"still {seen!r}") from None
    return seen


@dataclass
class World:
    server: RunningServer
    http: httpx.AsyncClient
    backend: Readings
    bundle: str
    port: int

    async def condition(self, name: str = NAME) -> tuple[str, str, str]:
        answer = await self.http.get(f"{SERVICES}/{name}")
        conditions = (answer.json().get("status") or {}).get("conditions") or []
        found = next((each for each in conditions if each["type"] == "Available"), {})
        return found.get("status", ""), found.get("reason", ""), found.get("message", "")

    async def is_available(self, *, reason: str = "Passed") -> tuple[str, str, str]:
        found: tuple[str, str, str] = await until(self.condition, lambda each: each[1] == reason)
        return found

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.http.post(path, json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def add_service(self, **spec: Any) -> None:
        body = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "readings"}}
        await self.post("/api/v1/namespaces/default/services", {**body, "spec": {"ports": [{"port": 443}], **spec}})

    async def add_endpoints(self, *, port: int = 0, ready: bool = True) -> None:
        """The API refuses loopback addresses in EndpointSlices; the store does not ask."""
        labels = {"kubernetes.io/service-name": "readings"}
        document = {
            "kind": "EndpointSlice",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": {"resourceVersion": "", "name": "readings-1", "namespace": "default", "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": ready}}],
            "ports": [{"name": "", "port": port or self.port, "protocol": "TCP"}],
        }
        value = json.dumps(document, separators=(",", ":")).encode()
        key, store = "/discovery.k8s.io/endpointslices/default/readings-1", self.server.app.store
        known = await store.get(key)
        if known is None:
            await store.create(key, value)
        else:
            await store.update(key, value, expected=known.revision)

    def registration(self, **spec: Any) -> dict[str, Any]:
        whole = {
            "group": GROUP,
            "version": VERSION,
            "groupPriorityMinimum": 2000,
            "versionPriority": 10,
            "service": {"namespace": "default", "name": "readings"},
            "caBundle": self.bundle,
        }
        return {
            "kind": "APIService",
            "apiVersion": "apiregistration.k8s.io/v1",
            "metadata": {"name": NAME},
            "spec": whole | spec,
        }

    async def register(self, **spec: Any) -> None:
        await self.post(SERVICES, self.registration(**spec))

    async def up(self) -> None:
        await self.add_service()
        await self.add_endpoints()
        await self.register()
        await self.is_available()


@asynccontextmanager
async def world(directory: Path, store: Any = "memory", backend: Readings | None = None) -> AsyncIterator[World]:
    front = Authority.ensure(directory, name="front-proxy-ca")
    pair = front.issue_client("front-proxy-client", user="front-proxy-client")
    readings = backend or Readings()
    async with (
        extension(
            readings.handle, directory=directory, hosts=["readings.default.svc"], client_ca=front.cert_file
        ) as running,
        running_server(
            store=store,
            directory=directory,
            requestheader_client_ca_file=front.cert_file,
            requestheader_allowed_names=["front-proxy-client"],
            proxy_client_cert_file=pair.cert_file,
            proxy_client_key_file=pair.key_file,
        ) as server,
        server.http() as http,
    ):
        yield World(server, http, readings, base64.b64encode(running.bundle).decode(), running.port)


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, request.param) as made:
        yield made


async def test_kubectl_uses_another_servers_group(both: World) -> None:
    await both.up()
    kubectl = Kubectl(both.server)

    async def listed() -> str:
        return (await kubectl("api-resources", "--api-group", GROUP, "--no-headers")).out

    row = await until(listed, bool)
    assert row.split() == ["readings", "rd", f"{GROUP}/{VERSION}", "true", "Reading"]
    result = await kubectl("get", "rd")
    assert result.out.splitlines()[1].split()[0] == "first", result.err
    result = await kubectl("get", "reading", "first", "-o", "jsonpath={.value}")
    assert result.out == "21"
    result = await kubectl("get", "--raw", f"{READINGS}/first")
    assert json.loads(result.out)["value"] == "21"
    result = await kubectl("get", "apiservice", NAME, "--no-headers")
    assert result.out.split()[:3] == [NAME, "default/readings", "True"]
    asked = both.backend.asked_by("kubernetes-admin")
    assert asked
    assert all(request.headers.getall("X-Remote-Group") == GROUPS for request in asked)


GROUPS = ["system:masters", "system:authenticated"]


async def test_the_other_server_learns_who_asks_and_nothing_else(cluster: World) -> None:
    await cluster.up()
    forged = {
        "X-Remote-User": "root",
        "X-Remote-Group": "system:masters",
        "X-Remote-Extra-Scopes": "all",
        "Authorization": "Bearer secret",
        "Impersonate-User": "jane:doe",
        "Impersonate-Group": "dev",
        "Impersonate-Extra-Example.com%2Fscope": "read",
        "Impersonate-Uid": "u-1",
        "X-Own": "kept",
    }
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    rule = {"verbs": ["*"], "apiGroups": [GROUP], "resources": ["readings"]}
    await cluster.post(roles, {"metadata": {"name": "readings"}, "rules": [rule]})
    subject = {"kind": "User", "name": "jane:doe", "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"kind": "ClusterRole", "name": "readings", "apiGroup": "rbac.authorization.k8s.io"}
    await cluster.post(bindings, {"metadata": {"name": "readings"}, "subjects": [subject], "roleRef": reference})
    answer = await cluster.http.post(READINGS, headers=forged, json={"a": 1})
    assert answer.status_code == 201, answer.text
    assert answer.json()["metadata"]["name"] == "posted"
    (request,) = cluster.backend.asked_by("jane:doe")
    assert cluster.backend.bodies[cluster.backend.seen.index(request)] == b'{"a":1}'
    assert request.headers.getall("X-Remote-Group") == ["dev", "system:authenticated"]
    assert request.headers["X-Remote-Uid"] == "u-1"
    assert request.headers["X-Remote-Extra-example.com%2Fscope"] == "read"
    assert request.headers["X-Own"] == "kept"
    assert request.headers["Audit-Id"] == answer.headers["audit-id"]
    assert request.headers["X-Forwarded-For"] == "127.0.0.1"
    assert request.headers["Host"] == "readings.default.svc:443"
    names = {name.lower() for name in request.headers}
    assert names.isdisjoint({"authorization", "x-remote-extra-scopes", "impersonate-user"})


async def test_authorization_comes_first(cluster: World) -> None:
    await cluster.up()
    joe = cluster.server.client_config("joe")
    async with cluster.server.http(joe) as http:
        answer = await http.get(READINGS)
    assert answer.status_code == 403
    assert answer.json()["message"] == (
        f'readings.{GROUP} is forbidden: User "joe" cannot list resource "readings" in API group "{GROUP}" in the '
        'namespace "default"'
    )
    assert cluster.backend.asked_by("joe") == []


async def test_a_watch_comes_through_as_it_goes(cluster: World) -> None:
    await cluster.up()
    async with cluster.http.stream("GET", READINGS, params={"watch": "1"}) as answer:
        lines = answer.aiter_lines()
        assert json.loads(await anext(lines))["object"]["metadata"]["name"] == "first"
        await cluster.backend.add("second", "22")
        assert json.loads(await anext(lines))["object"]["metadata"]["name"] == "second"
        assert not cluster.backend.left.is_set()
    async with asyncio.timeout(DEADLINE):
        await cluster.backend.left.wait()


async def test_a_watch_ends_in_good_order_when_the_server_does(cluster: World) -> None:
    await cluster.up()
    async with cluster.http.stream("GET", READINGS, params={"watch": "1"}) as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        cluster.server.app.part()
        async with asyncio.timeout(DEADLINE):
            assert [line async for line in lines] == []


@pytest.mark.parametrize("query", ["", "?watch=1"])
async def test_who_gives_up_on_a_silent_server_leaves_nothing_behind(cluster: World, query: str) -> None:
    await cluster.up()
    asked = asyncio.create_task(cluster.http.get(f"{READINGS}/silent{query}"))
    async with asyncio.timeout(DEADLINE):
        await cluster.backend.silent.wait()
        asked.cancel()
        await cluster.backend.left.wait()


async def test_a_watch_that_never_began_ends_with_the_server(cluster: World) -> None:
    await cluster.up()
    asked = asyncio.create_task(cluster.http.get(READINGS + "/silent/log"))
    async with asyncio.timeout(DEADLINE):
        await cluster.backend.silent.wait()
        cluster.server.app.part()
        assert (await asked).status_code == 503


async def test_what_the_client_names_arrives_byte_for_byte(cluster: World) -> None:
    await cluster.up()
    headers = {"Impersonate-User": "jürgen".encode(), "Impersonate-Group": b"system:masters", "X-Own": "größe".encode()}
    url = f"{READINGS}/first?name=%C3%BC&odd=%2F%23a+b&x={{}}"
    answer = await cluster.http.get(url, headers=headers)
    assert answer.status_code == 200
    request = cluster.backend.seen[-1]
    raw = dict(request.raw_headers)
    assert raw[b"X-Remote-User"] == "jürgen".encode()
    assert raw[b"x-own"] == "größe".encode()
    assert request.raw_path.endswith("/first?name=%C3%BC&odd=%2F%23a+b&x={}")


async def test_a_body_is_passed_on_though_an_upgrade_is_named(cluster: World) -> None:
    await cluster.up()
    answer = await cluster.http.post(READINGS, headers={"Upgrade": "h2c"}, json={"a": 1})
    assert answer.status_code == 201
    assert cluster.backend.bodies[-1] == b'{"a":1}'


async def test_a_redirect_instead_of_an_upgrade_is_not_passed_on(cluster: World) -> None:
    await cluster.up()
    headers = {"Connection": "Upgrade", "Upgrade": "elsewhere"}
    answer = await cluster.http.get(f"{READINGS}/first", headers=headers)
    assert (answer.status_code, "location" in answer.headers) == (502, False)
    headers = {"Connection": "Upgrade", "Upgrade": "nothing"}
    answer = await cluster.http.get(f"{READINGS}/first", headers=headers)
    assert (answer.status_code, answer.text) == (503, "invalid upgrade response: status code 200\n")
    assert cluster.backend.seen[-1].headers["Host"] == "readings.default.svc:443"


async def test_answers_without_a_body(cluster: World) -> None:
    await cluster.up()
    answer = await cluster.http.head(f"{READINGS}/first")
    assert answer.status_code == 200
    for status in (204, 304):
        answer = await cluster.http.get(f"{READINGS}/status-{status}")
        assert (answer.status_code, answer.content) == (status, b"")


async def test_a_websocket_comes_through(cluster: World) -> None:
    await cluster.up()
    context = ssl.create_default_context(cafile=str(cluster.server.admin.ca_file))
    context.load_cert_chain(str(cluster.server.admin.cert_file), str(cluster.server.admin.key_file))
    url = f"{cluster.server.url.replace('https', 'wss')}{READINGS}/first/talk"
    async with connect(url, ssl=context, subprotocols=[Subprotocol("echo")], proxy=None) as socket:
        assert socket.subprotocol == "echo"
        await socket.send("hello")
        assert await socket.recv() == "kubernetes-admin: hello"


async def test_availability_follows_the_service_and_its_endpoints(cluster: World, unused_tcp_port: int) -> None:
    assert (await cluster.http.get(READINGS)).status_code == 404
    await cluster.register()
    assert await cluster.is_available(reason="ServiceNotFound") == (
        "False",
        "ServiceNotFound",
        'service/readings in "default" is not present',
    )
    refused = await cluster.http.get(READINGS)
    assert (refused.status_code, refused.text) == (503, "service unavailable\n")
    metrics = (await cluster.http.get("/metrics")).text.splitlines()
    assert f'aggregator_unavailable_apiservice{{name="{NAME}"}} 1.0' in metrics
    assert 'aggregator_unavailable_apiservice{name="v1.apps"} 0.0' in metrics
    await cluster.add_service(ports=[{"port": 80}])
    found = await cluster.is_available(reason="ServicePortError")
    assert found[2] == 'service/readings in "default" is not listening on port 443'
    changed = {"spec": {"ports": [{"port": 443}]}}
    answer = await cluster.http.patch(
        "/api/v1/namespaces/default/services/readings",
        json=changed,
        headers={"content-type": "application/merge-patch+json"},
    )
    assert answer.status_code == 200, answer.text
    found = await cluster.is_available(reason="EndpointsNotFound")
    assert found[2] == 'cannot find endpointslices for service/readings in "default"'
    await cluster.add_endpoints(ready=False)
    found = await cluster.is_available(reason="MissingEndpoints")
    assert found[2] == 'endpointslices for service/readings in "default" have no addresses with port name ""'
    await cluster.add_endpoints(port=unused_tcp_port)
    found = await cluster.is_available(reason="FailedDiscoveryCheck")
    url = f"https://127.0.0.1:{unused_tcp_port}{PATH}"
    assert found[2] == (
        f'failing or missing response from {url}: Get "{url}": dial tcp 127.0.0.1:{unused_tcp_port}: '
        "connect: connection refused"
    )
    await cluster.add_endpoints()
    assert await cluster.is_available() == ("True", "Passed", "all checks passed")
    assert (await cluster.http.get(READINGS)).status_code == 200

    cluster.backend.healthy = False
    await cluster.add_endpoints()
    found = await cluster.is_available(reason="FailedDiscoveryCheck")
    assert found[2].endswith("bad status from " + f"https://127.0.0.1:{cluster.port}{PATH}: 500")
    assert (await cluster.http.get(READINGS)).status_code == 503
    cluster.backend.healthy = True  # and nothing changes in the cluster: it is asked again
    await cluster.is_available()
    assert (await cluster.http.get(READINGS)).status_code == 200


async def test_a_certificate_that_the_bundle_does_not_cover_is_refused(cluster: World, tmp_path: Path) -> None:
    other = Authority.create(tmp_path, name="other")
    await cluster.add_service()
    await cluster.add_endpoints()
    await cluster.register(caBundle=base64.b64encode(other.certificate_pem).decode())
    await cluster.is_available()  # that only asks whether anyone is there
    answer = await cluster.http.get(READINGS)
    assert answer.status_code == 503
    assert answer.text.startswith("error trying to reach service: tls: failed to verify certificate: x509: ")
    patch = {"spec": {"caBundle": None, "insecureSkipTLSVerify": True}}
    headers = {"content-type": "application/merge-patch+json"}
    await cluster.http.patch(f"{SERVICES}/{NAME}", json=patch, headers=headers)
    answer = await until(lambda: cluster.http.get(READINGS), lambda each: each.status_code == 200)
    assert answer.json()["items"]


async def discovery(world: World) -> dict[str, Any]:
    """The group's entry in aggregated discovery, empty if there is none."""
    answer = await world.http.get("/apis", headers={"accept": AGGREGATED})
    found = [item for item in answer.json()["items"] if item["metadata"]["name"] == GROUP]
    return found[0]["versions"][0] if found else {}


@pytest.mark.parametrize("aggregated", [True, False])
async def test_discovery_has_the_group_and_marks_it_when_it_is_gone(tmp_path: Path, aggregated: bool) -> None:
    async with world(tmp_path, backend=Readings(aggregated=aggregated)) as cluster:
        assert await discovery(cluster) == {}
        await cluster.up()
        entry = await until(lambda: discovery(cluster), lambda each: each.get("freshness") == "Current")
        (row,) = entry["resources"]
        assert (row["resource"], row["scope"], row["shortNames"]) == ("readings", "Namespaced", ["rd"])
        assert row["responseKind"] == {"kind": "Reading", "group": GROUP, "version": VERSION}
        cluster.backend.healthy = False
        await cluster.add_endpoints()
        stale = await until(lambda: discovery(cluster), lambda each: each.get("freshness") == "Stale")
        assert stale["resources"] == entry["resources"]
        answer = await cluster.http.delete(f"{SERVICES}/{NAME}")
        assert answer.status_code == 200
        await until(lambda: discovery(cluster), lambda each: each == {})
        assert (await cluster.http.get(READINGS)).status_code == 404


async def test_the_order_of_groups_is_that_of_their_priorities(cluster: World) -> None:
    async def groups() -> list[str]:
        return [each["name"] for each in (await cluster.http.get("/apis")).json()["groups"]]

    before = await groups()
    await cluster.up()
    assert before[-1] == "metrics.k8s.io", "the last of our own, with a priority of 100"
    assert await until(groups, lambda each: GROUP in each) == [*before[:-1], GROUP, before[-1]]
    patch = {"spec": {"groupPriorityMinimum": 17_775}}
    headers = {"content-type": "application/merge-patch+json"}
    await cluster.http.patch(f"{SERVICES}/{NAME}", json=patch, headers=headers)
    place = before.index("apps") + 1
    await until(groups, lambda each: each == [*before[:place], GROUP, *before[place:]])
    group = (await cluster.http.get(f"/apis/{GROUP}")).json()
    assert group["preferredVersion"] == {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
    resources = (await cluster.http.get(PATH)).json()
    assert [each["name"] for each in resources["resources"]] == ["readings"]


async def test_openapi_is_merged(cluster: World) -> None:
    async def index() -> dict[str, Any]:
        paths: dict[str, Any] = (await cluster.http.get("/openapi/v3")).json()["paths"]
        return paths

    await cluster.up()
    paths = await until(index, lambda each: PATH[1:] in each)
    assert "apis/apps/v1" in paths
    document = await cluster.http.get(paths[PATH[1:]]["serverRelativeURL"])
    assert document.json()["info"]["title"] == "readings"
    whole = (await cluster.http.get("/openapi/v2")).json()
    operation = whole["paths"][f"{PATH}/namespaces/{{namespace}}/readings"]["get"]
    assert operation["operationId"] == "listReadings"
    assert "/version/" not in whole["paths"]
    assert "unused" not in whole["definitions"]
    meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    assert whole["definitions"][f"{meta}_v2"]["description"] == "theirs"
    reference = whole["definitions"]["example.Reading"]["properties"]["metadata"]["$ref"]
    assert reference == f"#/definitions/{meta}_v2"
    accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    encoded = await cluster.http.get("/openapi/v2", headers={"accept": accept})
    assert encoded.status_code == 200
    assert b"example.Reading" in encoded.content


async def test_a_server_that_talks_nonsense_spoils_nobody_elses_documents(tmp_path: Path) -> None:
    async with world(tmp_path, backend=Readings(hostile=True)) as cluster:
        await cluster.up()
        await until(lambda: discovery(cluster), lambda each: each.get("freshness") == "Current")
        protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
        for path, accept in (
            ("/apis", AGGREGATED),
            ("/openapi/v2", ""),
            ("/openapi/v2", protobuf),
            ("/openapi/v3", ""),
        ):
            answer = await cluster.http.get(path, headers={"accept": accept} if accept else {})
            assert answer.status_code == 200, path
        assert (await cluster.http.get(f"{READINGS}/first")).status_code == 200


async def test_what_a_server_said_stays_while_it_stumbles(cluster: World) -> None:
    async def paths() -> set[str]:
        return set((await cluster.http.get("/openapi/v3")).json()["paths"])

    await cluster.up()
    await until(paths, lambda each: PATH[1:] in each)
    cluster.backend.stumbling = True
    asked = len(cluster.backend.seen)
    await cluster.add_endpoints()

    async def asked_again() -> bool:
        return any(request.path == "/openapi/v2" for request in cluster.backend.seen[asked:])

    await until(asked_again, bool)
    assert PATH[1:] in await paths()
    assert (await discovery(cluster))["freshness"] == "Current"


async def test_an_apiservice_without_a_service_is_available_here(cluster: World) -> None:
    local = cluster.registration()
    for field in ("service", "caBundle"):
        del local["spec"][field]
    await cluster.post(SERVICES, local)
    found = await cluster.is_available(reason="Local")
    assert found == ("True", "Local", "Local APIServices are always available")
    patch = {"spec": {"service": {"namespace": "default", "name": "readings"}}}
    headers = {"content-type": "application/merge-patch+json"}
    await cluster.http.patch(f"{SERVICES}/{NAME}", json=patch, headers=headers)
    await cluster.is_available(reason="ServiceNotFound")
    await cluster.http.patch(f"{SERVICES}/{NAME}", json={"spec": {"service": None}}, headers=headers)
    await cluster.is_available(reason="Local")


async def test_a_redirect_is_not_followed_nor_passed_on(cluster: World) -> None:
    await cluster.up()
    answer = await cluster.http.get(f"{READINGS}/elsewhere")
    assert answer.status_code == 502
    assert answer.text == "the backend attempted to redirect this request, which is not permitted\n"
    assert "location" not in answer.headers


async def test_own_groups_have_their_apiservices(both: World) -> None:
    listed = (await both.http.get(SERVICES)).json()["items"]
    found = {item["metadata"]["name"]: item for item in listed}
    served = {"v1."}
    for group in (await both.http.get("/apis")).json()["groups"]:
        served |= {f"{each['version']}.{group['name']}" for each in group["versions"]}
    assert found.keys() == served - {"v1.apiregistration.k8s.io"}
    apps = found["v1.apps"]
    assert apps["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
    assert apps["spec"] == {
        "group": "apps",
        "version": "v1",
        "groupPriorityMinimum": 17800,
        "versionPriority": 15,
    }
    condition = apps["status"]["conditions"][0]
    assert (condition["status"], condition["reason"]) == ("True", "Local")
    assert condition["message"] == "Local APIServices are always available"


CRD = {
    "kind": "CustomResourceDefinition",
    "apiVersion": "apiextensions.k8s.io/v1",
    "metadata": {"name": "gauges.aggregation.example.com"},
    "spec": {
        "group": "aggregation.example.com",
        "scope": "Namespaced",
        "names": {"plural": "gauges", "singular": "gauge", "kind": "Gauge", "listKind": "GaugeList"},
        "versions": [
            {
                "name": name,
                "served": served,
                "storage": name == "v1",
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
            for name, served in (("v1", True), ("v2", False))
        ],
    },
}


async def test_custom_resources_have_their_apiservices_as_long_as_they_are(cluster: World) -> None:
    async def names() -> set[str]:
        items = (await cluster.http.get(SERVICES)).json()["items"]
        return {each["metadata"]["name"] for each in items if each["spec"].get("group") == "aggregation.example.com"}

    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await cluster.post(definitions, CRD)
    await until(names, lambda each: each == {"v1.aggregation.example.com"})
    service = (await cluster.http.get(f"{SERVICES}/v1.aggregation.example.com")).json()
    assert service["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "true"}
    assert (service["spec"]["groupPriorityMinimum"], service["spec"]["versionPriority"]) == (1000, 100)
    await cluster.http.delete(f"{definitions}/gauges.aggregation.example.com")
    await until(names, lambda each: each == set())


async def test_an_apiservice_of_a_definition_waits_for_its_finalizers(cluster: World) -> None:
    url = f"{SERVICES}/v1.aggregation.example.com"
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    headers = {"content-type": "application/merge-patch+json"}

    async def metadata() -> dict[str, Any]:
        answer = await cluster.http.get(url)
        return answer.json()["metadata"] if answer.status_code == 200 else {}

    await cluster.post(definitions, CRD)
    await until(metadata, bool)
    answer = await cluster.http.patch(url, json={"metadata": {"finalizers": ["example.com/wait"]}}, headers=headers)
    assert answer.status_code == 200, answer.text
    await cluster.http.delete(f"{definitions}/gauges.aggregation.example.com")
    await until(metadata, lambda each: "deletionTimestamp" in each)
    await cluster.http.patch(url, json={"metadata": {"finalizers": None}}, headers=headers)
    await until(metadata, lambda each: each == {})


async def test_another_server_may_take_over_a_group_of_ours(cluster: World) -> None:
    """An APIService with a Service wins over what is served here; without it ours is back."""
    await cluster.up()
    patch = {"spec": {"service": None, "caBundle": None}}
    headers = {"content-type": "application/merge-patch+json"}
    answer = await cluster.http.patch(f"{SERVICES}/{NAME}", json=patch, headers=headers)
    assert answer.status_code == 200, answer.text
    await cluster.is_available(reason="Local")
    assert (await cluster.http.get(READINGS)).status_code == 404
    put = {"spec": {"service": {"namespace": "default", "name": "readings"}, "caBundle": cluster.bundle}}
    await cluster.http.patch(f"{SERVICES}/v1.batch", json=put, headers=headers)

    async def answered() -> int:
        return (await cluster.http.get("/apis/batch/v1/jobs")).status_code

    await until(answered, lambda code: code == 503)  # it serves no batch/v1, so it never becomes available
    await cluster.http.patch(f"{SERVICES}/v1.batch", json=patch, headers=headers)
    await until(answered, lambda code: code == 200)


async def test_what_aggregated_servers_read_is_published(cluster: World) -> None:
    path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    data = (await cluster.http.get(path)).json()["data"]
    assert data["client-ca-file"] == cluster.server.authority.cert_file.read_text()
    assert data["requestheader-client-ca-file"].startswith("-----BEGIN CERTIFICATE-----")
    assert json.loads(data["requestheader-allowed-names"]) == ["front-proxy-client"]
    assert json.loads(data["requestheader-username-headers"]) == ["X-Remote-User"]
    assert json.loads(data["requestheader-group-headers"]) == ["X-Remote-Group"]
    assert json.loads(data["requestheader-extra-headers-prefix"]) == ["X-Remote-Extra-"]


async def test_a_proxy_in_front_of_us_names_its_users(cluster: World) -> None:
    """The same certificate that our aggregator shows to others is believed by us."""
    from k8slite.connection import ClientConfig

    config = cluster.server.config
    proxy = ClientConfig(
        server=cluster.server.url,
        ca_file=cluster.server.authority.cert_file,
        cert_file=config.proxy_client_cert_file,
        key_file=config.proxy_client_key_file,
    )
    review = {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    headers = {"X-Remote-User": "jane", "X-Remote-Group": "dev"}
    async with cluster.server.http(proxy) as http:
        named = await http.post(path, json=review, headers=headers)
        nobody = await http.get("/api/v1/namespaces")
    user = named.json()["status"]["userInfo"]
    assert (user["username"], user["groups"]) == ("jane", ["dev", "system:authenticated"])
    assert nobody.status_code == 401
    ignored = await cluster.http.post(path, json=review, headers=headers)
    assert ignored.json()["status"]["userInfo"]["username"] == "kubernetes-admin"
