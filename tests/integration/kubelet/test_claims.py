"""Claims on a real node: what a pod writes outlives it, and goes with the claim."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from k8slite.client import Client
from k8slite.clock import SystemClock
from k8slite.config import ControllerManagerConfig, LeaderElectionConfig, SchedulerConfig
from k8slite.controllers.manager import manage
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import EVENTS, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from k8slite.local_volumes import DIRECTORY, FINALIZER
from k8slite.scheduler.main import serve as schedule

from .conftest import NODE, Cluster

CONTROLLERS = [
    "persistentvolume-binder-controller",
    "local-volume-provisioner-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "ephemeral-volume-controller",
    "persistentvolume-expander-controller",
    "statefulset-controller",
    "node-lifecycle-controller",
    "garbage-collector-controller",
]
CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "local"},
    "provisioner": "k8slite.io/local",
    "volumeBindingMode": "WaitForFirstConsumer",
    "allowVolumeExpansion": True,
}
ROOT = Path(__file__).parents[3]


@pytest.fixture
async def stored(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Cluster]:
    """The node, with a scheduler and the controllers of storage."""
    server = cluster.server
    config = ControllerManagerConfig(kubeconfig=tmp_path / "unused", controllers=CONTROLLERS)
    kubeconfig = server.kubeconfig(server.client_config("system:kube-scheduler"))
    scheduling = SchedulerConfig(kubeconfig=kubeconfig, leader_election=LeaderElectionConfig(enabled=False))
    async with Client(server.client_config("system:kube-controller-manager")) as acting:
        tasks = [
            asyncio.create_task(manage(acting, config, clock=SystemClock())),
            asyncio.create_task(schedule(scheduling)),
        ]
        try:
            await cluster.client.create(STORAGE_CLASSES, CLASS)
            yield cluster
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(30):
        while not (seen := await look()):  # noqa: ASYNC110 - the state is the server's, which signals nothing
            await asyncio.sleep(0.05)
    return seen


async def claim(cluster: Cluster, name: str, **spec: Any) -> None:
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}}
    await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, {**body, "spec": asked}, namespace="default")


async def run(cluster: Cluster, name: str, script: str, **more: Any) -> Pod:
    """A pod with the claim `data` at /data, placed by the scheduler, when it has ended."""
    volume: dict[str, Any] = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
    mount = {"name": "v", "mountPath": "/data", **more.pop("mount", {})}
    container = {"command": ["sh", "-c", script], "volumeMounts": [mount]}
    spec = {"nodeName": None, "restartPolicy": "Never", "volumes": [more.pop("volume", volume)], **more}
    await cluster.create(name, containers=[{"name": "main", **container}], **spec)
    return await cluster.until(name, lambda pod: pod.finished, timeout=40)


def directories(cluster: Cluster) -> list[Path]:
    found = cluster.config.state_dir / "local-volumes"
    return sorted(found.iterdir()) if found.exists() else []


async def test_files_outlive_their_pod_and_go_with_their_claim(stored: Cluster) -> None:
    client = stored.client
    assert (await client.get(NODES, NODE)).metadata.annotations[DIRECTORY].endswith("/local-volumes")
    await claim(stored, "data", storageClassName="local")
    assert (await run(stored, "first", "echo kept > /data/file; ln -s / /data/link")).status.phase == "Succeeded"
    bound = await client.get(PERSISTENT_VOLUME_CLAIMS, "data", namespace="default")
    volume = await client.get(PERSISTENT_VOLUMES, bound.spec.volume_name)
    assert (bound.status.phase, volume.status.phase) == ("Bound", "Bound")
    assert FINALIZER in volume.metadata.finalizers
    await stored.delete("first")
    await stored.until_gone("first")
    [directory] = directories(stored)
    assert directory.name == volume.name
    assert (directory / "file").read_text() == "kept\n"

    await stored.stop_kubelet()
    await stored.start_kubelet()
    reads = await run(stored, "second", "grep kept /data/file && ! touch /data/more", mount={"readOnly": True})
    assert reads.status.phase == "Succeeded"
    await client.delete(PERSISTENT_VOLUME_CLAIMS, "data", namespace="default")
    assert (await client.get(PERSISTENT_VOLUME_CLAIMS, "data", namespace="default")).deleting  # its pod is there still
    assert directories(stored)
    await stored.delete("second")

    async def gone() -> bool:
        return not (await client.list(PERSISTENT_VOLUMES)).items

    await until(gone)
    assert directories(stored) == []
    assert Path("/etc/hosts").exists()  # nobody followed the link


async def test_the_volume_of_an_ephemeral_claim_goes_with_its_pod(stored: Cluster) -> None:
    template = {
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "local",
            "resources": {"requests": {"storage": "1Gi"}},
        }
    }
    volume = {"name": "v", "ephemeral": {"volumeClaimTemplate": template}}
    group = {"fsGroup": 4321}
    script = "test $(stat -c %g /data) = 4321 && id && touch /data/file && test $(stat -c %g /data/file) = 4321"
    done = await run(stored, "scratch", script, volume=volume, securityContext=group)
    assert done.status.phase == "Succeeded"
    await stored.delete("scratch")

    async def gone() -> bool:
        return not (await stored.client.list(PERSISTENT_VOLUMES)).items

    await until(gone)
    assert directories(stored) == []


async def test_what_is_retained_stays(stored: Cluster) -> None:
    client = stored.client
    kept = {**CLASS, "metadata": {"name": "kept"}, "reclaimPolicy": "Retain"}
    await client.create(STORAGE_CLASSES, kept)
    await claim(stored, "data", storageClassName="kept")
    part = {"subPath": "deep/down"}
    assert (await run(stored, "writer", "echo kept > /data/file", mount=part)).status.phase == "Succeeded"
    await stored.delete("writer")
    await stored.until_gone("writer")
    await client.delete(PERSISTENT_VOLUME_CLAIMS, "data", namespace="default")

    async def released() -> bool:
        return [v.status.phase for v in (await client.list(PERSISTENT_VOLUMES)).items] == ["Released"]

    await until(released)
    [volume] = (await client.list(PERSISTENT_VOLUMES)).items
    await client.delete(PERSISTENT_VOLUMES, volume.name)

    async def gone() -> bool:
        return not (await client.list(PERSISTENT_VOLUMES)).items

    await until(gone)
    [directory] = directories(stored)
    assert (directory / "deep/down/file").read_text() == "kept\n"


async def test_a_pod_says_why_it_has_no_volume(stored: Cluster, tmp_path: Path) -> None:
    client = stored.client
    await claim(stored, "data", storageClassName="")
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    mounts = [{"name": "v", "mountPath": "/data"}]
    script = ["sh", "-c", "cat /data/file"]
    container = {"name": "main", "command": script, "volumeMounts": mounts}
    await stored.create("early", containers=[container], volumes=volumes, restartPolicy="Never")

    async def said() -> bool:
        events = (await client.list(EVENTS, namespace="default")).items
        why = 'MountVolume.SetUp failed for volume "v" : error processing PVC default/data: PVC is not bound'
        return any(event.reason == "FailedMount" and event.message == why for event in events)

    await until(said)
    (tmp_path / "file").write_text("by hand\n")
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": str(tmp_path), "type": "Directory"},
    }
    body = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "by-hand"}, "spec": spec}
    await client.create(PERSISTENT_VOLUMES, body)
    done = await stored.until("early", lambda pod: pod.finished, timeout=40)
    assert done.status.phase == "Succeeded"
    await client.delete(PODS, "early", namespace="default")


async def test_a_stateful_set_keeps_what_its_pods_have_written(stored: Cluster) -> None:
    client = stored.client
    script = "cat /data/log; echo $HOSTNAME >> /data/log; exec sleep 1000"
    container = {
        "name": "main",
        "image": stored.image,
        "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    template = {
        "metadata": {"labels": {"app": "db"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }
    asked = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "local",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    spec = {
        "replicas": 2,
        "serviceName": "db",
        "selector": {"matchLabels": {"app": "db"}},
        "template": template,
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": asked}],
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
    }
    body = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": spec}
    await client.request("POST", "/apis/apps/v1/namespaces/default/statefulsets", body=body)
    first = await stored.until("db-1", lambda pod: pod.ready, timeout=60)
    await stored.delete("db-1")
    await stored.until("db-1", lambda pod: pod.ready and pod.uid != first.uid, timeout=60)

    async def remembers() -> bool:
        code, out, _ = await stored.kubectl("logs", "db-1")
        return code == 0 and out == "db-1\n"

    await until(remembers)
    assert len(directories(stored)) == 2
    await client.request("DELETE", "/apis/apps/v1/namespaces/default/statefulsets/db")

    async def gone() -> bool:
        return not (await client.list(PERSISTENT_VOLUMES)).items and not (await client.list(PODS)).items

    await until(gone)
    assert directories(stored) == []


async def test_the_page_about_storage_does_what_it_says(stored: Cluster, tmp_path: Path) -> None:
    default = {"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}
    await stored.client.patch(STORAGE_CLASSES, "local", default)
    page = (ROOT / "docs/how-to/storage.md").read_text()
    [manifest] = re.findall(r"^```yaml\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    file = tmp_path / "notes.yaml"
    file.write_text(manifest.replace("image: busybox", f"image: {stored.image}"))
    commands = [line for line in page.splitlines() if line.startswith("kubectl ")]
    assert len(commands) == 8
    for line in commands:
        words = [str(file) if word == "notes.yaml" else word for word in shlex.split(line, comments=True)[1:]]
        code, out, err = await stored.kubectl(*words)
        assert code == 0, f"{line}: {err}"
        if "persistentvolumes" in words:
            assert "default/notes" in out
            await stored.until("writer", lambda pod: pod.status.phase == "Succeeded")
            _, log, _ = await stored.kubectl("logs", "writer")
            assert len(log.splitlines()) == 2

    async def gone() -> bool:
        return not (await stored.client.list(PERSISTENT_VOLUMES)).items

    await until(gone)
    assert directories(stored) == []
