from __future__ import annotations

from k8slite.kinds.resources import ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES

SELECTOR = {"app": "web"}


def service(name="web", *, selector=None, ports=None, **spec):
    ports = ports or [{"name": "http", "port": 80, "targetPort": 8080}]
    chosen = {"selector": selector} if selector else {}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": {"team": "a"}}}
    return body | {"spec": {"ports": ports, **chosen, **spec}}


def pod(name, *, port=8080, labels=SELECTOR):
    container = {"name": "c", "image": "web:1", "ports": [{"name": "web", "containerPort": port}]}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


async def slices_of(cluster, name):
    return [s for s in await cluster.list(ENDPOINT_SLICES) if s.service_name == name]


async def test_services_get_endpoints_and_slices_for_their_pods_with_numbers_and_names_of_ports(cluster):
    client = cluster.client
    for name, port in (("p1", 8080), ("p2", 9090)):
        await client.create(PODS, pod(name, port=port), namespace="default")
    named = [{"name": "http", "port": 80, "targetPort": "web", "appProtocol": "http"}]
    await client.create(SERVICES, service("numbers", selector=SELECTOR), namespace="default")
    await client.create(SERVICES, service("names", selector=SELECTOR, ports=named), namespace="default")

    async def filled(name, shape):
        slices = await slices_of(cluster, name)
        endpoints = await cluster.get(ENDPOINTS, name)
        seen = {(s.ports[0].port, e.target_ref.name) for s in slices for e in s.endpoints if e.conditions.ready}
        older = {
            (s.ports[0].port, a.target_ref.name) for s in (endpoints.subsets if endpoints else ()) for a in s.addresses
        }
        return (slices, endpoints) if seen == older == shape else None

    slices, endpoints = await cluster.until(lambda: filled("numbers", {(8080, "p1"), (8080, "p2")}))
    [only] = slices
    assert only.metadata.labels["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
    assert endpoints.metadata.labels["endpoints.kubernetes.io/managed-by"] == "endpoint-controller"
    assert only.metadata.labels["team"] == endpoints.metadata.labels["team"] == "a"
    assert {e.node_name for e in only.endpoints} == {"n1"}
    assert "endpoints.kubernetes.io/last-change-trigger-time" in only.metadata.annotations
    slices, _ = await cluster.until(lambda: filled("names", {(8080, "p1"), (9090, "p2")}))
    assert {s.ports[0].app_protocol for s in slices} == {"http"}
    # A slice that somebody deletes or spoils is made again.
    await client.delete(ENDPOINT_SLICES, only.name, namespace="default")
    await cluster.until(lambda: filled("numbers", {(8080, "p1"), (8080, "p2")}))
    await client.delete(PODS, "p1", namespace="default", grace_period=0)
    await cluster.until(lambda: filled("numbers", {(8080, "p2")}))


async def test_hand_made_endpoints_are_mirrored_until_the_service_gets_a_selector(cluster):
    client = cluster.client
    await client.create(SERVICES, service("by-hand"), namespace="default")

    def body(*ips):
        ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
        subsets = [{"addresses": [{"ip": ip} for ip in ips], "ports": ports}]
        return {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "by-hand"}, "subsets": subsets}

    async def mirrored(*ips):
        slices = await slices_of(cluster, "by-hand")
        managers = {s.metadata.labels["endpointslice.kubernetes.io/managed-by"] for s in slices}
        seen = {a for s in slices for e in s.endpoints for a in e.addresses}
        by_us = managers <= {"endpointslicemirroring-controller.k8s.io"}
        return slices or True if by_us and seen == set(ips) and bool(slices) == bool(ips) else None

    await client.create(ENDPOINTS, body("10.1.2.3"), namespace="default")
    [only] = await cluster.until(lambda: mirrored("10.1.2.3"))
    assert only.metadata.owner_references[0].kind == "Endpoints"
    await client.patch(ENDPOINTS, "by-hand", body("10.1.2.4", "10.1.2.5"), namespace="default")
    [same] = await cluster.until(lambda: mirrored("10.1.2.4", "10.1.2.5"))
    assert same.uid == only.uid
    await client.delete(ENDPOINTS, "by-hand", namespace="default")
    await cluster.until(mirrored)
    await client.create(ENDPOINTS, body("10.1.2.3"), namespace="default")
    await cluster.until(lambda: mirrored("10.1.2.3"))
    label = {"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}}
    await client.patch(ENDPOINTS, "by-hand", label, namespace="default")
    await cluster.until(mirrored)
    label["metadata"]["labels"] = dict.fromkeys(label["metadata"]["labels"])
    await client.patch(ENDPOINTS, "by-hand", label, namespace="default")
    await cluster.until(lambda: mirrored("10.1.2.3"))
    await client.patch(SERVICES, "by-hand", {"spec": {"selector": {"app": "none"}}}, namespace="default")

    async def others():
        slices = await slices_of(cluster, "by-hand")
        managers = {s.metadata.labels["endpointslice.kubernetes.io/managed-by"] for s in slices}
        return managers == {"endpointslice-controller.k8s.io"} and not any(s.endpoints for s in slices)

    await cluster.until(others)


async def test_what_a_user_made_by_hand_goes_with_its_service_and_foreign_slices_stay(cluster):
    client = cluster.client
    await client.create(SERVICES, service("by-hand"), namespace="default")
    endpoints = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "by-hand"}}
    await client.create(ENDPOINTS, endpoints | {"subsets": []}, namespace="default")
    labels = {"kubernetes.io/service-name": "by-hand", "endpointslice.kubernetes.io/managed-by": "somebody"}
    foreign = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "foreign", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.9.9.9"]}],
    }
    await client.create(ENDPOINT_SLICES, foreign, namespace="default")
    await client.delete(SERVICES, "by-hand", namespace="default")

    async def gone():
        return await cluster.get(ENDPOINTS, "by-hand") is None

    await cluster.until(gone)
    assert [s.name for s in await slices_of(cluster, "by-hand")] == ["foreign"]
