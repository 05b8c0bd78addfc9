"""A few calls to a Kubernetes API: what a benchmark sets up, waits for and removes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from .kubeconfig import Target

LABEL = "k8slite-bench"
"""Everything that is made carries this label, with the namespace as its value."""

MERGE = "application/merge-patch+json"


class Refused(Exception):
    """The API answered with a failure. `code` is the HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Kube:
    """Calls by method and path."""

    def __init__(self, target: Target) -> None:
        self.target = target
        headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=target.tls() or False, limit=0),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        )

    async def __aenter__(self) -> Kube:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, body: Any = None, *, media: str = "application/json") -> Any:
        """One call; the decoded answer. Raises Refused."""
        data = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": media}
        async with self._session.request(method, self.target.server + path, data=data, headers=headers) as response:
            text = await response.text()
            if response.status >= 400:
                raise Refused(response.status, f"{method} {path}: {response.status} {text[:300]}")
            return json.loads(text) if text.startswith("{") else text

    async def ensure(self, path: str, body: Any) -> None:
        """Create an object unless it is there."""
        try:
            await self.call("POST", path, body)
        except Refused as error:
            if error.code != 409:
                raise

    async def watch(self, path: str) -> AsyncIterator[bytes]:
        """The lines of a watch."""
        async with self._session.get(self.target.server + path) as response:
            if response.status >= 400:
                raise Refused(response.status, await response.text())
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line


@asynccontextmanager
async def namespace(kube: Kube, name: str) -> AsyncIterator[str]:
    """A namespace for one benchmark, removed with all that is in it."""
    metadata = {"name": name, "labels": {LABEL: name}}
    await kube.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    try:
        # Admission wants the account; the controller that makes it may take a moment, or not run at all.
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
        await kube.ensure(f"/api/v1/namespaces/{name}/serviceaccounts", account)
        yield name
    finally:
        await kube.call("DELETE", f"/api/v1/namespaces/{name}/pods?gracePeriodSeconds=0")
        await kube.call("DELETE", f"/api/v1/namespaces/{name}")


async def until(holds: Callable[[], Any], *, what: str, timeout: float = 120.0, every: float = 0.05) -> Any:
    """Ask (an async function) until the answer is true; the answer. Raises TimeoutError."""
    try:
        async with asyncio.timeout(timeout):
            while not (answer := await holds()):  # noqa: ASYNC110 - the state is the server's, which signals nothing
                await asyncio.sleep(every)
            return answer
    except TimeoutError:
        raise TimeoutError(f"{what} did not happen within {timeout:.0f} s") from None


async def bearer(kube: Kube, ns: str) -> str:
    """A token that may work with pods and ConfigMaps of the namespace, as wrk cannot use client certificates."""
    if kube.target.token:
        return kube.target.token
    name = "bench"
    base = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}"
    metadata = {"name": name, "namespace": ns}
    await kube.call(
        "POST",
        f"/api/v1/namespaces/{ns}/serviceaccounts",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
    )
    rules = [{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["*"]}]
    api = "rbac.authorization.k8s.io/v1"
    await kube.call("POST", f"{base}/roles", {"apiVersion": api, "kind": "Role", "metadata": metadata, "rules": rules})
    binding = {
        "apiVersion": api,
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": ns}],
    }
    await kube.call("POST", f"{base}/rolebindings", binding)
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600},
    }
    answer = await kube.call("POST", f"/api/v1/namespaces/{ns}/serviceaccounts/{name}/token", request)
    token: str = answer["status"]["token"]

    async def allowed() -> bool:
        async with Kube(kube.target.with_token(token)) as other:
            try:
                await other.call("GET", f"/api/v1/namespaces/{ns}/pods?limit=1")
            except Refused:
                return False
            return True

    await until(allowed, what="the permission of the benchmark's account", timeout=30)
    return token
