"""Asking the metrics APIs, each question once for all who ask it at about the same time.

Autoscalers of a namespace are looked at in the same moments. Where their pods are most of the namespace's, one answer
about all pods serves them all; two metrics of one autoscaler share one in any case.

Source: k8s.io/metrics, clients of metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp

from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.errors import ApiError
from k8slite.kinds.autoscaling import CrossVersionObjectReference, MetricIdentifier, MetricSpec

from ..discovery import Mapper
from .judging import Answer, Unreachable
from .targets import NoTarget, group_of

PATIENCE = 10.0
"""Seconds that an adapter may take."""
_RESOURCE, _CUSTOM, _EXTERNAL = "metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"
_NOT_SERVED = "the server could not find the requested resource"


class Metrics:
    """Asks. An answer is good for `fresh` seconds."""

    def __init__(self, client: Client, mapper: Mapper, *, clock: Clock, fresh: float) -> None:
        self._client = client
        self._mapper = mapper
        self._clock = clock
        self._fresh = fresh
        self._asked: dict[tuple[str, str, str], tuple[float, asyncio.Task[Answer]]] = {}
        self._custom_versions: tuple[float, tuple[str, ...]] = (float("-inf"), ())

    async def ask(self, metric: MetricSpec, *, namespace: str, selector: str, share: bool) -> Answer:
        """What is known of a metric, of the pods of a selector. With `share` there may be other pods in it."""
        match metric.type:
            case "Resource" | "ContainerResource":
                path = f"/apis/{_RESOURCE}/v1beta1/namespaces/{namespace}/pods"
                return await self._once(path, {} if share else {"labelSelector": selector}, what=f"pods.{_RESOURCE}")
            case "Pods":
                return await self._custom(namespace, "pods/*", metric.pods.metric, selector=selector)
            case "Object":
                return await self._of_object(namespace, metric.object.described_object, metric.object.metric)
            case "External":
                identifier = metric.external.metric
                path = f"/apis/{_EXTERNAL}/v1beta1/namespaces/{namespace}/{quote(identifier.name, safe='')}"
                return await self._once(
                    path, _labels("labelSelector", identifier), what=f"{identifier.name}.{_EXTERNAL}"
                )
            case _:
                return ()

    async def _of_object(self, namespace: str, about: CrossVersionObjectReference, metric: MetricIdentifier) -> Answer:
        try:
            group = group_of(about)
            if (group, about.kind) == ("", "Namespace"):
                return await self._custom(namespace, "metrics", metric)
            found = await self._mapper.find(group, about.kind)
        except (ApiError, aiohttp.ClientError, OSError, NoTarget) as error:
            return Unreachable(_text(error))
        if not found:
            kind = f"{about.kind}.{group}" if group else about.kind
            why = f'no matches for kind "{about.kind}" in group "{group}"'
            return Unreachable(f"unable to map kind {kind} to resource: {why}")
        resource = found[0].resource
        qualified = f"{resource.plural}.{group}" if group else resource.plural
        return await self._custom(namespace, f"{qualified}/{quote(about.name, safe='')}", metric)

    async def _custom(self, namespace: str, about: str, metric: MetricIdentifier, *, selector: str = "") -> Answer:
        try:
            versions = await self._versions()
        except (ApiError, aiohttp.ClientError, OSError) as error:
            return Unreachable(_text(error))
        if not versions:
            return Unreachable("no custom metrics API (custom.metrics.k8s.io) registered")
        path = f"/apis/{_CUSTOM}/{versions[0]}/namespaces/{namespace}/{about}/{quote(metric.name, safe='')}"
        query = _labels("metricLabelSelector", metric) | ({"labelSelector": selector} if selector else {})
        return await self._once(path, query, what=f"{metric.name}.{_CUSTOM}")

    async def _versions(self) -> tuple[str, ...]:
        """The versions of the custom metrics API that somebody serves, the newest first."""
        at, known = self._custom_versions
        if not known or self._clock.monotonic() - at > 30.0:
            try:
                served = await self._client.request("GET", f"/apis/{_CUSTOM}")
            except ApiError as error:
                if error.code != 404:
                    raise
                return ()
            names = {one["version"] for one in served.get("versions") or ()}
            known = tuple(one for one in ("v1beta2", "v1beta1") if one in names)
            self._custom_versions = (self._clock.monotonic(), known)
        return known

    async def _once(self, path: str, query: Mapping[str, str], *, what: str) -> Answer:
        """The answer, asked for now or a moment ago."""
        now = self._clock.monotonic()
        for key in [key for key, (at, task) in self._asked.items() if now - at > self._fresh and task.done()]:
            del self._asked[key]
        key = (path, query.get("labelSelector", ""), query.get("metricLabelSelector", ""))
        asked = self._asked.get(key)
        if asked is None or now - asked[0] > self._fresh:
            asked = self._asked[key] = (now, asyncio.create_task(self._get(path, query, what=what)))
        return await asyncio.shield(asked[1])

    async def _get(self, path: str, query: Mapping[str, str], *, what: str) -> Answer:
        try:
            async with asyncio.timeout(PATIENCE):
                found: Any = await self._client.request("GET", path, query=query)
        except TimeoutError:
            return Unreachable(f"no answer in {PATIENCE:.0f} s")
        except ApiError as error:
            verb_and_resource = f" (get {what})" if error.message == _NOT_SERVED else ""
            return Unreachable(error.message + verb_and_resource)
        except (aiohttp.ClientError, OSError) as error:
            return Unreachable(_text(error))
        items = (found.get("items") or []) if isinstance(found, dict) else None
        return items if isinstance(items, list) else Unreachable("the answer is no list")


def _text(error: Exception) -> str:
    return error.message if isinstance(error, ApiError) else str(error) or type(error).__name__


def _labels(parameter: str, metric: MetricIdentifier) -> dict[str, str]:
    text = selector_text(metric.selector or {})
    return {parameter: text} if text else {}


_OPERATORS = {
    "Exists": "{key}",
    "DoesNotExist": "!{key}",
    "In": "{key} in ({values})",
    "NotIn": "{key} notin ({values})",
}


def selector_text(selector: Mapping[str, Any]) -> str:
    """A label selector object as it is written in a query."""
    parts = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or ():
        values = ",".join(sorted(one.get("values") or ()))
        parts.append((one["key"], _OPERATORS[one["operator"]].format(key=one["key"], values=values)))
    return ",".join(text for _, text in sorted(parts))
