"""What a conversion webhook is asked, and which of its answers are taken."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest

from k8slite.apiserver.backends import Target
from k8slite.apiserver.custom.webhook_conversion import WebhookConversion
from k8slite.apiserver.webhooks import WebhookFailure, Webhooks
from k8slite.errors import ApiError

Document = dict[str, Any]
Answering = Callable[[Document], Document]


def widget(name: str, version: str = "v1", **metadata: Any) -> Document:
    return {
        "apiVersion": f"example.com/{version}",
        "kind": "Widget",
        "metadata": {"name": name, "namespace": "n", "uid": f"uid-{name}", "managedFields": [{"manager": "m"}]}
        | metadata,
        "spec": {"size": 1},
    }


def answer(review: Document, objects: list[Document], **response: Any) -> Document:
    head = {"uid": review["request"]["uid"], "result": {"status": "Success"}, "convertedObjects": objects}
    return {"kind": "ConversionReview", "apiVersion": review["apiVersion"], "response": head | response}


def converted(review: Document) -> list[Document]:
    objects = copy.deepcopy(review["request"]["objects"])
    for each in objects:
        each["apiVersion"] = review["request"]["desiredAPIVersion"]
        each["spec"] = {"length": each["spec"]["size"]}
    return cast(list[Document], objects)


class Played:
    """A webhook that is a function; it remembers what it was asked."""

    def __init__(self, answering: Answering) -> None:
        self.asked: list[Document] = []
        self._answering = answering

    async def post(self, target: Target, review: Document) -> Document:
        self.asked.append(copy.deepcopy(review))
        return self._answering(review)


def conversion(played: Played, **config: Any) -> WebhookConversion:
    client = {"service": {"namespace": "n", "name": "s"}}
    whole = {"conversionReviewVersions": ["v1"], "clientConfig": client} | config
    return WebhookConversion(cast(Webhooks, played), whole)


async def test_only_what_has_another_version_is_sent_and_order_is_kept() -> None:
    played = Played(lambda review: answer(review, converted(review)))
    given = [widget("a"), widget("b", "v2"), widget("c")]
    before = copy.deepcopy(given)
    result = await conversion(played).convert(given, "example.com/v2")
    assert [each["metadata"]["name"] for each in result] == ["a", "b", "c"]
    assert [each["apiVersion"] for each in result] == ["example.com/v2"] * 3
    assert [each["spec"] for each in result] == [{"length": 1}, {"size": 1}, {"length": 1}]
    assert given == before
    (asked,) = played.asked
    assert asked["apiVersion"] == "apiextensions.k8s.io/v1"
    assert asked["request"]["desiredAPIVersion"] == "example.com/v2"
    assert [each["metadata"]["name"] for each in asked["request"]["objects"]] == ["a", "c"]


async def test_nothing_to_convert_asks_nobody() -> None:
    played = Played(lambda review: answer(review, []))
    assert await conversion(played).convert([widget("a")], "example.com/v1") == [widget("a")]
    assert played.asked == []


async def test_a_long_list_goes_in_several_reviews() -> None:
    played = Played(lambda review: answer(review, converted(review)))
    given = [widget(f"w{index}") for index in range(1_201)]
    result = await conversion(played).convert(given, "example.com/v2")
    assert [each["metadata"]["name"] for each in result] == [each["metadata"]["name"] for each in given]
    assert [len(each["request"]["objects"]) for each in played.asked] == [500, 500, 201]


async def test_of_the_metadata_only_labels_and_annotations_change() -> None:
    def change(review: Document) -> Document:
        objects = converted(review)
        objects[0]["metadata"].update(labels={"new": "yes"}, managedFields=[], generation=7, finalizers=["x/y"])
        objects[0]["metadata"].pop("annotations")
        return answer(review, objects)

    given = widget("a", labels={"old": "yes"}, annotations={"k": "v"}, generation=2)
    (result,) = await conversion(Played(change)).convert([given], "example.com/v2")
    assert result["metadata"] == {
        "name": "a",
        "namespace": "n",
        "uid": "uid-a",
        "managedFields": [{"manager": "m"}],
        "labels": {"new": "yes"},
        "generation": 2,
    }


def changed(change: Callable[[Document], None]) -> Answering:
    def answering(review: Document) -> Document:
        objects = converted(review)
        change(objects[0])
        return answer(review, objects)

    return answering


@pytest.mark.parametrize(
    ("answering", "message"),
    [
        (lambda review: answer(review, []), "returned 0 objects, expected 1"),
        (
            lambda review: answer(review, converted(review), uid="other"),
            r' failed: expected response.uid="[0-9a-f-]+", got "other"',
        ),
        (lambda review: {**answer(review, []), "response": None}, "failed: no response provided"),
        (
            lambda review: {**answer(review, []), "kind": "Other"},
            "failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got "
            "apiextensions.k8s.io/v1, Kind=Other",
        ),
        (lambda review: answer(review, [], result={"status": "Failed", "message": "will not"}), "failed: will not"),
        (
            lambda review: answer(review, [], result={"status": "Failed"}),
            "failed: response.result.status was 'Failed', not 'Success'",
        ),
        (
            changed(lambda each: each.update(apiVersion="example.com/v9")),
            r"returned invalid object at index 0: invalid groupVersion \(expected example.com/v2, received "
            r"example.com/v9\)",
        ),
        (
            changed(lambda each: each.update(kind="Gadget")),
            r"returned invalid object at index 0: invalid kind \(expected Widget, received Gadget\)",
        ),
        (
            changed(lambda each: each["metadata"].update(name="b")),
            "returned invalid object: must have the same name: a != b",
        ),
        (
            changed(lambda each: each["metadata"].update(uid="b")),
            "returned invalid object: must have the same UID: uid-a != b",
        ),
        (changed(lambda each: each.pop("metadata")), "returned invalid metadata: missing metadata in converted object"),
        (
            changed(lambda each: each["metadata"].update(labels={"a": 1})),
            r"returned invalid metadata: metadata.labels\[a\] must be a string, but is int in converted object",
        ),
        (
            changed(lambda each: each["metadata"].update(labels={"a": "-"})),
            "returned invalid metadata: metadata.labels: Invalid value",
        ),
    ],
)
async def test_a_wrong_answer_is_refused(answering: Answering, message: str) -> None:
    with pytest.raises(
        ApiError, match=f"^Internal error occurred: conversion webhook for {KIND},? ?{message}"
    ) as caught:
        await conversion(Played(answering)).convert([widget("a")], "example.com/v2")
    assert caught.value.code == 500


KIND = "example.com/v1, Kind=Widget"


async def test_a_webhook_that_fails_is_named() -> None:
    def fail(review: Document) -> Document:
        raise WebhookFailure('Post "https://s.n.svc:443/?timeout=30s": service "s" not found')

    with pytest.raises(ApiError) as caught:
        await conversion(Played(fail)).convert([widget("a")], "example.com/v2")
    assert caught.value.message == (
        f"Internal error occurred: conversion webhook for {KIND} failed: "
        'Post "https://s.n.svc:443/?timeout=30s": service "s" not found'
    )


async def test_only_known_review_versions_are_spoken() -> None:
    played = Played(lambda review: answer(review, converted(review)))
    await conversion(played, conversionReviewVersions=["v7", "v1beta1"]).convert([widget("a")], "example.com/v2")
    assert played.asked[0]["apiVersion"] == "apiextensions.k8s.io/v1beta1"
    with pytest.raises(ApiError, match="no supported conversion review versions"):
        await conversion(played, conversionReviewVersions=["v7"]).convert([widget("a")], "example.com/v2")
