"""Which Secrets the pods of a service account may name, where its annotation wants that kept. Pure.

Volumes and the environment of all containers count; what is added to a running pod is judged by the same words, as
`envFrom` of ephemeral containers once was not (CVE-2023-2728, CVE-2024-3177).

Source: Kubernetes' plugin/pkg/admission/serviceaccount.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..strategies.base import Document

ANNOTATION = "kubernetes.io/enforce-mountable-secrets"
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})


def enforced(account: Document) -> bool:
    """Whether an account's pods may name only what it lists."""
    return (account["metadata"].get("annotations") or {}).get(ANNOTATION) in _TRUE


def problem(pod: Document, account: Document, *, added: bool) -> str:
    """What a pod names that its account does not list, empty if nothing. `added`: only ephemeral containers are new."""
    spec, name = pod.get("spec") or {}, account["metadata"]["name"]
    allowed = {secret.get("name") for secret in account.get("secrets") or ()}
    for what, secret in _of_ephemeral(spec) if added else _of_pod(spec):
        if secret not in allowed:
            end = f"is not allowed because service account {name} does not reference that secret"
            return f'{what} secret.secretName="{secret}" {end}'
    if added:
        return ""
    pulls = {secret.get("name") for secret in account.get("imagePullSecrets") or ()}
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if secret.get("name") not in pulls:
            end = f"is not allowed because service account {name} does not reference that imagePullSecret"
            return f'imagePullSecrets[{index}].name="{secret.get("name")}" {end}'
    return ""


def problem_of_mirror(pod: Document) -> str:
    """What a mirror pod names although it has no account, empty if nothing."""
    spec = pod.get("spec") or {}
    if spec.get("serviceAccountName"):
        return "a mirror pod may not reference service accounts"
    named = [*_of_pod(spec), *_of_ephemeral(spec), *(spec.get("imagePullSecrets") or ())]
    sources = [s for v in spec.get("volumes") or () for s in (v.get("projected") or {}).get("sources") or ()]
    if named or any(source.get("secret") for source in sources):
        return "a mirror pod may not reference secrets"
    if any(source.get("serviceAccountToken") is not None for source in sources):
        return "a mirror pod may not use ServiceAccountToken volume projections"
    return ""


def _of_pod(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for volume in spec.get("volumes") or ():
        if (secret := volume.get("secret")) is not None:
            yield "volume with", secret.get("secretName") or ""
    for field, kind in (("initContainers", "init container"), ("containers", "container")):
        for container in spec.get(field) or ():
            yield from _of_container(container, kind)


def _of_ephemeral(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for container in spec.get("ephemeralContainers") or ():
        yield from _of_container(container, "ephemeral container")


def _of_container(container: dict[str, Any], kind: str) -> Iterator[tuple[str, str]]:
    start = f"{kind} {container.get('name')} with"
    for variable in container.get("env") or ():
        if (secret := (variable.get("valueFrom") or {}).get("secretKeyRef")) is not None:
            yield f"{start} envVar {variable.get('name')} referencing", secret.get("name") or ""
    for source in container.get("envFrom") or ():
        if (secret := source.get("secretRef")) is not None:
            yield f"{start} envFrom referencing", secret.get("name") or ""
