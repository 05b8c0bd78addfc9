"""Addresses of Services: load balancers' from pools, and ranges of ClusterIPs that come and go; seen by kubectl."""

from __future__ import annotations

from datetime import timedelta

import pytest

from k8slite.controllers.servicecidrs import plan
from k8slite.errors import ApiError
from k8slite.kinds.resources import EVENTS, IP_ADDRESSES, SERVICE_CIDRS, SERVICES

from .test_kubectl import kubectl
from .test_services import service

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
RANGE_FINALIZER = "networking.k8s.io/service-cidr-finalizer"


@pytest.fixture
def settings():
    return {"service_cidr": "10.200.0.0/28,fd00:96::/112"}


@pytest.fixture
def manager():
    return {"load_balancer_pools": ["172.31.9.0/30", "fd00:31::/126"]}


async def addresses(cluster, name):
    found = await cluster.get(SERVICES, name)
    return [entry.ip for entry in found.status.load_balancer.ingress] if found else None


async def reasons(cluster, name):
    events = await cluster.list(EVENTS)
    return [event.reason for event in events if event.involved_object.name == name]


async def test_load_balancers_get_addresses_and_give_them_back(cluster):
    client = cluster.client

    async def has(name, *wanted):
        return await addresses(cluster, name) == list(wanted)

    await client.create(SERVICES, service("one", type="LoadBalancer"), namespace="default")
    await cluster.until(lambda: has("one", "172.31.9.1"))
    one = await cluster.get(SERVICES, "one")
    assert one.metadata.finalizers == [FINALIZER]
    assert one.status.load_balancer.ingress[0].ip_mode == "VIP"
    assert "172.31.9.1" in await kubectl(cluster, "get", "service", "one")
    dual = service("dual", type="LoadBalancer", ipFamilyPolicy="RequireDualStack", loadBalancerIP="fd00:31::2")
    await client.create(SERVICES, dual, namespace="default")
    await cluster.until(lambda: has("dual", "172.31.9.2", "fd00:31::2"))
    foreign = service("foreign", type="LoadBalancer", loadBalancerClass="example.com/other")
    await client.create(SERVICES, foreign, namespace="default")
    await client.create(SERVICES, service("late", type="LoadBalancer"), namespace="default")

    async def failed():
        return "SyncLoadBalancerFailed" in await reasons(cluster, "late")

    await cluster.until(failed)
    assert await addresses(cluster, "late") == []
    # Another type: the address is free at once, and who waited gets it.
    await kubectl(cluster, "patch", "service", "one", "-p", '{"spec":{"type":"ClusterIP"}}')
    await cluster.until(lambda: has("late", "172.31.9.1"))
    one = await cluster.get(SERVICES, "one")
    assert not one.metadata.finalizers and not one.status.load_balancer.ingress
    await kubectl(cluster, "delete", "service", "late", "dual", "--timeout=15s")
    await client.create(SERVICES, service("again", type="LoadBalancer"), namespace="default")

    async def some():
        return await addresses(cluster, "again")

    assert await cluster.until(some)
    foreign = await cluster.get(SERVICES, "foreign")
    assert not foreign.metadata.finalizers and not foreign.status.load_balancer.ingress

    async def told():
        return {"EnsuringLoadBalancer", "EnsuredLoadBalancer", "DeletingLoadBalancer", "DeletedLoadBalancer"} <= set(
            await reasons(cluster, "late")
        )

    await cluster.until(told)


async def test_ranges_of_cluster_ips_come_and_go(cluster, monkeypatch):
    monkeypatch.setattr(plan, "GRACE", timedelta(seconds=1))
    client = cluster.client

    async def cidr(name, *, ready):
        found = await cluster.get(SERVICE_CIDRS, name)
        stands = found and RANGE_FINALIZER in found.metadata.finalizers
        return found if stands and any(c.status == ready for c in found.status.conditions) else None

    await cluster.until(lambda: cidr("kubernetes", ready="True"))
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "more"},
        "spec": {"cidrs": ["10.201.0.0/28"]},
    }
    await client.create(SERVICE_CIDRS, body)
    await cluster.until(lambda: cidr("more", ready="True"))
    assert "10.201.0.0/28" in await kubectl(cluster, "get", "servicecidrs")
    await client.create(SERVICES, service("there", clusterIP="10.201.0.5"), namespace="default")
    assert "services/default/there" in await kubectl(cluster, "get", "ipaddress", "10.201.0.5")
    address = await client.get(IP_ADDRESSES, "10.201.0.5")
    assert address.metadata.labels["ipaddress.kubernetes.io/managed-by"] == "ipallocator.k8s.io"
    # It stays while a Service has one of its addresses, and gives out no more.
    await client.delete(SERVICE_CIDRS, "more")
    blocked = await cluster.until(lambda: cidr("more", ready="False"))
    assert "There are still IPAddresses referencing the ServiceCIDR" in blocked.status.conditions[0].message
    with pytest.raises(ApiError, match="not in the valid range"):
        await client.create(SERVICES, service("too-late", clusterIP="10.201.0.6"), namespace="default")
    await client.delete(SERVICES, "there", namespace="default")

    async def gone():
        return await cluster.get(SERVICE_CIDRS, "more") is None

    await cluster.until(gone)
