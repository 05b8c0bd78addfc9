"""Webhooks that want to see what came after them have a second round, once."""

from __future__ import annotations

import httpx
import pytest

from .hooks import (
    MUTATING,
    Behaviour,
    Document,
    Hooks,
    add,
    allow,
    annotate,
    config_map,
    configure,
    patch,
    rule,
    webhook,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
ABOUT = rule("configmaps", operations=["CREATE"])
IF_NEEDED = {"reinvocationPolicy": "IfNeeded"}


def counting(name: str) -> Behaviour:
    """Count in an annotation how often it was asked."""

    def behave(request: Document) -> Document:
        there = request["object"]["metadata"].get("annotations")
        if there is None:
            return patch(add("/metadata/annotations", {name: "1"}))(request)
        return patch(add(f"/metadata/annotations/{name}", str(int(there.get(name, "0")) + 1)))(request)

    return behave


async def paths(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> list[str]:
    """Create an object: which webhooks were asked, in order."""
    made = await http.post(f"/api/v1/namespaces/{namespace}/configmaps", json=config_map("a"))
    assert made.status_code == 201, made.text
    return [path for path, _ in hooks.asked]


async def test_who_asked_for_it_sees_later_changes(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    first = webhook("first", hooks.on("/first", allow), ABOUT, namespace=namespace, **IF_NEEDED)
    never = webhook("never", hooks.on("/never", allow), ABOUT, namespace=namespace)
    last = webhook("last", hooks.on("/last", annotate("last")), ABOUT, namespace=namespace)
    await configure(http, MUTATING, "some", first, never, last)
    assert await paths(http, namespace, hooks) == ["/first", "/never", "/last", "/first"]
    before, after = hooks.requests("/first")
    assert "annotations" not in before["object"]["metadata"]
    assert after["object"]["metadata"]["annotations"] == {"last": "seen"}


async def test_nobody_is_asked_again_if_nothing_came_after(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    first = webhook("first", hooks.on("/first", annotate("first")), ABOUT, namespace=namespace, **IF_NEEDED)
    last = webhook("last", hooks.on("/last", allow), ABOUT, namespace=namespace, **IF_NEEDED)
    await configure(http, MUTATING, "some", first, last)
    assert await paths(http, namespace, hooks) == ["/first", "/last"]


async def test_two_that_always_change_something_come_to_an_end(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    both = [
        webhook(name, hooks.on(f"/{name}", counting(name)), ABOUT, namespace=namespace, **IF_NEEDED)
        for name in ("a", "b")
    ]
    await configure(http, MUTATING, "both", *both)
    assert await paths(http, namespace, hooks) == ["/a", "/b", "/a", "/b"]
    read = await http.get(f"/api/v1/namespaces/{namespace}/configmaps/a")
    assert read.json()["metadata"]["annotations"] == {"a": "2", "b": "2"}


async def test_a_webhook_that_was_not_asked_is_not_asked_in_the_second_round(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    selector = {"objectSelector": {"matchLabels": {"late": "yes"}}}
    skipped = webhook("skipped", hooks.on("/skipped", allow), ABOUT, namespace=namespace, **IF_NEEDED, **selector)
    first = webhook("first", hooks.on("/first", allow), ABOUT, namespace=namespace, **IF_NEEDED)
    label = hooks.on("/label", patch(add("/metadata/labels", {"late": "yes"})))
    await configure(http, MUTATING, "some", skipped, first, webhook("label", label, ABOUT, namespace=namespace))
    assert await paths(http, namespace, hooks) == ["/first", "/label", "/first"]


async def test_a_built_in_plugin_sees_what_webhooks_changed(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    about = rule("pods", operations=["CREATE"])
    tolerations = [{"key": "mine", "operator": "Exists"}]
    client = hooks.on("/add", patch(add("/spec/tolerations", tolerations)))
    await configure(http, MUTATING, "add", webhook("add", client, about, namespace=namespace))
    pod = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", "image": "busybox"}]}}
    made = await http.post(f"/api/v1/namespaces/{namespace}/pods", json=pod)
    keys = [each["key"] for each in made.json()["spec"]["tolerations"]]
    # The webhook threw away what DefaultTolerationSeconds had added; its second round brings it back.
    assert keys == ["mine", "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
