"""What is allowed in a pod and seldom meant: warnings for whoever makes it.

Source: Kubernetes' pkg/api/pod/warnings.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import names
from .resources import amount, text
from .security import each_container

Document = dict[str, Any]

_DEPRECATED_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_DEPRECATED_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_DEPRECATED_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def pod_name_warnings(name: str) -> list[str]:
    """A pod's name is the host name of its containers."""
    problem = names.dns_label(name)
    if not problem:
        return []
    return [
        "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is "
        f"recommended: [{problem}]"
    ]


def pod_warnings(obj: Document, prefix: str) -> list[str]:
    """All warnings about a pod (`prefix` is empty) or a template (`prefix` is its path and a dot)."""
    return list(_warnings(obj.get("metadata") or {}, obj.get("spec") or {}, prefix))


def workload_warnings(obj: Document, old: Document | None) -> list[str]:
    """Warnings about a kind that makes pods named after itself, when it is new or its spec has changed."""
    found = template_warnings(obj, old)
    if old is None and (problem := names.dns_label(obj["metadata"].get("name") or "")):
        found.insert(
            0,
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS "
            f"label is recommended: [{problem}]",
        )
    return found


def template_warnings(obj: Document, old: Document | None) -> list[str]:
    """Warnings about the template alone: of a DaemonSet's or StatefulSet's own name Kubernetes says nothing."""
    if old is not None and obj["metadata"].get("generation") == old["metadata"].get("generation"):
        return []
    spec, path = obj.get("spec") or {}, "spec"
    if "jobTemplate" in spec:
        spec, path = (spec["jobTemplate"] or {}).get("spec") or {}, "spec.jobTemplate.spec"
    return pod_warnings(spec.get("template") or {}, f"{path}.template.")


def _warnings(meta: Document, spec: Document, prefix: str) -> Iterator[str]:
    field = f"{prefix}spec"
    for key in spec.get("nodeSelector") or ():
        if key in _DEPRECATED_LABELS:
            yield f"{field}.nodeSelector[{key}]: {_DEPRECATED_LABELS[key]}"
    if nodes := (spec.get("affinity") or {}).get("nodeAffinity"):
        yield from _node_affinity(nodes, f"{field}.affinity.nodeAffinity")
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        here, key = f"{field}.topologySpreadConstraints[{index}]", constraint.get("topologyKey")
        if key in _DEPRECATED_LABELS:
            yield f"{here}.topologyKey: {key} is {_DEPRECATED_LABELS[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{here}.labelSelector: a null labelSelector results in matching no pod"
    annotations = meta.get("annotations") or {}
    for key, words in _DEPRECATED_ANNOTATIONS.items():
        if key in annotations:
            yield f"{prefix}metadata.annotations[{key}]: {words}"
    for index, volume in enumerate(spec.get("volumes") or ()):
        for kind in volume:
            if kind in _DEPRECATED_VOLUMES:
                yield f"{field}.volumes[{index}].{_go(kind)}: {_DEPRECATED_VOLUMES[kind]}"
    yield from _twice(spec.get("hostAliases") or (), "ip", f"{field}.hostAliases")
    secrets = spec.get("imagePullSecrets") or ()
    yield from _twice(secrets, "name", f"{field}.imagePullSecrets")
    for index, secret in enumerate(secrets):
        if not secret.get("name"):
            yield f'{field}.imagePullSecrets[{index}].name: invalid empty name ""'
    yield from _fractions(spec.get("overhead"), f"{field}.overhead")
    for container, at in each_container(spec, field):
        resources = container.get("resources") or {}
        for kind in ("limits", "requests"):
            yield from _fractions(resources.get(kind), f"{at}.resources.{kind}")
        if len(variables := container.get("env") or ()) > 1:
            yield from _hidden(variables, f"{at}.env")
    yield from _ports(spec, field)


def _go(kind: str) -> str:
    return "storageOS" if kind == "storageos" else kind


def _node_affinity(nodes: Document, field: str) -> Iterator[str]:
    terms = [
        (term, f"{field}.{_REQUIRED}.nodeSelectorTerms[{index}]")
        for index, term in enumerate((nodes.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ())
    ]
    terms += [
        (one.get("preference") or {}, f"{field}.{_PREFERRED}[{index}].preference")
        for index, one in enumerate(nodes.get(_PREFERRED) or ())
    ]
    for term, here in terms:
        for index, item in enumerate(term.get("matchExpressions") or ()):
            if (key := item.get("key")) in _DEPRECATED_LABELS:
                yield f"{here}.matchExpressions[{index}].key: {key} is {_DEPRECATED_LABELS[key]}"


def _twice(items: Any, member: str, field: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, item in enumerate(items):
        value = item.get(member) or ""
        if value in seen:
            yield f'{field}[{index}].{member}: duplicate {member} "{value}"'
        seen.add(value)


def _fractions(values: Document | None, field: str) -> Iterator[str]:
    for name in ("memory", "ephemeral-storage") if values else ():
        number = amount(values[name]) if values and name in values else None
        if values and number is not None and number % 1:
            yield f'{field}[{name}]: fractional byte value "{text(values[name])}" is invalid, must be an integer'


def _hidden(variables: Any, field: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, variable in enumerate(variables):
        name, value = variable.get("name") or "", variable.get("value") or ""
        reference = f"$({name})"
        if name in seen and (variable.get("valueFrom") is not None or value == reference or reference not in value):
            yield f'{field}[{index}]: hides previous definition of "{name}", which may be dropped when using apply'
        seen.add(name)


def _ports(spec: Document, field: str) -> Iterator[str]:
    known: dict[tuple[int, str], list[tuple[Document, str]]] = {}
    for container, at in each_container(spec, field):
        for index, port in enumerate(container.get("ports") or ()):
            here, outer = f"{at}.ports[{index}]", port.get("hostPort") or 0
            if port.get("hostIP") and not outer:
                yield f"{here}: hostIP set without hostPort: {_go_port(port)}"
            others = known.setdefault((port.get("containerPort") or 0, port.get("protocol") or ""), [])
            for other, place in others:
                theirs = other.get("hostPort") or 0
                if outer == theirs and port.get("hostIP") == other.get("hostIP"):
                    yield f"{here}: duplicate port definition with {place}"
                elif not outer or not theirs:
                    yield f"{here}: overlapping port definition with {place}"
                elif outer == theirs and not (port.get("hostIP") and other.get("hostIP")):
                    yield f"{here}: dangerously ambiguous port definition with {place}"
            others.append((port, here))


def _go_port(port: Document) -> str:
    members = ("name", "hostPort", "containerPort", "protocol", "hostIP")
    shown = (f"{name[0].upper()}{name[1:]}:{port.get(name, 0 if name.endswith('Port') else '')}" for name in members)
    return "{" + " ".join(shown) + "}"
