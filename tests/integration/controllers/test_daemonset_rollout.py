"""Updates of DaemonSets over a real server, scheduler and controllers with simulated nodes."""

from __future__ import annotations

from pathlib import Path

from k8slite.kinds.resources import CONTROLLER_REVISIONS, DAEMON_SETS, PODS
from k8slite.testing.kubectl import Kubectl

from .daemonsets import (
    HASH,
    UPDATED,
    change,
    daemonset,
    make,
    on_nodes,
    pods,
    revisions,
    rolling,
    seen,
    shows,
    updated,
    version,
)
from .simulated import SimulatedCluster, simulated_cluster

BROKEN = {
    "pods": [
        {
            "name": "broken",
            "match": {"selector": "version=broken", "state": "Pending"},
            "next": {"state": "ImagePullBackOff"},
        },
        {"name": "stuck", "match": {"selector": "version=broken"}, "delay": 600, "next": {"state": "Running"}},
    ]
}


async def at_least(cluster: SimulatedCluster, count: int, selector: str) -> None:
    async def look() -> bool:
        return len(await pods(cluster, selector)) >= count

    await cluster.until(look)


async def test_an_update_goes_on_after_the_manager_was_killed_and_keeps_its_limit(tmp_path: Path) -> None:
    async with simulated_cluster(tmp_path, nodes=6) as cluster:
        await make(cluster, daemonset(**rolling(maxUnavailable="33%")))
        await updated(cluster, 6)
        async with seen(cluster.client) as known:
            known.mark()
            await change(cluster, version("v2"))
            await at_least(cluster, 2, UPDATED)
            await cluster.restart_manager()
            await updated(cluster, 6)
            names = [f"sim-{number}" for number in range(6)]
            assert await on_nodes(cluster, UPDATED) == names
            assert known.least is not None and known.least >= 4
            assert known.most == 1
            assert len(known.made) == 12, "six old ones, six new ones"
        history = await revisions(cluster)
        assert [one.revision for one in history] == [1, 2]
        assert {pod.metadata.labels[HASH] for pod in await pods(cluster)} == {history[1].metadata.labels[HASH]}
        assert history[1].name == f"agent-{history[1].metadata.labels[HASH]}"


async def test_with_surge_no_node_is_without_a_pod(tmp_path: Path) -> None:
    async with simulated_cluster(tmp_path, nodes=6) as cluster:
        await make(cluster, daemonset(minReadySeconds=1, **rolling(maxSurge=2, maxUnavailable=0)))
        await updated(cluster, 6)
        async with seen(cluster.client) as known:
            known.mark()
            await change(cluster, version("v2"))
            await at_least(cluster, 1, UPDATED)
            await cluster.restart_manager()
            await updated(cluster, 6)

            async def alone() -> bool:
                return len(await pods(cluster)) == 6

            await cluster.until(alone)
            assert known.least == 6
            assert (known.most, known.extra) == (2, 2)
            assert len(known.made) == 12


async def test_a_rollback_restarts_nobody_who_was_not_updated(tmp_path: Path) -> None:
    async with simulated_cluster(tmp_path, nodes=4, stages=BROKEN) as cluster:
        kubectl = Kubectl(cluster.server)
        await make(cluster, daemonset(**rolling(maxUnavailable=1)))
        await updated(cluster, 4)
        before = {pod.uid for pod in await pods(cluster)}
        await change(cluster, version("broken"))
        await at_least(cluster, 1, "version=broken")
        await shows(cluster, updated_number_scheduled=1, number_unavailable=1)
        waits = await kubectl("rollout", "status", "ds/agent", "--timeout=1s")
        assert "1 out of 4 new pods have been updated" in waits.out
        listed = await kubectl("rollout", "history", "ds/agent")
        assert [line.split()[0] for line in listed.out.splitlines()[2:]] == ["1", "2"]
        row = (await kubectl("get", "ds", "agent", "--no-headers")).out.split()
        assert row[:7] == ["agent", "4", "4", "3", "1", "3", "<none>"]
        undone = await kubectl("rollout", "undo", "ds/agent")
        assert undone.out == "daemonset.apps/agent rolled back", undone.err
        await updated(cluster, 4)
        status = await kubectl("rollout", "status", "ds/agent", "--timeout=20s")
        assert (status.code, status.out.splitlines()[-1]) == (0, 'daemon set "agent" successfully rolled out')
        after = {pod.uid for pod in await pods(cluster)}
        assert len(before & after) == 3
        assert [(one.revision, one.metadata.labels["version"]) for one in await revisions(cluster)] == [
            (2, "broken"),
            (3, "v1"),
        ]
        shown = await kubectl("rollout", "history", "ds/agent", "--revision=2")
        assert "version=broken" in shown.out


async def test_on_delete_updates_whom_somebody_deletes(tmp_path: Path) -> None:
    async with simulated_cluster(tmp_path, nodes=2) as cluster:
        await make(cluster, daemonset(updateStrategy={"type": "OnDelete"}))
        await updated(cluster, 2)
        await change(cluster, version("v2"))
        await shows(cluster, updated_number_scheduled=0, number_available=2)
        old = next(pod for pod in await pods(cluster) if pod.spec.node_name == "sim-1")
        await cluster.client.delete(PODS, old.name, namespace="default")
        await shows(cluster, updated_number_scheduled=1, number_available=2)
        assert await on_nodes(cluster, UPDATED) == ["sim-1"]


async def test_history_is_kept_short_and_equal_revisions_become_one(tmp_path: Path) -> None:
    async with simulated_cluster(tmp_path, nodes=2) as cluster:
        client = cluster.client
        await make(cluster, daemonset(revisionHistoryLimit=1))
        await updated(cluster, 2)
        for name in ("v2", "v3"):
            await change(cluster, version(name))
            await updated(cluster, 2)

        async def two() -> bool:
            return [one.metadata.labels["version"] for one in await revisions(cluster)] == ["v2", "v3"]

        await cluster.until(two)
        before = {pod.uid for pod in await pods(cluster)}
        current = (await revisions(cluster))[1]
        raw = await client.request("GET", CONTROLLER_REVISIONS.path(namespace="default", name=current.name))
        labels = raw["metadata"]["labels"] | {HASH: "twin"}
        twin = {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": "agent-twin",
                "labels": labels,
                "ownerReferences": raw["metadata"]["ownerReferences"],
            },
            "data": raw["data"],
            "revision": 9,
        }
        await client.create(CONTROLLER_REVISIONS, twin, namespace="default")
        await change(cluster, {"spec": {"minReadySeconds": 1}})

        async def one() -> bool:
            return [one.name for one in await revisions(cluster)][1:] == ["agent-twin"]

        await cluster.until(one)
        await updated(cluster, 2)
        found = await pods(cluster)
        assert {pod.uid for pod in found} == before, "nobody is restarted for it"
        assert {pod.metadata.labels[HASH] for pod in found} == {"twin"}


async def test_a_name_that_others_have_is_not_fought_for(tmp_path: Path) -> None:
    async with simulated_cluster(tmp_path, nodes=1) as cluster:
        client = cluster.client
        await make(cluster, daemonset())
        await updated(cluster, 1)
        mine = (await revisions(cluster))[0]
        await client.delete(DAEMON_SETS, "agent", namespace="default", propagation="Foreground")

        async def nothing() -> bool:
            return not await cluster.list(DAEMON_SETS) and not await cluster.list(CONTROLLER_REVISIONS)

        await cluster.until(nothing)
        alien = {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {"name": mine.name},
            "data": {"spec": {}},
            "revision": 1,
        }
        await client.create(CONTROLLER_REVISIONS, alien, namespace="default")
        await make(cluster, daemonset())
        found = await updated(cluster, 1)
        assert found.status.collision_count == 1
        assert len(await cluster.list(CONTROLLER_REVISIONS)) == 2
