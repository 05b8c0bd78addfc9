"""Services, Endpoints and EndpointSlices as objects; the API server's own among them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from k8slite.testing import RunningServer

from .watches import watching

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
MERGE = {"content-type": "application/merge-patch+json"}
SELECTOR = "kubernetes.io/service-name=kubernetes"


async def items(http: httpx.AsyncClient, url: str, **query: str) -> list[Any]:
    answer = await http.get(url, params=query)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["items"]
    return found


async def test_the_servers_own_service_is_secure(http: httpx.AsyncClient) -> None:
    service = (await http.get("/api/v1/namespaces/default/services/kubernetes")).json()
    [port] = service["spec"]["ports"]
    assert (port["name"], port["port"], port["protocol"]) == ("https", 443, "TCP")


async def test_endpoints_and_slices_lead_to_the_server(http: httpx.AsyncClient, server: RunningServer) -> None:
    service = (await http.get("/api/v1/namespaces/default/services/kubernetes")).json()
    endpoints = (await http.get("/api/v1/namespaces/default/endpoints/kubernetes")).json()
    [subset] = endpoints["subsets"]
    [port] = subset["ports"]
    [address] = subset["addresses"]
    assert (port["name"], port["port"]) == ("https", server.port)
    assert service["spec"]["ports"][0]["targetPort"] == server.port
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    [own] = await items(http, slices, labelSelector=SELECTOR)
    assert [endpoint["addresses"] for endpoint in own["endpoints"]] == [[address["ip"]]]
    assert [(each["name"], each["port"]) for each in own["ports"]] == [("https", server.port)]
    async with server.http() as through:
        through.base_url = httpx.URL(f"https://{address['ip']}:{port['port']}")
        assert (await through.get("/version")).status_code == 200


async def test_it_is_found_among_the_services_of_all_namespaces(http: httpx.AsyncClient) -> None:
    found = await items(http, "/api/v1/services")
    assert ("default", "kubernetes") in [(each["metadata"]["namespace"], each["metadata"]["name"]) for each in found]


async def test_a_services_status_is_patched_updated_and_watched(http: httpx.AsyncClient, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/services"
    ports = [{"name": "http", "port": 80, "targetPort": 80, "protocol": "TCP"}]
    spec = {"type": "LoadBalancer", "ports": ports, "loadBalancerClass": "example.com/fake"}
    labels = {"test-service-static": "true"}
    async with watching(http, url, labelSelector="test-service-static=true") as watch:
        made = await http.post(url, json={"metadata": {"name": "one", "labels": labels}, "spec": spec})
        assert made.status_code == 201, made.text
        assert (await watch.next())[0] == "ADDED"
        assert (await http.get(f"{url}/one/status")).json()["status"] == {"loadBalancer": {}}

        balancer = {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}
        patch = {"metadata": {"annotations": {"patchedstatus": "true"}}, "status": balancer}
        patched = await http.patch(f"{url}/one/status", headers=MERGE, json=patch)
        assert patched.status_code == 200, patched.text
        kind, seen = await watch.next()
        assert (kind, seen["metadata"]["annotations"]["patchedstatus"]) == ("MODIFIED", "true")
        ingress = seen["status"]["loadBalancer"]["ingress"]
        assert [each["ip"] for each in ingress] == ["203.0.113.1"]

        body = seen
        condition = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from a test"}
        body["status"]["conditions"] = [{**condition, "lastTransitionTime": "2026-01-01T00:00:00Z"}]
        updated = await http.put(f"{url}/one/status", json=body)
        assert updated.status_code == 200, updated.text
        kind, seen = await watch.next()
        assert (kind, seen["status"]["conditions"][0]["type"]) == ("MODIFIED", "StatusUpdate")

        patch = {"metadata": {"labels": {"test-service": "patched"}}}
        patched = await http.patch(f"{url}/one", headers=STRATEGIC, json=patch)
        kind, seen = await watch.next()
        assert (kind, seen["metadata"]["labels"]["test-service"]) == ("MODIFIED", "patched")
        assert seen["status"] == body["status"] and patched.json() == seen
        assert (await http.delete(f"{url}/one")).status_code == 200
        assert (await watch.next())[0] == "DELETED"


async def test_services_are_deleted_by_their_label(http: httpx.AsyncClient, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/services"
    for name, group in (("one", "many"), ("two", "many"), ("three", "alone")):
        body = {"metadata": {"name": name, "labels": {"group": group}}, "spec": {"ports": [{"port": 80}]}}
        assert (await http.post(url, json=body)).status_code == 201
    assert len(await items(http, url)) == 3
    assert (await http.delete(url, params={"labelSelector": "group=many"})).status_code == 200
    assert [each["metadata"]["name"] for each in await items(http, url)] == ["three"]


async def test_endpoints_are_made_updated_patched_and_deleted_in_sight_of_a_watch(
    http: httpx.AsyncClient, namespace: str
) -> None:
    url = f"/api/v1/namespaces/{namespace}/endpoints"
    subsets = [{"addresses": [{"ip": "10.0.0.24"}], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}]
    labels = {"test-endpoint-static": "true"}
    async with watching(http, url, labelSelector="test-endpoint-static=true") as watch:
        body = {"metadata": {"name": "one", "labels": labels}, "subsets": subsets}
        made = await http.post(url, json=body)
        assert made.status_code == 201, made.text
        assert await watch.next() == ("ADDED", made.json())
        found = await items(http, "/api/v1/endpoints", labelSelector="test-endpoint-static=true")
        assert [each["metadata"]["namespace"] for each in found] == [namespace]

        body = made.json()
        body["metadata"]["labels"]["test-service"] = "updated"
        assert (await http.put(f"{url}/one", json=body)).status_code == 200
        kind, seen = await watch.next()
        assert (kind, seen["metadata"]["labels"]["test-service"]) == ("MODIFIED", "updated")

        patch = {
            "metadata": {"labels": {"test-service": "patched"}},
            "subsets": [{"addresses": [{"ip": "10.0.0.25"}], "ports": [{"name": "http-test", "port": 8080}]}],
        }
        patched = await http.patch(f"{url}/one", headers=STRATEGIC, json=patch)
        assert patched.status_code == 200, patched.text
        kind, seen = await watch.next()
        [subset] = seen["subsets"]
        assert (kind, seen["metadata"]["labels"]["test-service"]) == ("MODIFIED", "patched")
        assert (subset["addresses"], subset["ports"][0]["name"]) == ([{"ip": "10.0.0.25"}], "http-test")
        assert (await http.get(f"{url}/one")).json() == seen

        gone = await http.delete(url, params={"labelSelector": "test-endpoint-static=true"})
        assert gone.status_code == 200, gone.text
        assert (await watch.next())[0] == "DELETED"
        assert (await http.get(f"{url}/one")).status_code == 404


async def test_the_range_of_services_is_an_object(http: httpx.AsyncClient) -> None:
    url = "/apis/networking.k8s.io/v1/servicecidrs"
    own = (await http.get(f"{url}/kubernetes")).json()
    assert own["spec"]["cidrs"] == ["10.96.0.0/16"]
    assert {item["type"]: item["status"] for item in own["status"]["conditions"]} == {"Ready": "True"}
    status = (await http.get(f"{url}/kubernetes/status")).json()
    assert (status["kind"], status["metadata"]["uid"]) == ("ServiceCIDR", own["metadata"]["uid"])
    assert "kubernetes" in [each["metadata"]["name"] for each in await items(http, url)]
    async with watching(http, url) as watch:
        assert await watch.next() == ("ADDED", own)


async def test_addresses_of_both_families_have_objects(http: httpx.AsyncClient) -> None:
    url = "/apis/networking.k8s.io/v1/ipaddresses"
    parent = {"group": "mygroup", "resource": "myresources", "namespace": "foo", "name": "bar"}
    for name, kind in (("255.255.255.255", "broadcast"), ("fe80::42:1dff:fe84:f9e2", "link-local")):
        body = {"metadata": {"name": name, "labels": {"type": kind}}, "spec": {"parentRef": parent}}
        made = await http.post(url, json=body)
        assert made.status_code == 201, made.text
    assert (await http.delete(f"{url}/255.255.255.255")).status_code == 200
    assert (await http.delete(url, params={"labelSelector": "type=link-local"})).status_code == 200
    assert await items(http, url, labelSelector="type in (broadcast, link-local)") == []
