"""What Docker is told and what it answers, as pure functions between its JSON and the contract's values.

Source: Docker Engine API v1.41, ContainerCreate, ContainerList, ContainerInspect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .base import (
    ATTEMPT_LABEL,
    CONTAINER_LABEL,
    GRACE_LABEL,
    MANAGED_LABEL,
    NODE_LABEL,
    POD_IP_LABEL,
    POD_NAME_LABEL,
    POD_NAMESPACE_LABEL,
    POD_UID_LABEL,
    SPEC_HASH_LABEL,
    Container,
    ContainerSpec,
    Mount,
    PodRef,
    Sandbox,
    SandboxSpec,
    State,
)

Json = dict[str, Any]
SANDBOX = "POD"
_CPU_PERIOD = 100_000
_SANDBOX_OOM_SCORE = -998
_LEAST_MEMORY = 6 << 20
"""Docker refuses lower limits."""
_MOST_SHARES = 1 << 18
"""The kernel's limit, and Docker's when it turns shares into a weight of cgroup v2."""
_LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose containers these are: several clusters and nodes may share one engine.

    `lowest_oom_score` is 0 where the engine may not shield processes (an engine that runs in a container).
    """

    cluster: str
    node: str
    lowest_oom_score: int = -1000

    def labels(self) -> dict[str, str]:
        """The labels that every container of this node carries."""
        return {MANAGED_LABEL: self.cluster, NODE_LABEL: self.node}


def name_of(pod: PodRef, *, container: str, attempt: int) -> str:
    """The engine's name of a container: unique, and it says whose it is."""
    return f"k8s_{container}_{pod.name}_{pod.namespace}_{pod.uid}_{attempt}"


def _labels(owner: Owner, pod: PodRef, *, container: str, attempt: int) -> dict[str, str]:
    return {
        **owner.labels(),
        POD_UID_LABEL: pod.uid,
        POD_NAME_LABEL: pod.name,
        POD_NAMESPACE_LABEL: pod.namespace,
        CONTAINER_LABEL: container,
        ATTEMPT_LABEL: str(attempt),
    }


def sandbox_config(spec: SandboxSpec, *, owner: Owner, image: str) -> Json:
    """The body of ContainerCreate for a sandbox."""
    labels = _labels(owner, spec.pod, container=SANDBOX, attempt=spec.attempt)
    config: Json = {
        "Image": image,
        "Entrypoint": ["/sandbox"],
        "Labels": {**labels, POD_IP_LABEL: spec.pod_ip, GRACE_LABEL: str(spec.grace_period)},
        "HostConfig": {
            "NetworkMode": "host" if spec.host_network else "none",
            "IpcMode": "host" if spec.host_ipc else "shareable",
            "PidMode": "host" if spec.host_pid else "",
            "CapDrop": ["ALL"],
            "ReadonlyRootfs": True,
            "OomScoreAdj": max(_SANDBOX_OOM_SCORE, owner.lowest_oom_score),
            "LogConfig": {"Type": "none"},
            "RestartPolicy": {"Name": "no"},
        },
    }
    if not spec.host_network:
        config["Hostname"] = spec.hostname
    return config


def container_config(spec: ContainerSpec, *, owner: Owner, sandbox_id: str) -> Json:
    """The body of ContainerCreate for a container that joins a sandbox."""
    security, limits = spec.security, spec.limits
    joined = f"container:{sandbox_id}"
    host: Json = {
        "NetworkMode": joined,
        "IpcMode": joined,
        "PidMode": _pid_mode(spec, joined),
        "Mounts": [_mount(mount) for mount in spec.mounts],
        "Privileged": security.privileged,
        "ReadonlyRootfs": security.read_only_root,
        "CapAdd": list(security.add_capabilities),
        "CapDrop": list(security.drop_capabilities),
        "GroupAdd": list(security.groups),
        "SecurityOpt": ["no-new-privileges"] if security.no_new_privileges else [],
        "OomScoreAdj": max(limits.oom_score_adj, owner.lowest_oom_score),
        "CpuShares": min(limits.cpu_shares, _MOST_SHARES),
        "LogConfig": {"Type": "json-file", "Config": _LOG_OPTIONS},
        "RestartPolicy": {"Name": "no"},
    }
    if limits.cpu_quota:
        host |= {"CpuPeriod": _CPU_PERIOD, "CpuQuota": limits.cpu_quota}
    if limits.memory:
        memory = max(limits.memory, _LEAST_MEMORY)
        host |= {"Memory": memory, "MemorySwap": memory}
    config: Json = {
        "Image": spec.image,
        "Env": [f"{name}={value}" for name, value in spec.env],
        "Labels": {
            **_labels(owner, spec.pod, container=spec.name, attempt=spec.attempt),
            SPEC_HASH_LABEL: spec.spec_hash,
        },
        "OpenStdin": spec.stdin,
        "StdinOnce": spec.stdin_once,
        "Tty": spec.tty,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }
    if spec.command:
        config["Entrypoint"] = list(spec.command)
    if spec.command or spec.args:
        config["Cmd"] = list(spec.args)
    if spec.working_dir:
        config["WorkingDir"] = spec.working_dir
    if security.user:
        config["User"] = security.user
    return config


def _pid_mode(spec: ContainerSpec, sandbox: str) -> str:
    if spec.host_pid:
        return "host"
    if spec.share_pid_with:
        return f"container:{spec.share_pid_with}"
    return sandbox if spec.share_pid else ""


def _mount(mount: Mount) -> Json:
    """As an object, because a path in a `Binds` string cannot hold a colon."""
    options = {"BindOptions": {"Propagation": mount.propagation}} if mount.propagation else {}
    place = {"Source": mount.host_path, "Target": mount.container_path}
    return {"Type": "bind", **place, "ReadOnly": mount.read_only, **options}


def moment(text: str | None) -> datetime | None:
    """A time of Docker's; its zero time is None."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text)


def pod_of(labels: Mapping[str, str]) -> PodRef:
    """The pod that a container's labels name."""
    return PodRef(labels[POD_UID_LABEL], labels[POD_NAME_LABEL], labels[POD_NAMESPACE_LABEL])


def sandbox_of(inspected: Json) -> Sandbox:
    """A sandbox from ContainerInspect."""
    labels = inspected["Config"]["Labels"]
    state = inspected["State"]
    return Sandbox(
        id=inspected["Id"],
        pod=pod_of(labels),
        running=bool(state.get("Running")),
        attempt=int(labels.get(ATTEMPT_LABEL, "0")),
        ip=labels.get(POD_IP_LABEL, ""),
        pid=int(state.get("Pid") or 0),
        grace_period=int(labels.get(GRACE_LABEL, "30")),
        created_at=moment(inspected.get("Created")),
    )


def container_of(inspected: Json) -> Container:
    """A container from ContainerInspect. One that could not be started counts as exited."""
    config, state = inspected["Config"], inspected["State"]
    labels = config["Labels"]
    error = state.get("Error") or ""
    created = moment(inspected.get("Created"))
    match state.get("Status"):
        case "created":
            now = State.EXITED if error else State.CREATED
        case "running" | "paused" | "restarting":
            now = State.RUNNING
        case _:
            now = State.EXITED
    finished = (moment(state.get("FinishedAt")) or created) if now is State.EXITED else None
    return Container(
        id=inspected["Id"],
        pod=pod_of(labels),
        name=labels[CONTAINER_LABEL],
        attempt=int(labels.get(ATTEMPT_LABEL, "0")),
        state=now,
        sandbox_id=inspected["HostConfig"]["NetworkMode"].removeprefix("container:"),
        image=config.get("Image", ""),
        image_id=inspected.get("Image", ""),
        spec_hash=labels.get(SPEC_HASH_LABEL, ""),
        exit_code=int(state.get("ExitCode") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        error=error if now is State.EXITED else "",
        stop_signal=config.get("StopSignal") or "SIGTERM",
        created_at=created,
        started_at=moment(state.get("StartedAt")),
        finished_at=finished,
        pid=int(state.get("Pid") or 0),
    )


def is_ours(labels: Mapping[str, str]) -> bool:
    """Whether a container has all the labels that say whose it is: a user may have copied one or the other."""
    return labels.keys() >= {POD_UID_LABEL, POD_NAME_LABEL, POD_NAMESPACE_LABEL, CONTAINER_LABEL}


def is_sandbox(labels: Mapping[str, str]) -> bool:
    """Whether a container is a pod's sandbox."""
    return labels.get(CONTAINER_LABEL) == SANDBOX
