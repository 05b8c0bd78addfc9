"""Load balancers' addresses: tables for the plan, and random histories over an API that fails and forgets."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.clock import VirtualClock
from k8slite.config import ConfigError
from k8slite.controller import TryAgain
from k8slite.controllers.serviceloadbalancer.plan import FINALIZER, give, needs_cleanup, wanted
from k8slite.controllers.serviceloadbalancer.sync import LoadBalancerSync, parse
from k8slite.errors import ApiError, conflict
from k8slite.kinds.core import Service
from k8slite.kinds.resources import SERVICES

POOLS = ["172.31.0.0/29", "fd00::/126"]


def body(name="web", *, created=0, ips=(), finalizers=(), deleting=False, **spec) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "creationTimestamp": f"2026-01-01T00:{created // 60:02d}:{created % 60:02d}Z",
        "finalizers": list(finalizers),
    }
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T01:00:00Z"
    return {
        "metadata": metadata,
        "spec": {"type": "LoadBalancer", "ipFamilies": ["IPv4"]} | spec,
        "status": {"loadBalancer": {"ingress": [{"ip": ip, "ipMode": "VIP"} for ip in ips]}},
    }


def service(*args, **fields) -> Service:
    return Service.model_validate(body(*args, **fields))


def test_pools_leave_out_what_is_no_host():
    pools = parse(["10.0.0.0/30", "10.1.0.0/32"])
    given_ = [give(service(str(n)), pools).addresses for n in range(1)]
    assert given_ == [("10.0.0.1",)]
    assert "10.0.0.0" not in pools and "10.0.0.3" not in pools and "10.1.0.0" in pools and "nonsense" not in pools
    with pytest.raises(ConfigError, match="loadBalancerPools"):
        parse(["10.0.0.1/8"])


def test_one_address_for_each_family():
    pools = parse(POOLS)
    assert give(service(ipFamilies=["IPv6", "IPv4"]), pools).addresses == ("fd00::1", "172.31.0.1")
    only = parse(POOLS[:1])
    assert give(service(ipFamilies=["IPv4", "IPv6"], ipFamilyPolicy="PreferDualStack"), only).addresses == (
        "172.31.0.1",
    )
    required = give(service(ipFamilies=["IPv4", "IPv6"], ipFamilyPolicy="RequireDualStack"), only)
    assert required.addresses == () and required.problem == "no IPv6 address is free"


def test_what_a_service_has_it_keeps_unless_an_older_one_says_the_same():
    pools = parse(POOLS)
    mine, older = service("mine", created=5, ips=["172.31.0.4"]), service("older", created=1, ips=["172.31.0.4"])
    pools.observe(None, mine)
    assert give(mine, pools).addresses == ("172.31.0.4",)
    assert pools.observe(None, older).rivals == {"default/mine"}
    assert give(mine, pools).addresses == ("172.31.0.1",)
    assert give(older, pools).addresses == ("172.31.0.4",)
    effect = pools.observe(older, None)
    assert effect.freed and effect.rivals == {"default/mine"}
    assert give(service(ips=["192.0.2.1"]), pools).addresses == ("172.31.0.2",)


@pytest.mark.parametrize(
    ("asked", "outcome"),
    [
        ("172.31.0.5", "172.31.0.5"),
        ("172.31.0.4", "loadBalancerIP 172.31.0.4 is another Service's"),
        ("192.0.2.1", "loadBalancerIP 192.0.2.1 is not in a pool"),
        ("nonsense", "loadBalancerIP nonsense is not an IP address"),
        ("fd00::1", "loadBalancerIP fd00::1 is of a family that the Service has not"),
    ],
)
def test_the_address_that_is_asked_for(asked, outcome):
    pools = parse(POOLS)
    pools.observe(None, service("other", ips=["172.31.0.4"]))
    decided = give(service(loadBalancerIP=asked), pools)
    assert (decided.addresses or (decided.problem,)) == (outcome,)


def test_whose_services_are_ours():
    assert wanted(service()) and wanted(service(loadBalancerClass="k8slite.io/pool"))
    assert not wanted(service(loadBalancerClass="example.com/other")) and not wanted(service(type="ClusterIP"))
    assert needs_cleanup(service(type="ClusterIP", finalizers=[FINALIZER]))
    assert needs_cleanup(service(finalizers=[FINALIZER], deleting=True))
    assert not needs_cleanup(service(finalizers=[FINALIZER]))
    assert not needs_cleanup(service(finalizers=[FINALIZER], deleting=True, loadBalancerClass="example.com/other"))


class Lost(OSError):
    """The answer never came."""


class Api:
    """Services, as an API server keeps them; a write may be refused, or its answer be lost."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.revision = itertools.count(2)
        self.events: list[tuple[str, dict[str, Any] | None]] = []
        self.faults: list[str] = []
        self.handed_out: Counter[str] = Counter()

    def put(self, document: dict[str, Any]) -> None:
        document["metadata"]["resourceVersion"] = str(next(self.revision))
        name = document["metadata"]["name"]
        gone = "deletionTimestamp" in document["metadata"] and not document["metadata"].get("finalizers")
        if gone:
            self.objects.pop(name, None)
        else:
            self.objects[name] = document
        self.events.append((name, None if gone else copy.deepcopy(document)))

    def delete(self, name: str) -> None:
        document = copy.deepcopy(self.objects[name])
        document["metadata"]["deletionTimestamp"] = "2026-01-01T01:00:00Z"
        self.put(document)

    async def patch(self, resource, name, body, *, namespace, subresource=""):
        fault = self.faults.pop() if self.faults else ""
        if fault == "refused":
            raise ApiError(503, "ServiceUnavailable", "not now")
        found = copy.deepcopy(self.objects.get(name))
        if found is None:
            raise ApiError(404, "NotFound", "gone")
        metadata = body["metadata"]
        if metadata["uid"] != found["metadata"]["uid"]:
            raise conflict("services", name, "another")
        if metadata["resourceVersion"] != found["metadata"]["resourceVersion"]:
            raise conflict("services", name, "changed")
        if subresource == "status":
            found["status"] = {"loadBalancer": {"ingress": body["status"]["loadBalancer"]["ingress"] or []}}
        else:
            found["metadata"]["finalizers"] = metadata["finalizers"] or []
        self.put(found)
        self.check()
        if fault == "lost":
            raise Lost
        return Service.model_validate(found)

    def check(self) -> None:
        """At no time do two Services say the same address."""
        said = Counter(
            entry["ip"] for found in self.objects.values() for entry in found["status"]["loadBalancer"]["ingress"]
        )
        assert all(count == 1 for count in said.values()), said


class Cache:
    """An informer that is behind until somebody waits for it."""

    resource = SERVICES
    lists = 0

    def __init__(self, api: Api) -> None:
        self.api = api
        self.cache = {name: Service.model_validate(found) for name, found in api.objects.items()}
        self.seen = len(api.events)
        self.handlers: list[Any] = []

    def add_handler(self, handler) -> None:
        self.handlers.append(handler)
        for found in self.cache.values():
            handler(None, found)

    def get(self, key):
        return self.cache.get(key.partition("/")[2])

    def deliver(self) -> None:
        while self.seen < len(self.api.events):
            name, document = self.api.events[self.seen]
            self.seen += 1
            old = self.cache.pop(name, None)
            new = Service.model_validate(document) if document else None
            if new is not None:
                self.cache[name] = new
            for handler in self.handlers:
                handler(old, new)

    async def wait_for_revision(self, key, revision, **_):
        self.deliver()
        return True


class Manager:
    """The controller over that API, as a new process has it."""

    def __init__(self, api: Api, pools: list[str]) -> None:
        self.client = api
        self.cache = Cache(api)
        self.clock = VirtualClock()
        self.said: list[str] = []
        self.sync = LoadBalancerSync(self, parse(pools))  # type: ignore[arg-type]

    @property
    def informers(self):
        return self

    def of(self, resource):
        return self.cache

    def say(self, component, about, reason, message, *, type="Normal") -> None:
        self.said.append(reason)

    async def turn(self) -> bool:
        """Work on what is queued until nothing is."""
        queue = self.sync.controller.queue
        for _ in range(500):
            if not len(queue):
                return True
            key = await queue.get()
            try:
                await self.sync.sync(key)
            except (ApiError, OSError, TryAgain):
                queue.done(key)
                queue.add(key)
            else:
                queue.done(key)
        return False


async def settled(api: Api, manager: Manager) -> None:
    while manager.cache.seen < len(api.events) or len(manager.sync.controller.queue):
        manager.cache.deliver()
        assert await manager.turn()


def addresses(api: Api) -> dict[str, list[str]]:
    return {name: [e["ip"] for e in found["status"]["loadBalancer"]["ingress"]] for name, found in api.objects.items()}


async def test_a_service_gets_an_address_and_gives_it_back():
    api = Api()
    manager = Manager(api, POOLS)
    api.put(body())
    await settled(api, manager)
    assert addresses(api) == {"web": ["172.31.0.1"]}
    assert api.objects["web"]["metadata"]["finalizers"] == [FINALIZER]
    changed = copy.deepcopy(api.objects["web"])
    changed["spec"]["type"] = "NodePort"
    api.put(changed)
    await settled(api, manager)
    assert addresses(api) == {"web": []} and not api.objects["web"]["metadata"]["finalizers"]
    assert manager.said == [
        "EnsuringLoadBalancer",
        "EnsuredLoadBalancer",
        "DeletingLoadBalancer",
        "DeletedLoadBalancer",
    ]


async def test_who_comes_too_late_waits_until_an_address_is_free():
    api = Api()
    manager = Manager(api, ["10.0.0.1/32"])
    for name in ("a", "b"):
        api.put(body(name))
        await settled(api, manager)
    assert addresses(api) == {"a": ["10.0.0.1"], "b": []}
    assert manager.said.count("SyncLoadBalancerFailed") == 1
    api.delete("a")
    await settled(api, manager)
    assert addresses(api) == {"b": ["10.0.0.1"]}


async def test_a_dozen_services_of_a_pool_of_six():
    api = Api()
    manager = Manager(api, POOLS)
    for number in range(12):
        api.put(body(f"s{number}", created=number))
    await settled(api, manager)
    assert sum(bool(found) for found in addresses(api).values()) == 6
    again = Manager(api, POOLS)
    before = addresses(api)
    await settled(api, again)
    assert addresses(api) == before


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.integers(0, 9), st.sampled_from(["", "172.31.0.2", "172.31.0.3"])),
        st.tuples(st.just("delete"), st.integers(0, 9), st.just("")),
        st.tuples(st.just("type"), st.integers(0, 9), st.sampled_from(["ClusterIP", "LoadBalancer"])),
        st.tuples(st.just("asks"), st.integers(0, 9), st.sampled_from(["", "172.31.0.2"])),
        st.tuples(st.just("turn"), st.just(0), st.just("")),
        st.tuples(st.just("deliver"), st.just(0), st.just("")),
        st.tuples(st.just("crash"), st.just(0), st.just("")),
        st.tuples(st.just("fault"), st.just(0), st.sampled_from(["refused", "lost"])),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(_STEPS)
def test_no_address_is_ever_given_twice_and_in_the_end_all_have_one_who_can(steps):
    asyncio.run(history(steps))


async def history(steps: list[tuple[str, int, str]]) -> None:
    api = Api()
    manager = Manager(api, POOLS)
    for turn, (what, number, more) in enumerate(steps):
        name = f"s{number}"
        if what == "create" and name not in api.objects:
            made = body(name, created=turn, ipFamilies=["IPv4", "IPv6"][: 1 + number % 2], loadBalancerIP=more)
            made["spec"]["ipFamilyPolicy"] = "PreferDualStack"
            made["metadata"]["uid"] = f"{name}-{turn}"
            api.put(made)
        elif what == "delete" and name in api.objects:
            api.delete(name)
        elif what in ("type", "asks") and name in api.objects:
            changed = copy.deepcopy(api.objects[name])
            changed["spec"]["type" if what == "type" else "loadBalancerIP"] = more
            api.put(changed)
        elif what == "turn":
            await manager.turn()
        elif what == "deliver":
            manager.cache.deliver()
        elif what == "crash":
            manager = Manager(api, POOLS)
        elif what == "fault":
            api.faults.append(more)
        api.check()
    api.faults.clear()
    await settled(api, manager)
    await settled(api, Manager(api, POOLS))
    given_to = addresses(api)
    for name, found in api.objects.items():
        spec, has = found["spec"], given_to[name]
        assert "deletionTimestamp" not in found["metadata"]
        if spec["type"] != "LoadBalancer":
            assert not has and not found["metadata"]["finalizers"]
        elif has:
            assert found["metadata"]["finalizers"] == [FINALIZER]
            assert [("IPv6" if ":" in ip else "IPv4") for ip in has] == spec["ipFamilies"][: len(has)]
            assert not spec["loadBalancerIP"] or spec["loadBalancerIP"] in has
    taken = {ip for found in given_to.values() for ip in found}
    free = {"IPv4": 6 - sum(":" not in ip for ip in taken), "IPv6": 3 - sum(":" in ip for ip in taken)}
    for name, found in api.objects.items():
        spec = found["spec"]
        if spec["type"] == "LoadBalancer" and not given_to[name]:
            short = any(not free[family] for family in spec["ipFamilies"])
            assert short or spec["loadBalancerIP"] in taken
