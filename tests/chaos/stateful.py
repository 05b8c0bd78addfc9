"""A StatefulSet for a controller manager that dies while it makes, updates and shrinks it."""

from __future__ import annotations

from k8slite.kinds.resources import CONTROLLER_REVISIONS, STATEFUL_SETS

from .pieces import Cluster, make_namespace, template_of

DOWN = 3


async def stateful(cluster: Cluster, name: str) -> None:
    """Each number is made once of each template, no more of them are down than may be, and nobody stays too long."""
    ns, client, chance = f"a-piece-{name}", cluster.client, cluster.chance
    await make_namespace(cluster, ns)
    labels, replicas = {"app": "db"}, max(cluster.replicas // 10, 6)
    spec = {
        "replicas": replicas,
        "serviceName": "db",
        "selector": {"matchLabels": labels},
        "podManagementPolicy": chance.choice(("OrderedReady", "Parallel")),
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": DOWN}},
        "template": template_of(labels, command="serve"),
    }
    await client.create(STATEFUL_SETS, {"metadata": {"name": "db"}, "spec": spec}, namespace=ns)

    async def done() -> bool:
        found = await client.get(STATEFUL_SETS, "db", namespace=ns)
        status, wanted = found.status, found.spec.replicas
        numbers = {status.updated_replicas, status.available_replicas, status.replicas, status.current_replicas}
        seen = status.observed_generation == found.metadata.generation
        return seen and numbers == {wanted} and status.current_revision == status.update_revision

    await cluster.until(done)
    change = {"spec": {"template": {"metadata": {"labels": {"app": "db", "template": "second"}}}}}
    await client.patch(STATEFUL_SETS, "db", change, namespace=ns)
    await cluster.until(done)
    seen = cluster.pods[ns]
    names = {f"db-{number}" for number in range(replicas)}
    await cluster.shows(lambda: {pod.name for pod in seen.living.values()} == names and len(seen.living) == replicas)
    assert all(pod.metadata.labels.get("template") == "second" for pod in seen.living.values())
    assert len(seen.made) == 2 * replicas, "no pod was made that was not needed"
    assert seen.most <= replicas
    assert len((await client.list(CONTROLLER_REVISIONS, namespace=ns)).items) == 2
    await client.patch(STATEFUL_SETS, "db", {"spec": {"replicas": 2}}, namespace=ns)
    await cluster.until(done)
    await cluster.shows(lambda: {pod.name for pod in seen.living.values()} == {"db-0", "db-1"})
    assert len(seen.made) == 2 * replicas
    await client.delete(STATEFUL_SETS, "db", namespace=ns, propagation="Background")
    await cluster.shows(lambda: not seen.living)
    await cluster.remove(ns)
