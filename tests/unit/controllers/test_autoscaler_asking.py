"""Which questions go to the metrics APIs, and that nobody asks twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from k8slite.clock import VirtualClock
from k8slite.controllers.discovery import Mapper
from k8slite.controllers.horizontalpodautoscaler.asking import Metrics
from k8slite.controllers.horizontalpodautoscaler.judging import Answer, Unreachable
from k8slite.errors import ApiError
from k8slite.kinds.autoscaling import MetricSpec

NOT_SERVED = ApiError(404, "NotFound", "the server could not find the requested resource")
CUSTOM, EXTERNAL = "/apis/custom.metrics.k8s.io", "/apis/external.metrics.k8s.io"
RESOURCE = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"
INGRESSES = {"name": "ingresses", "kind": "Ingress", "namespaced": True}
SERVED = {
    "/api/v1": {"resources": [{"name": "services", "kind": "Service", "namespaced": True}]},
    "/apis/networking.k8s.io": {
        "preferredVersion": {"groupVersion": "networking.k8s.io/v1"},
        "versions": [{"groupVersion": "networking.k8s.io/v1"}],
    },
    "/apis/networking.k8s.io/v1": {"resources": [INGRESSES]},
}


class Api:
    """Answers every question of a metrics API with a list of one."""

    def __init__(self, *versions: str) -> None:
        self.versions = versions
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.refusal: Exception | None = None
        self.answer: Any = None
        self.clock = VirtualClock()

    async def request(self, method: str, path: str, *, query: Any = None) -> Any:
        await asyncio.sleep(0)
        if path == CUSTOM:
            if not self.versions:
                raise NOT_SERVED
            return {"versions": [{"version": version} for version in self.versions]}
        if path.count("/") <= 3:
            if path not in SERVED:
                raise NOT_SERVED
            return SERVED[path]
        self.asked.append((path, dict(query or {})))
        if self.refusal is not None:
            raise self.refusal
        return {"items": [{"number": len(self.asked)}]} if self.answer is None else self.answer

    @property
    def metrics(self) -> Metrics:
        client: Any = self
        return Metrics(client, Mapper(client), clock=self.clock, fresh=0.5)


async def ask(metrics: Metrics, kind: str, member: str, *, share: bool = False, **source: Any) -> Answer:
    metric = MetricSpec.model_validate({"type": kind, member: source})
    return await metrics.ask(metric, namespace="default", selector="app=web", share=share)


HITS = {"name": "hits", "selector": {"matchLabels": {"verb": "GET"}}}
SERVICE = {"kind": "Service", "name": "front", "apiVersion": "v1"}
INGRESS = {"kind": "Ingress", "name": "main", "apiVersion": "networking.k8s.io/v1"}
NAMESPACE = {"kind": "Namespace", "name": "any", "apiVersion": "v1"}


@pytest.mark.parametrize(
    ("kind", "member", "source", "path", "query"),
    [
        ("Resource", "resource", {"name": "cpu"}, RESOURCE, {"labelSelector": "app=web"}),
        ("Resource", "resource", {"name": "cpu", "share": True}, RESOURCE, {}),
        (
            "Pods",
            "pods",
            {"metric": HITS},
            f"{CUSTOM}/v1beta2/namespaces/default/pods/*/hits",
            {"labelSelector": "app=web", "metricLabelSelector": "verb=GET"},
        ),
        (
            "Object",
            "object",
            {"metric": {"name": "hits"}, "describedObject": SERVICE},
            f"{CUSTOM}/v1beta2/namespaces/default/services/front/hits",
            {},
        ),
        (
            "Object",
            "object",
            {"metric": {"name": "hits"}, "describedObject": INGRESS},
            f"{CUSTOM}/v1beta2/namespaces/default/ingresses.networking.k8s.io/main/hits",
            {},
        ),
        (
            "Object",
            "object",
            {"metric": {"name": "hits"}, "describedObject": NAMESPACE},
            f"{CUSTOM}/v1beta2/namespaces/default/metrics/hits",
            {},
        ),
        (
            "External",
            "external",
            {"metric": HITS},
            f"{EXTERNAL}/v1beta1/namespaces/default/hits",
            {"labelSelector": "verb=GET"},
        ),
    ],
)
async def test_questions(kind: str, member: str, source: dict[str, Any], path: str, query: dict[str, str]) -> None:
    api = Api("v1beta1", "v1beta2")
    assert await ask(api.metrics, kind, member, **source) == [{"number": 1}]
    assert api.asked == [(path, query)]


async def test_older_custom_metrics_are_asked_where_there_are_no_newer_ones() -> None:
    api = Api("v1beta1")
    await ask(api.metrics, "Pods", "pods", metric={"name": "hits"})
    assert api.asked[0][0] == f"{CUSTOM}/v1beta1/namespaces/default/pods/*/hits"


async def test_a_question_is_asked_once_for_all_who_ask_it() -> None:
    api = Api()
    metrics = api.metrics
    together = await asyncio.gather(*(ask(metrics, "Resource", "resource", name=name) for name in ("cpu", "memory")))
    assert together == [[{"number": 1}]] * 2
    await api.clock.advance(0.4)
    assert await ask(metrics, "ContainerResource", "containerResource", name="cpu") == [{"number": 1}]
    assert await ask(metrics, "External", "external", metric=HITS) == [{"number": 2}]
    await api.clock.advance(0.2)
    assert await ask(metrics, "Resource", "resource", name="cpu") == [{"number": 3}]


@pytest.mark.parametrize(
    ("refusal", "why"),
    [
        (NOT_SERVED, "the server could not find the requested resource (get pods.metrics.k8s.io)"),
        (ApiError(503, "ServiceUnavailable", "the server is currently unable to handle the request"), None),
        (ConnectionRefusedError("refused"), "refused"),
    ],
)
async def test_why_there_is_no_answer(refusal: Exception, why: str | None) -> None:
    api = Api()
    api.refusal = refusal
    found = await ask(api.metrics, "Resource", "resource", name="cpu")
    assert found == Unreachable(why if why is not None else str(refusal))


@pytest.mark.parametrize("answer", ["text", [], {"items": 5}, {"items": {"a": 1}}])
async def test_what_is_no_list_is_no_answer(answer: object) -> None:
    api = Api()
    api.answer = answer
    assert await ask(api.metrics, "Resource", "resource", name="cpu") == Unreachable("the answer is no list")


async def test_what_cannot_even_be_asked() -> None:
    metrics = Api().metrics
    found = await ask(metrics, "Pods", "pods", metric={"name": "hits"})
    assert found == Unreachable("no custom metrics API (custom.metrics.k8s.io) registered")
    what = {"kind": "What", "name": "x", "apiVersion": "example.com/v1"}
    found = await ask(metrics, "Object", "object", metric={"name": "hits"}, describedObject=what)
    assert found == Unreachable(
        'unable to map kind What.example.com to resource: no matches for kind "What" in group "example.com"'
    )
