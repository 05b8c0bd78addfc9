import asyncio

import pytest

from k8slite.client import Fenced
from k8slite.clock import SystemClock
from k8slite.config import LeaderElectionConfig
from k8slite.errors import service_unavailable
from k8slite.kinds.resources import LEASES
from k8slite.leader import LeadershipLost, lead

from .conftest import eventually

KEY = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/test"
FAST = LeaderElectionConfig(lease_duration=1, renew_deadline=0.3, retry_period=0.05)


def candidate(client, identity, acting, config=FAST):
    async def work():
        acting.append(identity)
        try:
            await asyncio.Event().wait()
        finally:
            acting.remove(identity)

    return asyncio.create_task(
        lead(client, name="test", identity=identity, config=config, clock=SystemClock(), work=work)
    )


async def test_one_leads_and_a_released_lease_passes_on_at_once(api, client):
    acting = []
    first = candidate(client, "one", acting)
    await eventually(lambda: acting == ["one"])
    second = candidate(client, "two", acting)
    await eventually(lambda: len(api.requests) > 6)
    assert acting == ["one"]
    first.cancel()
    await eventually(lambda: acting == ["two"])
    assert api.objects[KEY]["spec"]["leaseTransitions"] == 1
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert api.objects[KEY]["spec"]["holderIdentity"] == ""


async def test_a_stolen_lease_stops_the_work(api, client):
    acting = []
    task = candidate(client, "one", acting)
    await eventually(lambda: acting)
    lease = api.objects[KEY]
    await api.put(KEY, spec=lease["spec"] | {"holderIdentity": "thief"})
    with pytest.raises(LeadershipLost):
        await task
    assert acting == []
    assert api.objects[KEY]["spec"]["holderIdentity"] == "thief"


async def test_a_lease_that_cannot_be_renewed_is_given_up_before_it_expires(api, client):
    acting = []
    task = candidate(client, "one", acting)
    await eventually(lambda: acting)
    api.fail_next = [service_unavailable("away")] * 1000
    with pytest.raises(LeadershipLost):
        await task
    assert acting == []
    api.fail_next.clear()


async def test_an_expired_lease_is_taken_over(api, client):
    acting = []
    await api.put(KEY, spec={"holderIdentity": "dead", "leaseDurationSeconds": 1, "leaseTransitions": 4})
    task = candidate(client, "one", acting)
    await eventually(lambda: acting == ["one"])
    assert api.objects[KEY]["spec"]["leaseTransitions"] == 5
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_disabled_election_just_works(client):
    async def work():
        return None

    await lead(
        client, name="x", identity="i", config=LeaderElectionConfig(enabled=False), clock=SystemClock(), work=work
    )


class Stopped(SystemClock):
    """A process that was stopped: when it wakes up, much time has passed at once."""

    behind = 0.0

    def monotonic(self):
        return super().monotonic() + self.behind


async def test_who_was_stopped_for_too_long_writes_nothing_any_more(api, client):
    clock = Stopped()
    started, outcome = asyncio.Event(), []

    async def work():
        await client.create(LEASES, {"metadata": {"name": "mine"}}, namespace="default")
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            try:
                await client.create(LEASES, {"metadata": {"name": "late"}}, namespace="default")
            except Fenced as error:
                outcome.append(error)

    task = asyncio.create_task(lead(client, name="test", identity="one", config=FAST, clock=clock, work=work))
    await started.wait()
    clock.behind = 30.0
    with pytest.raises(Fenced):
        await client.delete(LEASES, "mine", namespace="default")
    with pytest.raises(LeadershipLost):
        await task
    assert outcome
    assert [key.rpartition("/")[2] for key in api.objects] == ["test", "mine"]


async def test_a_lease_that_somebody_deleted_is_made_anew(api, client):
    acting = []
    task = candidate(client, "one", acting)
    await eventually(lambda: acting)
    await api.remove(KEY)
    await eventually(lambda: KEY in api.objects)
    assert acting == ["one"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
