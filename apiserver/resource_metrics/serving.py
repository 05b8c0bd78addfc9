"""GET and LIST of NodeMetrics and PodMetrics: from the objects that are asked for to the kubelets that know.

Source: metrics-server, pkg/api (selectors, order, words of refusals).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import orjson

from k8slite.errors import not_found

from .. import tables
from ..calls import Answer, Call, Handler
from ..documents import partial_metadata
from ..registry import GroupPlural, Registry, require_verb
from ..verbs.selecting import selectable
from ..watching.objects import Entry
from .documents import GROUP, node_metrics, pod_metrics
from .scraping import Scraper
from .tracks import History

Document = dict[str, Any]
_OVER = ("Succeeded", "Failed")
_STRIDE = 256
"""Pods that are read before others get their turn: each may have to be decoded."""


class ResourceMetrics:
    """Answers requests for metrics."""

    def __init__(self, registry: Registry, scraper: Scraper) -> None:
        self._registry, self._scraper = registry, scraper

    def handlers(self) -> dict[GroupPlural, Handler]:
        """Who answers for which resource."""
        return {(GROUP, "nodes"): self._nodes, (GROUP, "pods"): self._pods}

    async def _nodes(self, call: Call) -> Answer:
        entries = await self._asked(call, "nodes")
        histories = await self._scraper.histories([entry.name for entry in entries])
        now, moment = self._registry.clock.now(), self._registry.clock.monotonic()
        found = [
            node_metrics(entry.name, entry.labels, rate, now=now)
            for entry in entries
            if entry.name in histories and (rate := histories[entry.name].node(now=moment)) is not None
        ]
        return self._answer(call, found, "nodemetrics", call.info.name)

    async def _pods(self, call: Call) -> Answer:
        entries = await self._asked(call, "pods")
        places = await self._places(entries)
        histories = await self._scraper.histories(set(filter(None, places)))
        now, moment = self._registry.clock.now(), self._registry.clock.monotonic()
        found = []
        for entry, node in zip(entries, places, strict=True):
            history: History | None = histories.get(node)
            rates = history.pod((entry.namespace, entry.name), now=moment) if history is not None else None
            if rates is not None:
                found.append(pod_metrics(entry.namespace, entry.name, entry.labels, rates, now=now))
        return self._answer(call, found, "podmetrics", f"{call.info.namespace}/{call.info.name}")

    async def _asked(self, call: Call, plural: str) -> list[Entry]:
        """The nodes or pods whose metrics are asked for. Raises ApiError."""
        require_verb(call.resource, call.info.verb)
        registry, info = self._registry, call.info
        await registry.cache.consistent()
        objects = registry.cache.resource("", plural)
        if info.name:
            entry = objects.get(info.namespace if call.resource.namespaced else "", info.name)
            if entry is None:
                raise not_found(plural, info.name)
            return [entry]
        fields = selectable(registry.find(*call.resource.key), call.options.field_selector)
        namespace = info.namespace if call.resource.namespaced else ""
        return objects.select(namespace=namespace, labels=call.options.label_selector, fields=fields)

    async def _places(self, pods: Iterable[Entry]) -> list[str]:
        """The node of each pod; empty for one that has none, or has ended."""
        objects, found = self._registry.cache.resource("", "pods"), []
        for index, pod in enumerate(pods):
            over = objects.value_of(pod, "status.phase") in _OVER
            found.append("" if over else objects.value_of(pod, "spec.nodeName"))
            if index % _STRIDE == _STRIDE - 1:
                await asyncio.sleep(0)
        return found

    def _answer(self, call: Call, found: list[Document], plural: str, name: str) -> Answer:
        """What was found, in the form that the client accepts. Raises ApiError 404 for one object that was not."""
        one = bool(call.info.name)
        if one and not found:
            raise not_found(plural, name, group=GROUP)
        match call.accept.form:
            case "table":
                document = tables.table(
                    call.resource,
                    found,
                    now=self._registry.clock.now(),
                    include_object=call.options.include_object,
                    list_metadata={},
                    version=call.accept.version,
                )
            case "metadata":
                partial = [partial_metadata(each, version=call.accept.version) for each in found]
                document = partial[0] if one else _listed("PartialObjectMetadata", partial, call)
            case _:
                document = found[0] if one else _listed(call.resource.kind, found, call)
        return Answer(orjson.dumps(document), worth_gzip=True)


def _listed(kind: str, items: list[Document], call: Call) -> Document:
    version = call.resource.api_version if kind == call.resource.kind else f"meta.k8s.io/{call.accept.version}"
    return {"kind": f"{kind}List", "apiVersion": version, "metadata": {}, "items": items}
