"""Services get an address and node ports, keep them, and give them back."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

import httpx
import pytest

from k8slite.testing import running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "/api/v1/namespaces/default/services"
MERGE = {"content-type": "application/merge-patch+json"}


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}, **spec}}


async def create(http: httpx.AsyncClient, name: str, **spec: Any) -> Any:
    answer = await http.post(URL, json=service(name, **spec))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def free_port(http: httpx.AsyncClient) -> int:
    """A node port that no Service has, whatever others were given by chance."""
    made = await create(http, "finder", type="NodePort")
    await http.delete(f"{URL}/finder")
    port: int = made["spec"]["ports"][0]["nodePort"]
    return port


async def test_address_comes_from_the_range(http: httpx.AsyncClient) -> None:
    spec = (await create(http, "plain"))["spec"]
    assert ipaddress.ip_address(spec["clusterIP"]) in ipaddress.ip_network("10.96.0.0/16")
    assert spec["clusterIPs"] == [spec["clusterIP"]] and spec["ipFamilies"] == ["IPv4"]
    assert (spec["type"], spec["sessionAffinity"], spec["internalTrafficPolicy"]) == ("ClusterIP", "None", "Cluster")
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]


async def test_many_at_once_get_different_addresses(http: httpx.AsyncClient) -> None:
    made = await asyncio.gather(*(create(http, f"many-{number}", type="NodePort") for number in range(30)))
    assert len({item["spec"]["clusterIP"] for item in made}) == 30
    ports = {item["spec"]["ports"][0]["nodePort"] for item in made}
    assert len(ports) == 30 and all(30000 <= port <= 32767 for port in ports)


async def test_wanted_address_is_given_once(http: httpx.AsyncClient) -> None:
    await create(http, "wanted", clusterIP="10.96.7.7")
    taken = await http.post(URL, json=service("second", clusterIP="10.96.7.7"))
    assert taken.status_code == 422 and "provided IP is already allocated" in taken.json()["message"]
    outside = await http.post(URL, json=service("third", clusterIP="192.168.1.1"))
    assert "is not in the valid range" in outside.json()["message"]
    await http.delete(f"{URL}/wanted")
    assert (await http.post(URL, json=service("fourth", clusterIP="10.96.7.7"))).status_code == 201


async def test_wanted_node_port_is_given_once(http: httpx.AsyncClient) -> None:
    number = await free_port(http)
    ports = [{"port": 80, "nodePort": number}]
    await create(http, "door", type="NodePort", ports=ports)
    taken = await http.post(URL, json=service("door-2", type="NodePort", ports=ports))
    problem = f"spec.ports[0].nodePort: Invalid value: {number}: provided port is already allocated"
    assert problem in taken.json()["message"]
    low = await http.post(URL, json=service("low", type="NodePort", ports=[{"port": 80, "nodePort": 80}]))
    assert "The range of valid ports is 30000-32767" in low.json()["message"]


async def test_address_and_ports_survive_updates(http: httpx.AsyncClient) -> None:
    made = await create(http, "kept", type="NodePort")
    replaced = await http.put(f"{URL}/kept", json=service("kept", type="NodePort", selector={"c": "d"}))
    assert replaced.status_code == 200, replaced.text
    assert replaced.json()["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    assert replaced.json()["spec"]["ports"] == made["spec"]["ports"]
    moved = await http.patch(
        f"{URL}/kept", headers=MERGE, json={"spec": {"clusterIP": "10.96.9.9", "clusterIPs": None}}
    )
    assert moved.status_code == 422 and "may not change once set" in moved.json()["message"]
    inside = await http.patch(f"{URL}/kept", headers=MERGE, json={"spec": {"type": "ClusterIP"}})
    assert inside.status_code == 200, inside.text
    assert "nodePort" not in inside.json()["spec"]["ports"][0]


async def test_headless_and_external_services_have_no_address(http: httpx.AsyncClient) -> None:
    headless = await create(http, "headless", clusterIP="None")
    assert headless["spec"]["clusterIPs"] == ["None"]
    external = await create(http, "external", type="ExternalName", externalName="example.com", ports=[])
    assert "clusterIP" not in external["spec"]
    nameless = await http.post(URL, json=service("nameless", type="ExternalName"))
    assert "spec.externalName: Required value" in nameless.json()["message"]


@pytest.mark.parametrize(
    ("name", "spec", "words"),
    [
        ("1st", {}, "a DNS-1035 label must consist of"),
        ("no-ports", {"ports": []}, "spec.ports: Required value"),
        ("two", {"ports": [{"port": 1}, {"port": 2}]}, "spec.ports[0].name: Required value"),
        ("big", {"ports": [{"port": 70000}]}, "must be between 1 and 65535, inclusive"),
        ("odd", {"type": "Odd"}, 'spec.type: Unsupported value: "Odd"'),
    ],
)
async def test_refusals(http: httpx.AsyncClient, name: str, spec: dict[str, Any], words: str) -> None:
    refused = await http.post(URL, json=service(name, **spec))
    assert refused.status_code == 422 and words in refused.json()["message"]


async def test_small_range_runs_full_and_frees_again() -> None:
    async with running_server(service_cidr="10.200.0.0/29") as server, server.http() as http:
        made = [await http.post(URL, json=service(f"s{number}")) for number in range(6)]
        assert [answer.status_code for answer in made] == [201] * 5 + [500]
        assert "range is full" in made[-1].json()["message"]
        await http.delete(f"{URL}/s0")
        assert (await http.post(URL, json=service("again"))).status_code == 201


async def test_what_the_last_finalizers_removal_asked_for_is_free_again(http: httpx.AsyncClient) -> None:
    """A change that ends an object takes nothing, whatever else it says."""
    await http.post(
        URL, json={**service("final", type="NodePort"), "metadata": {"name": "final", "finalizers": ["a.b/c"]}}
    )
    assert (await http.delete(f"{URL}/final")).status_code == 200
    number = await free_port(http)
    ports = [{"port": 80, "name": "first"}, {"port": 81, "name": "more", "nodePort": number}]
    last = await http.patch(
        f"{URL}/final", headers=MERGE, json={"metadata": {"finalizers": []}, "spec": {"ports": ports}}
    )
    assert last.status_code == 200, last.text
    assert (await http.get(f"{URL}/final")).status_code == 404
    await create(http, "heir", type="NodePort", ports=[{"port": 80, "nodePort": number}])


async def test_a_port_takes_the_number_that_another_protocol_asks_for(http: httpx.AsyncClient) -> None:
    number = await free_port(http)
    ports = [{"name": "u", "port": 53, "protocol": "UDP"}, {"name": "t", "port": 53, "nodePort": number}]
    made = await create(http, "names", type="NodePort", ports=ports)
    assert [port["nodePort"] for port in made["spec"]["ports"]] == [number, number]


async def test_a_health_check_shares_its_port_with_nobody(http: httpx.AsyncClient) -> None:
    port = await free_port(http)
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": port}
    refused = await http.post(URL, json=service("shared", **spec, ports=[{"port": 80, "nodePort": port}]))
    assert refused.status_code == 422 and "provided port is already allocated" in refused.json()["message"]
    await create(http, "apart", **spec)


async def test_a_cluster_of_both_families() -> None:
    async with running_server(service_cidr="10.200.0.0/24,fd00:96::/112") as server, server.http() as http:
        one = await create(http, "one")
        assert (one["spec"]["ipFamilyPolicy"], one["spec"]["ipFamilies"]) == ("SingleStack", ["IPv4"])
        both = await create(http, "both", ipFamilyPolicy="PreferDualStack", ipFamilies=["IPv6"])
        assert both["spec"]["ipFamilies"] == ["IPv6", "IPv4"]
        assert [":" in address for address in both["spec"]["clusterIPs"]] == [True, False]
        addresses = "/apis/networking.k8s.io/v1/ipaddresses"
        for address in both["spec"]["clusterIPs"]:
            record = (await http.get(f"{addresses}/{address}")).json()
            assert record["spec"]["parentRef"]["name"] == "both"
        upgraded = await http.patch(f"{URL}/one", headers=MERGE, json={"spec": {"ipFamilyPolicy": "RequireDualStack"}})
        spec = upgraded.json()["spec"]
        assert spec["ipFamilies"] == ["IPv4", "IPv6"] and spec["clusterIP"] == one["spec"]["clusterIP"]
        second = spec["clusterIPs"][1]
        single = await http.patch(f"{URL}/one", headers=MERGE, json={"spec": {"ipFamilyPolicy": "SingleStack"}})
        assert single.json()["spec"]["clusterIPs"] == [one["spec"]["clusterIP"]]
        assert (await http.get(f"{addresses}/{second}")).status_code == 404
        taken = await create(http, "taken", clusterIP=second)
        assert taken["spec"]["ipFamilies"] == ["IPv6"]
        own = (await http.get("/apis/networking.k8s.io/v1/servicecidrs/kubernetes")).json()
        assert own["spec"]["cidrs"] == ["10.200.0.0/24", "fd00:96::/112"]


async def test_a_service_cidr_adds_to_a_range_that_is_full() -> None:
    async with running_server(service_cidr="10.200.0.0/29") as server, server.http() as http:
        for number in range(5):
            await create(http, f"s{number}")
        url = "/apis/networking.k8s.io/v1/servicecidrs"
        body = {"metadata": {"name": "more"}, "spec": {"cidrs": ["10.201.0.0/24"]}}
        assert (await http.post(url, json=body)).status_code == 201
        assert (await http.post(URL, json=service("early"))).status_code == 500
        ready = {"type": "Ready", "status": "True", "reason": "", "message": "", "lastTransitionTime": None}
        ready["lastTransitionTime"] = "2026-01-01T00:00:00Z"
        status = {"status": {"conditions": [ready]}}
        assert (await http.patch(f"{url}/more/status", headers=MERGE, json=status)).status_code == 200
        made = await create(http, "more")
        assert made["spec"]["clusterIP"].startswith("10.201.0.")
        wanted = await create(http, "wanted", clusterIP="10.201.0.77")
        assert wanted["spec"]["clusterIP"] == "10.201.0.77"
