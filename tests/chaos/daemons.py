"""A DaemonSet for a controller manager that dies while it updates it."""

from __future__ import annotations

from k8slite.kinds.resources import CONTROLLER_REVISIONS, DAEMON_SETS

from .pieces import Cluster, make_namespace, template_of


async def daemons(cluster: Cluster, name: str) -> None:
    """A DaemonSet and its second template: one pod of each for every node, and two at a time where surge allows it."""
    ns, client, nodes = f"a-piece-{name}", cluster.client, cluster.nodes
    await make_namespace(cluster, ns)
    limit = "maxSurge" if cluster.chance.random() < 0.5 else "maxUnavailable"
    rolling = {"maxSurge": 0, "maxUnavailable": 0} | {limit: "25%"}
    labels = {"app": "agent"}
    spec = {
        "selector": {"matchLabels": labels},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
        "template": template_of(labels, command="serve"),
    }
    await client.create(DAEMON_SETS, {"metadata": {"name": "agent"}, "spec": spec}, namespace=ns)

    async def done() -> bool:
        found = await client.get(DAEMON_SETS, "agent", namespace=ns)
        status = found.status
        numbers = {status.desired_number_scheduled, status.updated_number_scheduled, status.number_available}
        return status.observed_generation == found.metadata.generation and numbers == {nodes}

    await cluster.until(done)
    change = {"spec": {"template": {"metadata": {"labels": {"app": "agent", "template": "second"}}}}}
    await client.patch(DAEMON_SETS, "agent", change, namespace=ns)
    await cluster.until(done)
    seen = cluster.pods[ns]
    await cluster.shows(lambda: len(seen.living) == nodes)
    assert all(pod.metadata.labels.get("template") == "second" for pod in seen.living.values())
    assert len({pod.spec.node_name for pod in seen.living.values()}) == nodes
    assert len(seen.made) == 2 * nodes, "no pod was made that was not needed"
    assert seen.most <= nodes + (-(-nodes // 4) if limit == "maxSurge" else 0)
    assert len((await client.list(CONTROLLER_REVISIONS, namespace=ns)).items) == 2
    await client.delete(DAEMON_SETS, "agent", namespace=ns, propagation="Foreground")
    await cluster.shows(lambda: not seen.living)
    await cluster.remove(ns)
