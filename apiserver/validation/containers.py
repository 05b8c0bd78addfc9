"""Rules for containers, of all three sorts: those that run, those that run first, those that are added to debug.

Source: Kubernetes' core validation (validateContainers, validateInitContainers, validateEphemeralContainers).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from k8slite.errors import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    not_found_value,
    not_supported,
    required,
    too_many,
)

from . import names
from .environment import environment, environment_from
from .mounts import devices, mounts
from .probes import lifecycle, probes
from .resources import requirements
from .security import container_context

Document = dict[str, Any]

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_TERMINATION_POLICIES = ("File", "FallbackToLogsOnError")
_RESTART_POLICIES = ("Always", "Never", "OnFailure")
_RESTART_ACTIONS = ("Restart", "RestartAllContainers")
_RESIZABLE = ("cpu", "memory")
_RESIZE_POLICIES = ("NotRequired", "RestartContainer")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_NOT_EPHEMERAL = ("ports", "resources", *_PROBES, "lifecycle", "restartPolicy", "restartPolicyRules", "resizePolicy")
_ONLY_SIDECARS = "may not be set for init containers without restartPolicy=Always"
_NO_EPHEMERAL = "cannot be set for an Ephemeral Container"
_MOST_RULES = 20
_MOST_EXIT_CODES = 255


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container's rules need to know of its pod."""

    grace: int | None = None
    """The pod's period of grace."""
    restart_policy: str = "Always"
    host_users: bool = True
    of_pod: bool = True
    """Whether the spec is a pod's own, not one of a template."""
    volumes: dict[str, Document] = field(default_factory=dict)
    """The pod's good volumes."""
    claims: frozenset[str] = frozenset()
    """The names of the pod's resource claims."""


def containers(spec: Document, path: str, around: Surroundings) -> list[Cause]:
    """What is wrong with a pod's containers; `path` is that of the spec."""
    main, here = spec.get("containers") or (), f"{path}.containers"
    causes: list[Cause] = [] if main else [required(here)]
    taken: set[str] = set()
    for index, container in enumerate(main):
        at = f"{here}[{index}]"
        causes += _common(container, at, around)
        causes += _unique(container, at, taken)
        if (hooks := container.get("lifecycle")) is not None:
            causes += lifecycle(hooks, f"{at}.lifecycle", around.grace)
        causes += probes(container, at, around.grace)
        if "restartPolicy" in container or "restartPolicyRules" in container:
            causes += _restarts(container, at)
    causes += _host_ports(main, here, set())
    if spec.get("initContainers"):
        causes += _initial(spec["initContainers"], f"{path}.initContainers", around, taken)
    if spec.get("ephemeralContainers"):
        causes += _ephemeral(spec["ephemeralContainers"], f"{path}.ephemeralContainers", around, taken)
    return causes


def _initial(listed: list[Document], path: str, around: Surroundings, taken: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    for index, container in enumerate(listed):
        at = f"{path}[{index}]"
        causes += _common(container, at, around)
        if "restartPolicy" in container or "restartPolicyRules" in container:
            causes += _restarts(container, at)
        causes += _unique(container, at, taken)
        causes += _host_ports([container], path, set())
        if container.get("restartPolicy") == "Always":
            if (hooks := container.get("lifecycle")) is not None:
                causes += lifecycle(hooks, f"{at}.lifecycle", around.grace)
            causes += probes(container, at, around.grace)
        else:
            causes += [
                forbidden_field(f"{at}.{name}", _ONLY_SIDECARS)
                for name in ("lifecycle", *_PROBES)
                if container.get(name) is not None
            ]
    return causes


def _ephemeral(listed: list[Document], path: str, around: Surroundings, taken: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    others = set(taken)
    for index, container in enumerate(listed):
        at = f"{path}[{index}]"
        causes += _common(container, at, around)
        causes += _unique(container, at, taken)
        target = container.get("targetContainerName")
        if target and target not in others:
            causes.append(not_found_value(f"{at}.targetContainerName", target))
        causes += [forbidden_field(f"{at}.{name}", _NO_EPHEMERAL) for name in _NOT_EPHEMERAL if container.get(name)]
        for place, mount in enumerate(container.get("volumeMounts") or ()):
            causes += [
                forbidden_field(f"{at}.volumeMounts[{place}].{name}", _NO_EPHEMERAL)
                for name in ("subPath", "subPathExpr")
                if mount.get(name)
            ]
    return causes


def _unique(container: Document, path: str, taken: set[str]) -> list[Cause]:
    name = container.get("name") or ""
    if name and name in taken:
        return [duplicate(f"{path}.name", name)]
    taken.add(name)
    return []


def _common(container: Document, path: str, around: Surroundings) -> list[Cause]:
    """What holds for every sort of container."""
    causes: list[Cause] = []
    name, image = container.get("name") or "", container.get("image") or ""
    if not name:
        causes.append(required(f"{path}.name"))
    elif problem := names.dns_label(name):
        causes.append(invalid_value(f"{path}.name", name, problem))
    if not image:
        causes.append(required(f"{path}.image"))
    elif around.of_pod and image.strip() != image:
        causes.append(invalid_value(f"{path}.image", image, "must not have leading or trailing whitespace"))
    if (policy := container.get("terminationMessagePolicy") or "") not in _TERMINATION_POLICIES:
        here = f"{path}.terminationMessagePolicy"
        causes.append(not_supported(here, policy, _TERMINATION_POLICIES, in_order=True) if policy else required(here))
    if ports := container.get("ports"):
        causes += _ports(ports, f"{path}.ports")
    if variables := container.get("env"):
        causes += environment(variables, f"{path}.env", around.volumes)
    if sources := container.get("envFrom"):
        causes += environment_from(sources, f"{path}.envFrom")
    if container.get("volumeMounts"):
        causes += mounts(container, path, around.volumes)
    if container.get("volumeDevices"):
        causes += devices(container, path, around.volumes)
    if (policy := container.get("imagePullPolicy") or "") not in _PULL_POLICIES:
        here = f"{path}.imagePullPolicy"
        causes.append(not_supported(here, policy, _PULL_POLICIES) if policy else required(here))
    if wanted := container.get("resources"):
        causes += requirements(wanted, f"{path}.resources", claims=around.claims)
    if policies := container.get("resizePolicy"):
        causes += _resize_policies(policies, f"{path}.resizePolicy", around.restart_policy)
    if context := container.get("securityContext"):
        causes += container_context(context, f"{path}.securityContext", host_users=around.host_users)
    return causes


def _ports(ports: list[Document], path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        if name := port.get("name"):
            if problem := names.port_name(name):
                causes.append(invalid_value(f"{path}[{index}].name", name, problem))
            elif name in seen:
                causes.append(duplicate(f"{path}[{index}].name", name))
            seen.add(name)
        number, outer = port.get("containerPort") or 0, port.get("hostPort") or 0
        if not number:
            causes.append(required(f"{path}[{index}].containerPort"))
        elif problem := names.port(number):
            causes.append(invalid_value(f"{path}[{index}].containerPort", number, problem))
        if outer and (problem := names.port(outer)):
            causes.append(invalid_value(f"{path}[{index}].hostPort", outer, problem))
        if (protocol := port.get("protocol") or "") not in _PROTOCOLS:
            here = f"{path}[{index}].protocol"
            causes.append(not_supported(here, protocol, _PROTOCOLS) if protocol else required(here))
    return causes


def _host_ports(listed: Any, path: str, taken: set[str]) -> list[Cause]:
    """No two containers take one port of the node."""
    causes: list[Cause] = []
    for index, container in enumerate(listed):
        for place, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            key = f"{port.get('protocol') or ''}/{port.get('hostIP') or ''}/{port['hostPort']}"
            if key in taken:
                causes.append(duplicate(f"{path}[{index}].ports[{place}].hostPort", key))
            taken.add(key)
    return causes


def _restarts(container: Document, path: str) -> list[Cause]:
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or ()
    causes: list[Cause] = []
    if policy is None:
        if rules:
            detail = "must specify restartPolicy when restart rules are used"
            causes.append(required(f"{path}.restartPolicy", detail))
    elif policy not in _RESTART_POLICIES:
        causes.append(not_supported(f"{path}.restartPolicy", policy, _RESTART_POLICIES))
    if len(rules) > _MOST_RULES:
        causes.append(too_many(f"{path}.restartPolicyRules", len(rules), _MOST_RULES))
    for index, rule in enumerate(rules):
        here, codes = f"{path}.restartPolicyRules[{index}]", rule.get("exitCodes")
        if (action := rule.get("action") or "") not in _RESTART_ACTIONS:
            causes.append(not_supported(f"{here}.action", action, _RESTART_ACTIONS))
        if codes is None:
            causes.append(required(f"{here}.exitCodes", "must be specified"))
            continue
        if (operator := codes.get("operator") or "") not in ("In", "NotIn"):
            causes.append(not_supported(f"{here}.exitCodes.operator", operator, ("In", "NotIn")))
        if len(values := codes.get("values") or ()) > _MOST_EXIT_CODES:
            causes.append(too_many(f"{here}.exitCodes.values", len(values), _MOST_EXIT_CODES))
    return causes


def _resize_policies(policies: list[Document], path: str, restart_policy: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, policy in enumerate(policies):
        resource, restart = policy.get("resourceName") or "", policy.get("restartPolicy") or ""
        if resource in seen:
            causes.append(duplicate(f"{path}[{index}]", resource))
        seen.add(resource)
        if resource not in _RESIZABLE:
            causes.append(not_supported(path, resource, _RESIZABLE) if resource else required(path))
        if restart not in _RESIZE_POLICIES:
            causes.append(not_supported(path, restart, _RESIZE_POLICIES) if restart else required(path))
        if restart_policy == "Never" and restart != "NotRequired":
            detail = "must be 'NotRequired' when `restartPolicy` is 'Never'"
            causes.append(invalid_value(path, restart, detail))
    return causes
