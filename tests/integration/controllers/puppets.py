"""A stand-in for scheduler and kubelets: binds pods, says that they run, and ends them when they are deleted."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from k8slite.client import Client
from k8slite.clock import SystemClock, timestamp
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.informer import Informer
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import PODS


class Puppets:
    """Pods of images that start with `bad` never become ready; those that start with `once` succeed at once."""

    def __init__(self, client: Client, *, node: str = "n1") -> None:
        self.client = client
        self.node = node
        self.clock = SystemClock()
        self.pods: Informer[Pod] = Informer(client, PODS, clock=self.clock)
        self.controller = Controller("puppets", self.sync, clock=self.clock)
        self.addresses = itertools.count(1)
        self.stopped: set[str] = set()
        self.pods.add_handler(lambda old, new: self.controller.queue.add((new or old).key))  # type: ignore[union-attr]

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.pods.run())
            group.create_task(self.controller.run())

    async def sync(self, key: str) -> Result:
        pod = self.pods.get(key)
        if pod is None or pod.spec.node_name in self.stopped:
            return DONE
        try:
            if pod.deleting:
                await self.end(pod)
            elif not pod.spec.node_name:
                target = {"apiVersion": "v1", "kind": "Node", "name": self.node}
                body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod.name}, "target": target}
                await self.client.create(PODS, body, namespace=pod.namespace, name=pod.name, subresource="binding")
            elif pod.status.phase in ("", "Pending"):
                await self.start(pod)
        except ApiError as error:
            if error.code != 404:
                raise
        return DONE

    async def start(self, pod: Pod) -> None:
        image = pod.spec.containers[0].image
        number = next(self.addresses)
        ip = f"10.42.{number // 250 + 1}.{number % 250 + 1}"
        ready = "False" if image.startswith("bad") else "True"
        phase = "Succeeded" if image.startswith("once") else "Failed" if image.startswith("fail") else "Running"
        now = timestamp(self.clock.now())
        status: dict[str, Any] = {
            "phase": phase,
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": now}],
        }
        await self.client.patch(PODS, pod.name, {"status": status}, namespace=pod.namespace, subresource="status")

    async def end(self, pod: Pod) -> None:
        if not pod.finished and pod.metadata.finalizers:
            body = {"status": {"phase": "Failed"}}
            await self.client.patch(PODS, pod.name, body, namespace=pod.namespace, subresource="status")
        await self.client.delete(PODS, pod.name, namespace=pod.namespace, uid=pod.uid, grace_period=0)
