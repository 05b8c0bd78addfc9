"""Plays pods: watches those on nodes of ours, and takes each through its stages by one patch of its status.

A pod is looked at when it changes, and when the delay of its stage is over; what happens then depends on nothing but
the pod as it is, so a program that starts again goes on where the last one stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime

import orjson

from k8slite.client import Client
from k8slite.clock import Clock, timestamp
from k8slite.controller import DONE, Controller, Result, TryAgain
from k8slite.durations import read
from k8slite.errors import ApiError
from k8slite.informer import Informer

from .addresses import NoAddress
from .decide import Outcome, Step, outcome, pod_step
from .facts import PLAYED_PODS, Pod, PodState
from .nodes import Played
from .pod_status import pod_status
from .seen import Awaited
from .stages import Stages
from .wire import STRATEGIC, Wire

log = logging.getLogger(__name__)

_ON_NODE = "node"
_COARSE = 2.0
"""Times in objects are whole seconds: a pod that seems to be this young has just come."""


class PodPlayer:
    """All pods on nodes of this program."""

    def __init__(
        self,
        *,
        client: Client,
        wire: Wire,
        clock: Clock,
        stages: Stages,
        workers: int,
        find: Callable[[str], Played | None],
    ) -> None:
        """`find` gives a node of ours by its name."""
        self._wire, self._clock, self._stages, self._find = wire, clock, stages, find
        self._entered: dict[str, tuple[PodState, bool, float]] = {}
        """By UID: the state of a pod, whether it is being deleted, and since when that is so (monotonic seconds)."""
        self._awaited = Awaited()
        self.controller = Controller("simulated-pods", self.sync, clock=clock, workers=workers)
        self.informer: Informer[Pod] = Informer(
            client,
            PLAYED_PODS,
            clock=clock,
            field_selector="spec.nodeName!=",
            indexers={_ON_NODE: lambda pod: (pod.spec.node_name,)},
        )
        self.informer.add_handler(self._changed)

    def wake(self, node: str) -> None:
        """A node does its work again: look at its pods."""
        for pod in self.informer.by_index(_ON_NODE, node):
            self._changed(pod, pod)

    def find(self, namespace: str, name: str) -> Pod | None:
        """A pod on a node of ours."""
        pod = self.informer.get(f"{namespace}/{name}")
        return pod if pod is not None and self._find(pod.spec.node_name) is not None else None

    def on(self, node: str) -> Iterable[Pod]:
        """The pods of a node."""
        return self.informer.by_index(_ON_NODE, node)

    def _changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            if old is not None:
                self._forget(old)
            return
        node = self._find(new.spec.node_name)
        if node is None:
            return
        if new.finished:
            node.block.release(new.uid)
        elif address := new.status.get("podIP"):
            node.block.keep(new.uid, address)
        if self._awaited.lags(new.key, new.metadata.resource_version) or not node.works:
            return
        if (step := self._step(new, node)) is not None:
            self.controller.queue.add_after(new.key, step.wait)

    def _forget(self, pod: Pod) -> None:
        self._entered.pop(pod.uid, None)
        self._awaited.forget(pod.key)
        self.controller.queue.drop(pod.key)
        if (node := self._find(pod.spec.node_name)) is not None:
            node.block.release(pod.uid)

    def _step(self, pod: Pod, node: Played) -> Step | None:
        state, deleting, now = pod.state, pod.deleting, self._clock.now()
        known, moment = self._entered.get(pod.uid), self._clock.monotonic()
        if known is None:
            age = _age(pod, now)
            known = self._entered[pod.uid] = state, deleting, moment - (age if age >= _COARSE else 0.0)
        elif known[:2] != (state, deleting):
            known = self._entered[pod.uid] = state, deleting, moment
        return pod_step(
            pod,
            state=state,
            node_labels=node.labels,
            node_ready=node.next.state == "Ready",
            stages=self._stages,
            elapsed=moment - known[2],
            now=now,
        )

    async def sync(self, key: str) -> Result:
        """One pod."""
        pod = self.informer.get(key)
        if pod is None or self._awaited.lags(key, pod.metadata.resource_version):
            return DONE
        node = self._find(pod.spec.node_name)
        if node is None or not node.works or (step := self._step(pod, node)) is None:
            return DONE
        if step.wait > 0:
            return Result(step.wait)
        made = outcome(pod, step.next)
        try:
            if made is None:
                await self._remove(pod)
            else:
                answer, shown = await self._write(pod, node, made), self.informer.get(key)
                self._awaited.wrote(key, answer, shown=shown)
                if made.state == pod.state and shown is not None and shown.uid == pod.uid:
                    self._entered[pod.uid] = made.state, pod.deleting, self._clock.monotonic()
        except NoAddress as error:
            log.warning("pod %s on node %s: %s", key, pod.spec.node_name, error)
            raise TryAgain(str(error)) from error
        except ApiError as error:
            if error.code not in (404, 409):  # gone, or another of that name: the informer tells
                raise
        return DONE

    async def _write(self, pod: Pod, node: Played, made: Outcome) -> bytes:
        """Write the status; the answer. Raises ApiError, NoAddress."""
        host_ip = node.description.address
        pod_ip = pod.status.get("podIP") or ""
        if not pod_ip and made.state not in ("Succeeded", "Failed"):
            pod_ip = host_ip if pod.spec.host_network else node.block.give(pod.uid)
        status = pod_status(pod, made, now=timestamp(self._clock.now()), host_ip=host_ip, pod_ip=pod_ip)
        body = orjson.dumps({"metadata": {"uid": pod.uid}, "status": status})
        path = PLAYED_PODS.path(namespace=pod.namespace, name=pod.name, subresource="status")
        return await self._wire.send("PATCH", path, body, media=STRATEGIC)

    async def _remove(self, pod: Pod) -> None:
        options = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": pod.uid},
        }
        path = PLAYED_PODS.path(namespace=pod.namespace, name=pod.name)
        await self._wire.send("DELETE", path, orjson.dumps(options))


def _age(pod: Pod, now: datetime) -> float:
    """How long ago the pod changed for the last time that its object tells of, in seconds."""
    if pod.metadata.deletion_timestamp is not None:
        return 0.0
    found = pod.condition("ContainersReady") or pod.condition("PodScheduled") or {}
    since = read(found.get("lastTransitionTime")) or pod.metadata.creation_timestamp
    return (now - since).total_seconds() if since is not None else 0.0
