"""Carries out the starts of a plan: volumes, images, sandbox and containers, as much at once as is safe.

The containers are created while the sandbox starts and gets its link; they start when both are there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from k8slite import resolv_conf
from k8slite.clock import Clock
from k8slite.events import EventRecorder
from k8slite.kinds.core import Container, EphemeralContainer, Pod, Service

from . import container_spec as specs
from . import env, pod_files
from .addresses import PodAddresses
from .env import ConfigFault, Surroundings
from .images import Images
from .network import AddressPoolExhausted, NetworkError, PodNetwork
from .objects import NotSynced, ObjectWatcher
from .plan import Plan, Start, Waiting
from .runtime.base import (
    ContainerRuntime,
    ContainerSpec,
    Image,
    PodState,
    RuntimeFault,
    RuntimeUnavailable,
    Sandbox,
    SandboxSpec,
    State,
)
from .termination import make_message_file
from .together import all_of
from .volumes import VolumeFault, VolumeManager

_RETRY = 10.0
_HEALS_SILENTLY = ("CreateContainer", "ErrImageNeverPull", "ImageInspectError")


@dataclass(frozen=True, slots=True)
class Node:
    """What pods see of their node."""

    name: str
    host_ip: str
    memory: int
    """Bytes."""
    allocatable: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dns:
    """How pods look names up."""

    servers: Sequence[str]
    domain: str
    resolv_conf: Path


@dataclass(frozen=True, slots=True)
class Launched:
    """What became of a plan's starts: ids of containers that run, why others wait, and when to try those again."""

    running: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    again: float | None = None
    """Seconds; None if whatever they wait for will wake their pod."""


class LaunchFault(Exception):
    """Nothing could be started; the text is known to the user by an event. Trying again later may help."""


class Launcher(Protocol):
    """What a pod worker needs to start pods and to clean up after them."""

    async def launch(self, pod: Pod, plan: Plan, state: PodState, *, wake: Callable[[], None]) -> Launched:
        """Carry out `create_sandbox` and `start`. Raises LaunchFault and RuntimeFault."""
        ...

    async def refresh(self, pod: Pod) -> None:
        """Bring the volumes of a running pod up to date."""
        ...

    def refresh_in(self, pod: Pod) -> float | None:
        """Seconds until `refresh` has something to do though nothing changed."""
        ...

    async def disconnect(self, pod: Pod) -> None:
        """The sandbox has stopped: take its link and address."""
        ...

    async def clean(self, pod: Pod, state: PodState) -> None:
        """Remove everything that the pod left on the node. Raises RuntimeFault, LaunchFault."""
        ...


class PodLauncher:
    """The launcher of real pods."""

    def __init__(
        self,
        *,
        runtime: ContainerRuntime,
        network: PodNetwork,
        addresses: PodAddresses,
        images: Images,
        volumes: VolumeManager,
        objects: ObjectWatcher,
        events: EventRecorder,
        clock: Clock,
        node: Node,
        dns: Dns,
        services: Callable[[], Sequence[Service]],
    ) -> None:
        self._runtime, self._network, self._addresses = runtime, network, addresses
        self._images, self._volumes, self._objects = images, volumes, objects
        self._events, self._clock = events, clock
        self._node, self._dns, self._services = node, dns, services
        self._linked: dict[str, str] = {}
        """Sandboxes that have their link for certain, by the UID of their pod."""

    async def launch(self, pod: Pod, plan: Plan, state: PodState, *, wake: Callable[[], None]) -> Launched:
        """Prepare everything that can fail for reasons of the user's first, then start."""
        ip = self._address(pod)
        surroundings, volumes = await self._prepare(pod, ip)
        found = await all_of(*(self._image(pod, start, surroundings, wake) for start in plan.start))
        waiting = {
            start.name: image for start, image in zip(plan.start, found, strict=True) if isinstance(image, Waiting)
        }
        ready: list[tuple[Start, ContainerSpec]] = []
        for start, image in zip(plan.start, found, strict=True):
            if isinstance(image, Image):
                try:
                    ready.append((start, self._spec(pod, start, image, surroundings, volumes, ip, state)))
                except (ConfigFault, VolumeFault) as fault:
                    waiting[start.name] = Waiting("CreateContainerConfigError", str(fault))
                    self._warn(pod, "Failed", f"Error: {fault}", start)
        if plan.create_sandbox is not None:
            created = await self._with_sandbox(pod, plan.create_sandbox, ip, ready)
        else:
            sandbox = state.sandbox
            if sandbox is None:
                raise LaunchFault("the sandbox has gone")
            await self._relink(pod, sandbox, ip)
            created = await all_of(*(self._create(pod, start, spec, sandbox.id) for start, spec in ready))
        running: dict[str, str] = {}
        results = await all_of(
            *(self._start(pod, start, made) for (start, _), made in zip(ready, created, strict=True))
        )
        for (start, _), made, problem in zip(ready, created, results, strict=True):
            if problem is None and isinstance(made, str):
                running[start.name] = made
            elif problem is not None:
                waiting[start.name] = problem
        return Launched(running, waiting, self._again(pod, waiting))

    def _again(self, pod: Pod, waiting: Mapping[str, Waiting]) -> float | None:
        """Pulls are tried again after their back-off; what may heal without a sign (an image loaded by hand), soon."""
        silent = any(reason.reason.startswith(_HEALS_SILENTLY) for reason in waiting.values())
        pull = self._images.retry_in(pod.uid, {env.named(pod, name).image for name in waiting})
        return min((seconds for seconds in (pull, _RETRY if silent else None) if seconds is not None), default=None)

    def _address(self, pod: Pod) -> str:
        if pod.spec.host_network:
            return ""
        try:
            return self._addresses.give(pod.uid)
        except (AddressPoolExhausted, RuntimeError) as error:
            self._warn(pod, "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            raise LaunchFault(str(error)) from error

    async def _prepare(self, pod: Pod, ip: str) -> tuple[Surroundings, dict[str, str]]:
        try:
            surroundings = await self._surroundings(pod, ip)
            return surroundings, await self._volumes.ensure(pod, surroundings)
        except (VolumeFault, NotSynced) as fault:
            self._warn(pod, "FailedMount", str(fault))
            raise LaunchFault(str(fault)) from fault

    async def _surroundings(self, pod: Pod, ip: str) -> Surroundings:
        config_maps, secrets = await self._objects.read(pod)
        return Surroundings(
            config_maps=config_maps,
            secrets=secrets,
            services=self._services(),
            pod_ips=[ip or self._node.host_ip],
            host_ip=self._node.host_ip,
            allocatable=self._node.allocatable,
        )

    async def _image(
        self, pod: Pod, start: Start, surroundings: Surroundings, wake: Callable[[], None]
    ) -> Image | Waiting:
        model = env.named(pod, start.name)
        return await self._images.ensure(model, pod=pod, attempt=start.attempt, secrets=surroundings.secrets, wake=wake)

    def _spec(
        self,
        pod: Pod,
        start: Start,
        image: Image,
        surroundings: Surroundings,
        volumes: Mapping[str, str],
        ip: str,
        state: PodState,
    ) -> ContainerSpec:
        model = env.named(pod, start.name)
        files = self._files(pod, model, start, ip)
        mounts = specs.mounts(
            model,
            pod=pod,
            volumes=volumes,
            surroundings=surroundings,
            files=files,
            sub_path=partial(self._volumes.sub_path, pod.uid, model.name),
        )
        return specs.container_spec(
            model,
            pod=pod,
            image=image,
            attempt=start.attempt,
            surroundings=surroundings,
            mounts=mounts,
            node_memory=self._node.memory,
            joins=_target(model, state),
        )

    def _files(self, pod: Pod, model: Container, start: Start, ip: str) -> dict[str, str]:
        """The files that the kubelet puts into a container, by path inside."""
        directory = self._volumes.make_pod_directory(pod.uid)
        node = pod_files.parse_resolver(_read(resolv_conf.effective(self._dns.resolv_conf)))
        resolver = pod_files.resolver_of(pod, node=node, cluster_dns=self._dns.servers, domain=self._dns.domain)
        node_hosts = _read(Path("/etc/hosts")) if pod.spec.host_network else ""
        hosts = pod_files.hosts_text(pod, addresses=[ip] if ip else [], domain=self._dns.domain, node_hosts=node_hosts)
        found = {"/etc/hosts": directory / "etc-hosts", "/etc/resolv.conf": directory / "resolv.conf"}
        for path, text in zip(found.values(), (hosts, resolver.text()), strict=True):
            if not path.exists() or _read(path) != text:
                path.write_text(text)
                path.chmod(0o644)
        if model.termination_message_path:
            found[model.termination_message_path] = make_message_file(
                directory, container=model.name, attempt=start.attempt
            )
        return {inside: str(path) for inside, path in found.items()}

    async def _with_sandbox(
        self, pod: Pod, attempt: int, ip: str, ready: Sequence[tuple[Start, ContainerSpec]]
    ) -> list[str | Waiting]:
        spec = SandboxSpec(
            pod=specs.pod_ref(pod),
            hostname=pod_files.hostname_of(pod),
            attempt=attempt,
            pod_ip=ip,
            grace_period=pod.spec.termination_grace_period_seconds,
            host_network=pod.spec.host_network,
            host_pid=pod.spec.host_pid,
            host_ipc=pod.spec.host_ipc,
        )
        sandbox_id = ""
        try:
            sandbox_id = await self._runtime.create_sandbox(spec)
            _, created = await all_of(
                self._open(pod, sandbox_id, ip),
                all_of(*(self._create(pod, start, spec, sandbox_id) for start, spec in ready)),
            )
            assert created is not None
            return created
        except (RuntimeFault, NetworkError) as fault:
            if sandbox_id and not isinstance(fault, RuntimeUnavailable):
                await self._runtime.remove_sandbox(sandbox_id)
            self._warn(pod, "FailedCreatePodSandBox", f"Failed to create pod sandbox: {fault}")
            raise LaunchFault(str(fault)) from fault

    async def _open(self, pod: Pod, sandbox_id: str, ip: str) -> None:
        await self._link(pod, sandbox_id, ip=ip, pid=await self._runtime.start_sandbox(sandbox_id))

    async def _link(self, pod: Pod, sandbox_id: str, *, ip: str, pid: int) -> None:
        if ip:
            await self._network.attach(pod_uid=pod.uid, pid=pid, address=ip)
        self._linked[pod.uid] = sandbox_id

    async def _relink(self, pod: Pod, sandbox: Sandbox, ip: str) -> None:
        """A kubelet that was killed, or an answer that was lost, may have left a sandbox that runs without its link."""
        if self._linked.get(pod.uid) == sandbox.id:
            return
        try:
            await self._link(pod, sandbox.id, ip=ip, pid=sandbox.pid)
        except NetworkError as fault:
            self._warn(pod, "FailedCreatePodSandBox", f"Failed to set up the network of the pod sandbox: {fault}")
            raise LaunchFault(str(fault)) from fault

    async def _create(self, pod: Pod, start: Start, spec: ContainerSpec, sandbox_id: str) -> str | Waiting:
        try:
            made = await self._runtime.create_container(spec, sandbox_id=sandbox_id)
        except RuntimeUnavailable:
            raise
        except RuntimeFault as fault:
            self._warn(pod, "Failed", f"Error: {fault}", start)
            return Waiting("CreateContainerError", str(fault))
        self._tell(pod, "Created", f"Container created: {start.name}", start)
        return made

    async def _start(self, pod: Pod, start: Start, made: str | Waiting) -> Waiting | None:
        if isinstance(made, Waiting):
            return made
        try:
            await self._runtime.start_container(made)
        except RuntimeUnavailable:
            raise
        except RuntimeFault as fault:
            self._warn(pod, "Failed", f"Error: {fault}", start)
            return Waiting("RunContainerError", str(fault))
        self._tell(pod, "Started", f"Container started: {start.name}", start)
        return None

    async def refresh(self, pod: Pod) -> None:
        """Volumes follow the objects that they come from."""
        if pod.spec.volumes:
            await self._prepare(pod, "" if pod.spec.host_network else self._address(pod))

    def refresh_in(self, pod: Pod) -> float | None:
        """The seconds to a token's renewal."""
        renewal = self._volumes.renewal(pod.uid)
        return None if renewal is None else max(1.0, (renewal - self._clock.now()).total_seconds())

    async def disconnect(self, pod: Pod) -> None:
        """Nothing runs any more: detach, then give back the address, and what no other pod could have meanwhile."""
        try:
            await self._network.detach(pod_uid=pod.uid)
        except NetworkError as fault:
            raise LaunchFault(str(fault)) from fault
        self._volumes.let_go(pod.uid)
        self._linked.pop(pod.uid, None)
        self._addresses.release(pod.uid)

    async def clean(self, pod: Pod, state: PodState) -> None:
        """Containers before the sandbox that they joined, then files."""
        await all_of(*(self._runtime.remove_container(c.id) for c in state.containers))
        await all_of(*(self._runtime.remove_sandbox(s.id) for s in state.sandboxes))
        await self.disconnect(pod)
        self._images.forget(pod.uid)
        self._objects.release(pod.uid)
        try:
            await self._volumes.tear_down(pod.uid)
        except VolumeFault as fault:
            raise LaunchFault(str(fault)) from fault

    def _tell(self, pod: Pod, reason: str, message: str, start: Start) -> None:
        self._events.record(pod, reason=reason, message=message, field_path=pod.spec.field_path(start.name))

    def _warn(self, pod: Pod, reason: str, message: str, start: Start | None = None) -> None:
        path = pod.spec.field_path(start.name) if start is not None else ""
        self._events.record(pod, reason=reason, message=message, type="Warning", field_path=path)


def _target(model: Container, state: PodState) -> str:
    """The container whose processes an ephemeral container asks to see. Raises ConfigFault if it does not run."""
    if not isinstance(model, EphemeralContainer) or not model.target_container_name:
        return ""
    found = state.newest(model.target_container_name)
    if found is None or found.state is not State.RUNNING:
        raise ConfigFault(f"target container {model.target_container_name} does not run")
    return found.id


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
