"""Talking to the API server from the command line: synchronous, over httpx."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from k8slite.catalogue import Catalogue, Resource, builtin
from k8slite.errors import ApiError

from . import kubeconfig
from .failure import Failure

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


class Api:
    """A connection to one cluster."""

    def __init__(
        self, path: Path | None = None, *, context: str = "", namespace: str = "", timeout: float = 30
    ) -> None:
        self.access = kubeconfig.read(path, context=context)
        self.namespace = namespace or self.access.namespace
        self.namespace_asked = bool(namespace)
        headers = {"User-Agent": "k8slite", "Accept": "application/json"}
        if self.access.token:
            headers["Authorization"] = f"Bearer {self.access.token}"
        self._http = httpx.Client(
            base_url=self.access.server,
            verify=self.access.tls or False,
            headers=headers,
            timeout=timeout,
            trust_env=False,
        )
        self._catalogue: Catalogue | None = None

    def __enter__(self) -> Api:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> Any:
        """One request: the decoded answer, or its text if it is no JSON. Raises ApiError; Failure without a server."""
        headers = {"Accept": accept}
        content = None
        if body is not None:
            content = orjson.dumps(body)
            headers["Content-Type"] = content_type
        try:
            answer = self._http.request(method, path, params=dict(query or {}), content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Failure(
                f"the server at {self.access.server} does not answer: {error or type(error).__name__}"
            ) from error
        if answer.status_code >= 400:
            raise _error(answer.status_code, answer.content)
        return orjson.loads(answer.content) if "json" in answer.headers.get("content-type", "") else answer.text

    def lines(self, path: str, *, query: Mapping[str, str] | None = None, accept: str = "*/*") -> Iterator[bytes]:
        """The pieces of a streamed answer (logs, watches) as they come."""
        try:
            with self._http.stream(
                "GET", path, params=dict(query or {}), headers={"Accept": accept}, timeout=httpx.Timeout(30, read=None)
            ) as answer:
                if answer.status_code >= 400:
                    raise _error(answer.status_code, answer.read())
                yield from answer.iter_bytes()
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise Failure(f"the server at {self.access.server} ended the stream: {reason}") from error

    def elsewhere(self, url: str) -> httpx.Response:
        """GET from another server of the cluster, which sees our certificate but no token. Raises httpx.HTTPError."""
        with httpx.Client(verify=self.access.tls or True, timeout=30, trust_env=False) as http:
            return http.get(url)

    def resource(self, word: str) -> Resource:
        """The resource that a user's word means. Raises Failure."""
        found = self.catalogue().resolve(word)
        if found is None:
            raise Failure(f'the server doesn\'t have a resource type "{word}"')
        return found

    def catalogue(self) -> Catalogue:
        """The built-in resources."""
        if self._catalogue is None:
            self._catalogue = builtin()
        return self._catalogue

    def path(
        self,
        resource: Resource,
        name: str = "",
        *,
        subresource: str = "",
        namespace: str = "",
        everywhere: bool = False,
    ) -> str:
        """The URL path of a collection, an object, or a subresource, in the current namespace unless said otherwise."""
        scope = ""
        if resource.namespaced and not everywhere:
            scope = f"/namespaces/{_segment(namespace or self.namespace, 'namespace')}"
        collection = f"{resource.path}{scope}/{resource.plural}"
        return "/".join(part for part in (collection, _segment(name, "name") if name else "", subresource) if part)


def _segment(name: str, what: str) -> str:
    """A name as one part of a path: one that would lead elsewhere (`..` deletes the namespace) is refused."""
    if name in (".", "..") or "/" in name or "%" in name:
        raise Failure(f"{name!r} is no {what}")
    return quote(name, safe="")


def _error(code: int, body: bytes) -> ApiError:
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = {}
    return ApiError.from_status(code, status if isinstance(status, dict) else {})
