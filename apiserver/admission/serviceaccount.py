"""ServiceAccount: every pod runs as a service account, with a token, the cluster's CA and its namespace at hand.

The account `default` comes into a new namespace a moment after it: who makes a pod there at once waits for it.

An account whose annotation says so lets its pods name only those Secrets that it lists; containers that are added later
are looked at like those that the pod began with.

Source: Kubernetes documentation, "Managing Service Accounts: ServiceAccount admission controller".
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

from k8slite.clock import Clock
from k8slite.errors import ApiError, forbidden
from k8slite.remembering import Recent

from ..lookup import Objects
from ..strategies.base import Document
from ..verbs.metadata import generate_name
from . import mountable
from .base import Admission, Plugin

_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_PREFIX = "kube-api-access-"
_MIRROR = "kubernetes.io/config.mirror"
_TOKEN_SECONDS = 3607
_NAME = "ServiceAccount"
_REMEMBERED = 1024
_DEFAULT = "default"
_LOOKS = 15
"""Times that we look for an account which a controller is about to make."""
_PAUSE = 0.1
_LOOKED_AT = frozenset({("CREATE", ""), ("UPDATE", "ephemeralcontainers")})


class ServiceAccount(Plugin):
    """Sets `serviceAccountName` of new pods, adds the account's pull secrets, the token's volume and its mounts."""

    kinds = frozenset({("", "pods")})

    def __init__(self, objects: Objects, *, consistent: Callable[[], Awaitable[None]], clock: Clock) -> None:
        self._accounts = objects.resource("", "serviceaccounts")
        self._consistent = consistent
        self._clock = clock
        self._known: Recent[str, tuple[int, Document]] = Recent(_REMEMBERED)
        """Accounts that were asked for lately, with their revisions: many pods are of few accounts."""

    async def mutate(self, admission: Admission) -> None:
        """Complete a new pod. Raises ApiError 403 if its account does not exist."""
        pod = admission.object
        if admission.operation != "CREATE" or admission.subresource or pod is None or _is_mirror(pod):
            return
        spec = pod["spec"]
        name = spec.get("serviceAccountName") or _DEFAULT
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = await self._existing(admission, name)
        if (secrets := account.get("imagePullSecrets")) and not spec.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(secret) for secret in secrets]
        admission.reinvocation.memory[_NAME] = account
        automount = spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
        if automount:
            _mount(spec, _volume_name(account["metadata"]["uid"]))

    async def validate(self, admission: Admission) -> None:
        """Refuse what the account does not let its pods name. Raises ApiError 403."""
        pod = admission.object
        if pod is None or (admission.operation, admission.subresource) not in _LOOKED_AT:
            return
        if admission.subresource != "" or not _is_mirror(pod):
            account = await self._account(admission, pod)
            if mountable.enforced(account):
                _refuse(admission, mountable.problem(pod, account, added=bool(admission.subresource)))
        else:
            _refuse(admission, mountable.problem_of_mirror(pod))

    async def _account(self, admission: Admission, pod: Document) -> Document:
        name = (pod.get("spec") or {}).get("serviceAccountName") or ""
        if not name:
            detail = f"no service account specified for pod {admission.namespace}/{admission.name}"
            raise forbidden("pods", admission.name, detail)
        known: Document | None = admission.reinvocation.memory.get(_NAME)
        if known is None or known["metadata"]["name"] != name:
            known = await self._existing(admission, name)
        return known

    async def _existing(self, admission: Admission, name: str) -> Document:
        """An account, which must not be changed. Raises ApiError 403 if there is none and none comes."""
        found = self._find(admission.namespace, name)
        if found is None:
            await self._consistent()
            found = self._find(admission.namespace, name)
        for _ in range(_LOOKS if name == _DEFAULT else 0):
            if found is not None:
                break
            await self._clock.sleep(_PAUSE)
            found = self._find(admission.namespace, name)
        if found is None:
            raise _no_account(admission, name)
        return found

    def _find(self, namespace: str, name: str) -> Document | None:
        entry = self._accounts.get(namespace, name)
        if entry is None:
            return None
        known = self._known.get(entry.key)
        if known is None or known[0] != entry.revision:
            known = entry.revision, entry.document
            self._known.keep(entry.key, known)
        return known[1]


def _is_mirror(pod: Document) -> bool:
    return _MIRROR in (pod["metadata"].get("annotations") or {})


def _refuse(admission: Admission, detail: str) -> None:
    if detail:
        raise forbidden("pods", admission.name, detail)


@lru_cache(maxsize=1024)
def _volume_name(account: str) -> str:
    """A name for an account's volume: one for all its pods, so that pods of one template stay alike."""
    return generate_name(_PREFIX, random.Random(account))


def _mount(spec: dict[str, Any], usual: str) -> None:
    existing = ""
    if volumes := spec.get("volumes"):
        existing = next((v["name"] for v in volumes if str(v.get("name")).startswith(_PREFIX)), "")
    name = existing or usual
    mounted = False
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        mounts = container.setdefault("volumeMounts", [])
        if not (mounts and any(mount.get("mountPath") == _PATH for mount in mounts)):
            mounts.append({"name": name, "readOnly": True, "mountPath": _PATH})
            mounted = True
    if mounted and not existing:
        spec.setdefault("volumes", []).append(_volume(name))


def _volume(name: str) -> dict[str, Any]:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return {
        "name": name,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [namespace]}},
            ],
            "defaultMode": 0o644,
        },
    }


def _no_account(admission: Admission, name: str) -> ApiError:
    detail = f'error looking up service account {admission.namespace}/{name}: serviceaccount "{name}" not found'
    subject = admission.name or str((admission.object or {}).get("metadata", {}).get("generateName", ""))
    return forbidden("pods", subject, detail)
