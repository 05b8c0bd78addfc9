"""Rules for what is done to a container from outside: probes and lifecycle hooks, and the handlers of both.

Source: Kubernetes' core validation (validateHandler, validateProbe, validateLifecycle).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, not_supported, required

from . import names

Document = dict[str, Any]

_SCHEMES = ("HTTP", "HTTPS")
_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def probes(container: Document, field: str, grace: int | None) -> list[Cause]:
    """What is wrong with a container's three probes; `grace` is the pod's period of grace."""
    causes: list[Cause] = []
    if (probe := container.get("livenessProbe")) is not None:
        causes += _probe(probe, f"{field}.livenessProbe", grace) + _once(probe, f"{field}.livenessProbe")
    if (probe := container.get("readinessProbe")) is not None:
        here = f"{field}.readinessProbe"
        causes += _probe(probe, here, grace)
        if (seconds := probe.get("terminationGracePeriodSeconds")) is not None:
            detail = "must not be set for readinessProbes"
            causes.append(invalid_value(f"{here}.terminationGracePeriodSeconds", seconds, detail))
    if (probe := container.get("startupProbe")) is not None:
        causes += _probe(probe, f"{field}.startupProbe", grace) + _once(probe, f"{field}.startupProbe")
    return causes


def lifecycle(hooks: Document, field: str, grace: int | None) -> list[Cause]:
    """What is wrong with a container's hooks."""
    causes: list[Cause] = []
    for hook in ("postStart", "preStop"):
        if (handler := hooks.get(hook)) is not None:
            causes += _handler(handler, f"{field}.{hook}", grace, ("exec", "httpGet", "tcpSocket", "sleep"))
    return causes


def port_reference(value: Any, field: str) -> list[Cause]:
    """A port's number, or the name of a container's port."""
    if value is None:
        value = 0
    problem = names.port(value) if isinstance(value, int) else names.port_name(value)
    return [invalid_value(field, value, problem)] if problem else []


def _probe(probe: Document, field: str, grace: int | None) -> list[Cause]:
    causes = _handler(probe, field, grace, ("exec", "httpGet", "tcpSocket", "grpc"))
    for name in _COUNTS:
        if (value := probe.get(name) or 0) < 0:
            causes.append(invalid_value(f"{field}.{name}", value, "must be greater than or equal to 0"))
    seconds = probe.get("terminationGracePeriodSeconds")
    if seconds is not None and seconds <= 0:
        causes.append(invalid_value(f"{field}.terminationGracePeriodSeconds", seconds, "must be greater than 0"))
    return causes


def _once(probe: Document, field: str) -> list[Cause]:
    value = probe.get("successThreshold", 1)
    return [] if value == 1 else [invalid_value(f"{field}.successThreshold", value, "must be 1")]


def _handler(handler: Document, field: str, grace: int | None, kinds: tuple[str, ...]) -> list[Cause]:
    chosen = [kind for kind in kinds if handler.get(kind) is not None]
    if not chosen:
        return [required(field, "must specify a handler type")]
    causes = _ACTIONS[chosen[0]](handler[chosen[0]], f"{field}.{chosen[0]}", grace)
    return causes + [
        forbidden_field(f"{field}.{kind}", "may not specify more than 1 handler type") for kind in chosen[1:]
    ]


def _exec(action: Document, field: str, grace: int | None) -> list[Cause]:
    return [] if action.get("command") else [required(f"{field}.command")]


def _http_get(action: Document, field: str, grace: int | None) -> list[Cause]:
    causes = [] if action.get("path") else [required(f"{field}.path")]
    causes += port_reference(action.get("port"), f"{field}.port")
    if (scheme := action.get("scheme") or "") not in _SCHEMES:
        causes.append(not_supported(f"{field}.scheme", scheme, _SCHEMES))
    for header in action.get("httpHeaders") or ():
        if problem := names.http_header(header.get("name") or ""):
            causes.append(invalid_value(f"{field}.httpHeaders", header.get("name") or "", problem))
    return causes


def _port(action: Document, field: str, grace: int | None) -> list[Cause]:
    return port_reference(action.get("port"), f"{field}.port")


def _sleep(action: Document, field: str, grace: int | None) -> list[Cause]:
    seconds = action.get("seconds") or 0
    if grace is None or 0 <= seconds <= grace:
        return []
    return [
        invalid_value(field, seconds, f"must be non-negative and less than terminationGracePeriodSeconds ({grace})")
    ]


_ACTIONS: dict[str, Callable[[Document, str, int | None], list[Cause]]] = {
    "exec": _exec,
    "httpGet": _http_get,
    "tcpSocket": _port,
    "grpc": _port,
    "sleep": _sleep,
}
