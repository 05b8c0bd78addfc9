"""Rules for containers: names, images, ports, environment, probes, resources, mounts.

Paths are made only where something is wrong, because a pod is validated at every write.

Source: Kubernetes' core validation (ValidatePodSpec, validateContainers).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    not_supported,
    required,
)
from k8slite.quantity import QuantityError, parse

from . import names

Document = dict[str, Any]

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_TERMINATION_POLICIES = ("File", "FallbackToLogsOnError")
_SCHEMES = ("HTTP", "HTTPS")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_INTEGRAL = ("pods", "services", "replicationcontrollers")
_STANDARD = frozenset({"cpu", "memory", "ephemeral-storage"})


def containers(spec: Document, field: str, volumes: frozenset[str]) -> list[Cause]:
    """What is wrong with a pod's containers and init containers. `volumes` are the names that mounts may use."""
    causes: list[Cause] = []
    main = spec.get("containers")
    if not main:
        causes.append(required(f"{field}.containers"))
    seen: set[str] = set()
    for group in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(group) or ()):
            name = container.get("name") or ""
            found = _container(container, volumes, initial=group == "initContainers")
            if name and name in seen:
                found.append(duplicate("name", name))
            seen.add(name)
            if found:
                causes += _below(found, f"{field}.{group}[{index}]")
    return causes


def _below(causes: list[Cause], prefix: str) -> list[Cause]:
    return [Cause(cause.reason, cause.message, f"{prefix}.{cause.field}".rstrip(".")) for cause in causes]


def _container(container: Document, volumes: frozenset[str], *, initial: bool) -> list[Cause]:
    causes: list[Cause] = []
    name = container.get("name") or ""
    if not name:
        causes.append(required("name"))
    elif problem := names.dns_label(name):
        causes.append(invalid_value("name", name, problem))
    image = container.get("image") or ""
    if not image:
        causes.append(required("image"))
    elif image.strip() != image:
        causes.append(invalid_value("image", image, "must not have leading or trailing whitespace"))
    if container.get("imagePullPolicy") not in _PULL_POLICIES:
        causes.append(not_supported("imagePullPolicy", container.get("imagePullPolicy") or "", _PULL_POLICIES))
    if container.get("terminationMessagePolicy") not in _TERMINATION_POLICIES:
        value = container.get("terminationMessagePolicy") or ""
        causes.append(not_supported("terminationMessagePolicy", value, _TERMINATION_POLICIES))
    if ports := container.get("ports"):
        causes += _ports(ports)
    if variables := container.get("env"):
        causes += _environment(variables)
    for index, source in enumerate(container.get("envFrom") or ()):
        if not source.get("configMapRef") and not source.get("secretRef"):
            causes.append(invalid_value(f"envFrom[{index}]", "", "must specify one of: `configMapRef` or `secretRef`"))
    if mounts := container.get("volumeMounts"):
        causes += _mounts(mounts, volumes)
    if quantities := container.get("resources"):
        causes += resources(quantities, "resources")
    restartable = container.get("restartPolicy") == "Always"
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in container:
            if initial and not restartable:
                causes.append(forbidden_field(probe, "may not be set for init containers without restartPolicy=Always"))
            else:
                causes += _below(_probe(container[probe], liveness=probe != "readinessProbe"), probe)
    if lifecycle := container.get("lifecycle"):
        if initial and not restartable:
            causes.append(
                forbidden_field("lifecycle", "may not be set for init containers without restartPolicy=Always")
            )
        for hook in ("postStart", "preStop"):
            if hook in lifecycle:
                causes += _below(_handler(lifecycle[hook]), f"lifecycle.{hook}")
    return causes


def _ports(ports: list[Document]) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        here = f"ports[{index}]"
        if name := port.get("name"):
            if problem := names.port_name(name):
                causes.append(invalid_value(f"{here}.name", name, problem))
            elif name in seen:
                causes.append(duplicate(f"{here}.name", name))
            seen.add(name)
        number = port.get("containerPort") or 0
        if not number:
            causes.append(required(f"{here}.containerPort"))
        elif problem := names.port(number):
            causes.append(invalid_value(f"{here}.containerPort", number, problem))
        if (number := port.get("hostPort") or 0) and (problem := names.port(number)):
            causes.append(invalid_value(f"{here}.hostPort", number, problem))
        if port.get("protocol") not in _PROTOCOLS:
            causes.append(not_supported(f"{here}.protocol", port.get("protocol") or "", _PROTOCOLS))
    return causes


def _environment(variables: list[Document]) -> list[Cause]:
    causes: list[Cause] = []
    for index, variable in enumerate(variables):
        name = variable.get("name") or ""
        if not name:
            causes.append(required(f"env[{index}].name"))
        elif problem := names.environment_name(name):
            causes.append(invalid_value(f"env[{index}].name", name, problem))
        source = variable.get("valueFrom")
        if source is None:
            continue
        here = f"env[{index}].valueFrom"
        if variable.get("value"):
            causes.append(invalid_value(here, "", "may not be specified when `value` is not empty"))
        if not source:
            options = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
            causes.append(invalid_value(here, "", f"must specify one of: {options}"))
        elif len(source) > 1:
            causes.append(invalid_value(here, "", "may not have more than one field specified at a time"))
        for kind in ("configMapKeyRef", "secretKeyRef"):
            if kind in source and not source[kind].get("key"):
                causes.append(required(f"{here}.{kind}.key"))
        if "fieldRef" in source and not source["fieldRef"].get("fieldPath"):
            causes.append(required(f"{here}.fieldRef.fieldPath"))
    return causes


def _mounts(mounts: list[Document], volumes: frozenset[str]) -> list[Cause]:
    causes: list[Cause] = []
    paths: set[str] = set()
    for index, mount in enumerate(mounts):
        name, path = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            causes.append(required(f"volumeMounts[{index}].name"))
        elif name not in volumes:
            causes.append(Cause("FieldValueNotFound", f'Not found: "{name}"', f"volumeMounts[{index}].name"))
        if not path:
            causes.append(required(f"volumeMounts[{index}].mountPath"))
        elif path in paths:
            causes.append(invalid_value(f"volumeMounts[{index}].mountPath", path, "must be unique"))
        paths.add(path)
        if sub := mount.get("subPath"):
            if sub.startswith("/"):
                causes.append(invalid_value(f"volumeMounts[{index}].subPath", sub, "must be a relative path"))
            elif ".." in sub.split("/"):
                causes.append(invalid_value(f"volumeMounts[{index}].subPath", sub, "must not contain '..'"))
    return causes


def resources(quantities: Document, field: str) -> list[Cause]:
    """What is wrong with requests and limits."""
    causes: list[Cause] = []
    limits, requests = quantities.get("limits") or {}, quantities.get("requests") or {}
    for kind, values in (("limits", limits), ("requests", requests)):
        for name, value in values.items():
            here = f"{field}.{kind}[{name}]"
            if name not in _STANDARD and "/" not in name and not name.startswith("hugepages-"):
                detail = "must be a standard resource type or fully qualified"
                causes.append(invalid_value(here, name, detail))
            amount = _amount(value)
            if amount is not None and amount < 0:
                causes.append(invalid_value(here, str(value), "must be greater than or equal to 0"))
    for name, value in requests.items():
        limit = limits.get(name)
        if limit is None:
            continue
        wanted, most = _amount(value), _amount(limit)
        if wanted is not None and most is not None and wanted > most:
            detail = f"must be less than or equal to {name} limit of {limit}"
            causes.append(invalid_value(f"{field}.requests", str(value), detail))
    return causes


def _amount(value: Any) -> Any:
    try:
        return parse(value)
    except QuantityError:
        return None


def _probe(probe: Document, *, liveness: bool) -> list[Cause]:
    causes = _handler(probe)
    for name in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        if (value := probe.get(name) or 0) < 0:
            causes.append(invalid_value(name, value, "must be greater than or equal to 0"))
    if liveness and probe.get("successThreshold", 1) != 1:
        causes.append(invalid_value("successThreshold", probe["successThreshold"], "must be 1"))
    return causes


def _handler(handler: Document) -> list[Cause]:
    chosen = [name for name in _HANDLERS if name in handler]
    if not chosen:
        return [Cause("FieldValueRequired", "Required value: must specify a handler type", "")]
    causes: list[Cause] = [forbidden_field(name, "may not specify more than 1 handler type") for name in chosen[1:]]
    kind, action = chosen[0], handler[chosen[0]] or {}
    if kind == "exec" and not action.get("command"):
        causes.append(required("exec.command"))
    if kind in ("httpGet", "tcpSocket"):
        causes += _port_reference(action.get("port"), f"{kind}.port")
    if kind == "httpGet" and action.get("scheme") not in _SCHEMES:
        causes.append(not_supported("httpGet.scheme", action.get("scheme") or "", _SCHEMES))
    return causes


def _port_reference(value: Any, field: str) -> list[Cause]:
    if isinstance(value, int):
        problem = names.port(value)
    elif isinstance(value, str) and value:
        problem = names.port_name(value)
    else:
        return [required(field)]
    return [invalid_value(field, value, problem)] if problem else []
