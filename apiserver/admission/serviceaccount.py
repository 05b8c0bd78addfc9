"""ServiceAccount: every pod runs as a service account, with a token, the cluster's CA and its namespace at hand.

An account whose annotation says so lets its pods name only those Secrets that it lists; containers that are added later
are looked at like those that the pod began with.

Source: Kubernetes documentation, "Managing Service Accounts: ServiceAccount admission controller".
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any

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
_LOOKED_AT = frozenset({("CREATE", ""), ("UPDATE", "ephemeralcontainers")})


class ServiceAccount(Plugin):
    """Sets `serviceAccountName` of new pods, adds the account's pull secrets, the token's volume and its mounts."""

    kinds = frozenset({("", "pods")})

    def __init__(self, objects: Objects) -> None:
        self._accounts = objects.resource("", "serviceaccounts")
        self._known: Recent[str, tuple[int, Document]] = Recent(_REMEMBERED)
        """Accounts that were asked for lately, with their revisions: many pods are of few accounts."""

    async def mutate(self, admission: Admission) -> None:
        """Complete a new pod. Raises ApiError 403 if its account does not exist."""
        pod = admission.object
        if admission.operation != "CREATE" or admission.subresource or pod is None or _is_mirror(pod):
            return
        spec = pod["spec"]
        name = spec.get("serviceAccountName") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = self._find(admission.namespace, name)
        if account is None:
            raise _no_account(admission, name)
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
            account = self._account(admission, pod)
            if mountable.enforced(account):
                _refuse(admission, mountable.problem(pod, account, added=bool(admission.subresource)))
        else:
            _refuse(admission, mountable.problem_of_mirror(pod))

    def _account(self, admission: Admission, pod: Document) -> Document:
        name = (pod.get("spec") or {}).get("serviceAccountName") or ""
        if not name:
            detail = f"no service account specified for pod {admission.namespace}/{admission.name}"
            raise forbidden("pods", admission.name, detail)
        known: Document | None = admission.reinvocation.memory.get(_NAME)
        if known is None or known["metadata"]["name"] != name:
            known = self._find(admission.namespace, name)
        if known is None:
            raise _no_account(admission, name)
        return known

    def _find(self, namespace: str, name: str) -> Document | None:
        """An account, which must not be changed; None if there is none."""
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
