"""The environment of a container and the fields of its pod: pure resolution of every reference.

Source: Kubernetes documentation, "Define Environment Variables for a Container", "Accessing Services".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from k8slite.kinds.core import ConfigMap, Container, EnvVar, Pod, Secret, Service

from . import resources

_REFERENCE = re.compile(r"\$(\$|\(([^()]*)\))")
_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")
_NAME = re.compile(r"^[^=\x00-\x1f]+$")


class ConfigFault(Exception):
    """A reference cannot be resolved; the text is what the container's status says."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container's references may lead to. ConfigMaps and Secrets are those of the pod's namespace, by name."""

    config_maps: Mapping[str, ConfigMap] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    services: Sequence[Service] = ()
    pod_ips: Sequence[str] = ()
    host_ip: str = ""
    allocatable: Mapping[str, str | int | float] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Never the contents."""
        return f"Surroundings({sorted(self.config_maps)}, {sorted(self.secrets)})"


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; unknown names stay as they are and `$$` is a dollar."""

    def replacement(found: re.Match[str]) -> str:
        if found.group(1) == "$":
            return "$"
        return variables.get(found.group(2), found.group(0))

    return _REFERENCE.sub(replacement, text)


def pod_field(path: str, *, pod: Pod, surroundings: Surroundings) -> str:
    """A `fieldRef`. Raises ConfigFault for a path that is not offered."""
    if subscript := _SUBSCRIPT.match(path):
        table = pod.metadata.labels if subscript.group(1) == "labels" else pod.metadata.annotations
        return table.get(subscript.group(2), "")
    match path:
        case "metadata.name":
            return pod.name
        case "metadata.namespace":
            return pod.namespace
        case "metadata.uid":
            return pod.uid
        case "metadata.labels":
            return _lines(pod.metadata.labels)
        case "metadata.annotations":
            return _lines(pod.metadata.annotations)
        case "spec.nodeName":
            return pod.spec.node_name
        case "spec.serviceAccountName":
            return pod.spec.service_account_name
        case "status.hostIP" | "status.hostIPs":
            return surroundings.host_ip
        case "status.podIP":
            return surroundings.pod_ips[0] if surroundings.pod_ips else ""
        case "status.podIPs":
            return ",".join(surroundings.pod_ips)
        case _:
            raise ConfigFault(f"unsupported fieldPath: {path}")


def _lines(table: Mapping[str, str]) -> str:
    def quoted(value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'

    return "\n".join(f"{key}={quoted(value)}" for key, value in sorted(table.items()))


def service_variables(pod: Pod, services: Iterable[Service]) -> dict[str, str]:
    """`<NAME>_SERVICE_HOST` and its kin, for the namespace's Services (unless switched off) and `kubernetes`."""
    found: dict[str, str] = {}
    for service in sorted(services, key=lambda s: s.key):
        master = service.key == "default/kubernetes"
        if not master and not (pod.spec.enable_service_links and service.namespace == pod.namespace):
            continue
        address = service.spec.cluster_ip
        if not address or address == "None" or not service.spec.ports:
            continue
        name = service.name.upper().replace("-", "_")
        first = service.spec.ports[0]
        found[f"{name}_SERVICE_HOST"] = address
        found[f"{name}_SERVICE_PORT"] = str(first.port)
        for port in service.spec.ports:
            if port.name:
                found[f"{name}_SERVICE_PORT_{port.name.upper().replace('-', '_')}"] = str(port.port)
        found[f"{name}_PORT"] = f"{first.protocol.lower()}://{address}:{first.port}"
        for port in service.spec.ports:
            prefix = f"{name}_PORT_{port.port}_{port.protocol}"
            found[prefix] = f"{port.protocol.lower()}://{address}:{port.port}"
            found[f"{prefix}_PROTO"] = port.protocol.lower()
            found[f"{prefix}_PORT"] = str(port.port)
            found[f"{prefix}_ADDR"] = address
    return found


def environment(container: Container, *, pod: Pod, surroundings: Surroundings) -> dict[str, str]:
    """Every variable of a container, in Kubernetes' order of precedence. Raises ConfigFault."""
    services = service_variables(pod, surroundings.services)
    found: dict[str, str] = {}
    for source in container.env_from:
        for key, value in _whole(source.config_map_ref, source.secret_ref, surroundings, pod).items():
            if _NAME.match(source.prefix + key):
                found[source.prefix + key] = value
    for variable in container.env:
        if variable.value_from is None:
            found[variable.name] = expand(variable.value, {**services, **found})
        else:
            value_of = _from(variable, container=container, pod=pod, surroundings=surroundings)
            if value_of is not None:
                found[variable.name] = value_of
    return {**services, **found}


def _from(variable: EnvVar, *, container: Container, pod: Pod, surroundings: Surroundings) -> str | None:
    source = variable.value_from
    assert source is not None
    if source.field_ref is not None:
        return pod_field(source.field_ref.field_path, pod=pod, surroundings=surroundings)
    if (reference := source.resource_field_ref) is not None:
        of = named(pod, reference.container_name) if reference.container_name else container
        return resources.resource_field(
            of, resource=reference.resource, divisor=reference.divisor, allocatable=surroundings.allocatable
        )
    if (key := source.config_map_key_ref) is not None:
        config = surroundings.config_maps.get(key.name)
        if config is None and not key.optional:
            raise ConfigFault(f'configmap "{key.name}" not found')
        if config is None or key.key not in config.data:
            if key.optional:
                return None
            raise ConfigFault(f"couldn't find key {key.key} in ConfigMap {pod.namespace}/{key.name}")
        return config.data[key.key]
    if (key := source.secret_key_ref) is not None:
        secret = surroundings.secrets.get(key.name)
        if secret is None and not key.optional:
            raise ConfigFault(f'secret "{key.name}" not found')
        if secret is None or key.key not in secret.data:
            if key.optional:
                return None
            raise ConfigFault(f"couldn't find key {key.key} in Secret {pod.namespace}/{key.name}")
        return _text(secret.data[key.key])
    return None


def _whole(config_ref: object, secret_ref: object, surroundings: Surroundings, pod: Pod) -> dict[str, str]:
    from k8slite.kinds.core import EnvFromReference

    if isinstance(config_ref, EnvFromReference):
        config = surroundings.config_maps.get(config_ref.name)
        if config is None and not config_ref.optional:
            raise ConfigFault(f'configmap "{config_ref.name}" not found')
        return dict(config.data) if config else {}
    if isinstance(secret_ref, EnvFromReference):
        secret = surroundings.secrets.get(secret_ref.name)
        if secret is None and not secret_ref.optional:
            raise ConfigFault(f'secret "{secret_ref.name}" not found')
        return {key: _text(value) for key, value in secret.data.items()} if secret else {}
    return {}


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode(errors="surrogateescape")


def named(pod: Pod, name: str) -> Container:
    """A container of the pod, of whatever sort. Raises ConfigFault."""
    for container in pod.spec.every_container:
        if container.name == name:
            return container
    raise ConfigFault(f"container {name} not found")
