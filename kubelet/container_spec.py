"""From a container of a pod's spec to the runtime's: everything resolved, nothing done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from k8slite.kinds.core import Container, Pod

from . import env, resources
from .env import ConfigFault, Surroundings
from .plan import spec_hash
from .runtime.base import ContainerSpec, Image, Mount, PodRef, Security


class SubPath(Protocol):
    """Makes a part of a volume ready to be mounted."""

    def __call__(self, index: int, /, *, root: str, sub: str) -> str:
        """The host path for the container's mount number `index`."""
        ...


def pod_ref(pod: Pod) -> PodRef:
    """The runtime's name of a pod."""
    return PodRef(pod.uid, pod.name, pod.namespace)


def container_spec(
    container: Container,
    *,
    pod: Pod,
    image: Image,
    attempt: int,
    surroundings: Surroundings,
    mounts: Sequence[Mount],
    node_memory: int,
    joins: str = "",
) -> ContainerSpec:
    """What the runtime is to create; it sees the processes of the container with the id `joins`. Raises ConfigFault."""
    variables = env.environment(container, pod=pod, surroundings=surroundings)
    return ContainerSpec(
        pod=pod_ref(pod),
        name=container.name,
        image=container.image,
        attempt=attempt,
        spec_hash=spec_hash(container),
        command=tuple(env.expand(word, variables) for word in container.command),
        args=tuple(env.expand(word, variables) for word in container.args),
        env=tuple(variables.items()),
        working_dir=container.working_dir,
        mounts=tuple(mounts),
        limits=resources.limits(container, pod=pod, node_memory=node_memory),
        security=security(container, pod=pod, image=image),
        stdin=container.stdin,
        stdin_once=container.stdin_once,
        tty=container.tty,
        host_pid=pod.spec.host_pid,
        share_pid=pod.spec.share_process_namespace,
        share_pid_with=joins,
    )


def security(container: Container, *, pod: Pod, image: Image) -> Security:
    """The container's security context over the pod's. Raises ConfigFault for root where it is forbidden."""
    own, shared = container.security_context, pod.spec.security_context
    user = own.run_as_user if own and own.run_as_user is not None else shared.run_as_user if shared else None
    group = own.run_as_group if own and own.run_as_group is not None else shared.run_as_group if shared else None
    must_not_be_root = (
        own.run_as_non_root if own and own.run_as_non_root is not None else bool(shared and shared.run_as_non_root)
    )
    if must_not_be_root:
        _refuse_root(container, user=user, image=image)
    name = str(user) if user is not None else image.user.partition(":")[0] if group is not None else ""
    if group is not None:
        name = f"{name or '0'}:{group}"
    groups = [*(shared.supplemental_groups if shared else [])]
    if shared and shared.fs_group is not None:
        groups.append(shared.fs_group)
    capabilities = own.capabilities if own else None
    return Security(
        user=name,
        groups=tuple(str(number) for number in groups),
        privileged=bool(own and own.privileged),
        read_only_root=bool(own and own.read_only_root_filesystem),
        no_new_privileges=bool(own and own.allow_privilege_escalation is False),
        add_capabilities=tuple(capabilities.add) if capabilities else (),
        drop_capabilities=tuple(capabilities.drop) if capabilities else (),
    )


def _refuse_root(container: Container, *, user: int | None, image: Image) -> None:
    if user == 0:
        raise ConfigFault(f"container's runAsUser breaks non-root policy (container: {container.name})")
    if user is not None:
        return
    asked = image.user.partition(":")[0]
    if asked in ("", "0", "root"):
        raise ConfigFault("container has runAsNonRoot and image will run as root")
    if not asked.isdigit():
        raise ConfigFault(
            f"container has runAsNonRoot and image has non-numeric user ({asked}), cannot verify user is non-root"
        )


def mounts(
    container: Container,
    *,
    pod: Pod,
    volumes: Mapping[str, str],
    surroundings: Surroundings,
    files: Mapping[str, str],
    sub_path: SubPath,
) -> list[Mount]:
    """A container's mounts: `volumes` are host paths by volume name, `files` host paths by path in the container.

    A file gives way to a mount of the user's at the same place. What mirrors the API is read-only, as in Kubernetes: a
    container that could plant links there would lead its kubelet astray.
    """
    fixed = {v.name for v in pod.spec.volumes if v.config_map or v.secret or v.projected or v.downward_api}
    fixed |= {v.name for v in pod.spec.volumes if (c := v.persistent_volume_claim) is not None and c.read_only}
    found = []
    for index, mount in enumerate(container.volume_mounts):
        host = volumes.get(mount.name)
        if host is None:
            raise ConfigFault(f"volume {mount.name} of container {container.name} is not mounted")
        sub = expanded(mount.sub_path, mount.sub_path_expr, container=container, pod=pod, surroundings=surroundings)
        propagation = {"HostToContainer": "rslave", "Bidirectional": "rshared"}.get(mount.mount_propagation, "")
        found.append(
            Mount(
                sub_path(index, root=host, sub=sub) if sub else host,
                mount.mount_path,
                read_only=mount.read_only or mount.name in fixed,
                propagation=propagation,  # type: ignore[arg-type]
            )
        )
    taken = {mount.container_path.rstrip("/") for mount in found}
    found += [Mount(host, inside) for inside, host in files.items() if inside not in taken]
    return found


def expanded(plain: str, expression: str, *, container: Container, pod: Pod, surroundings: Surroundings) -> str:
    """The sub-path of a mount with its variables expanded. Raises ConfigFault for one that leaves the volume."""
    path = plain
    if expression:
        path = env.expand(expression, env.environment(container, pod=pod, surroundings=surroundings))
    if path.startswith("/") or ".." in path.split("/"):
        raise ConfigFault(f"subPath {path!r} must stay inside its volume")
    return path
