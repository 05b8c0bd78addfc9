"""Conversion of custom resources by a webhook: documents are posted in one version and come back in another.

A webhook converts the spec and the status. Of the metadata it may change labels and annotations only: everything else
(managed fields among it) is put back from the document that was sent. An answer that is not for exactly the documents
of the question, in their order, is refused whole.

Source: Kubernetes' apiextensions-apiserver, conversion/webhook_converter.go; apiextensions.k8s.io/v1 ConversionReview.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from k8slite.errors import Cause, invalid_value

from ..backends import BackendError, target_of
from ..conversions import ConversionFailed
from ..strategies.base import Document
from ..validation import names
from ..validation.metadata import label_map
from ..webhooks import WebhookFailure, Webhooks

_GROUP = "apiextensions.k8s.io"
_REVIEW_VERSIONS = ("v1", "v1beta1")
_BATCH = 500
"""Documents sent in one review; a list has more than one review if it is longer."""
_IDENTITY = (("name", "name"), ("namespace", "namespace"), ("uid", "UID"))


class WebhookConversion:
    """The conversion of one custom resource: `config` is its `spec.conversion.webhook`."""

    def __init__(self, webhooks: Webhooks, config: Mapping[str, Any]) -> None:
        self._webhooks = webhooks
        self._config = config
        versions = config.get("conversionReviewVersions") or ()
        self._review = next((version for version in versions if version in _REVIEW_VERSIONS), "")

    async def convert(self, objects: Sequence[Document], desired_api_version: str) -> list[Document]:
        """The documents in the desired version (`group/version`), in their order; those that have it stay as they are.

        The given documents are not changed. Raises ConversionFailed.
        """
        converted = list(objects)
        places = [index for index, each in enumerate(objects) if each["apiVersion"] != desired_api_version]
        for start in range(0, len(places), _BATCH):
            batch = places[start : start + _BATCH]
            asked = [objects[index] for index in batch]
            for index, document in zip(batch, await self._ask(asked, desired_api_version), strict=True):
                converted[index] = document
        return converted

    async def _ask(self, asked: list[Document], desired: str) -> list[Document]:
        about = f"conversion webhook for {_shown(asked[0])}"
        if not self._review:
            raise ConversionFailed("no supported conversion review versions")
        uid = str(uuid.uuid4())
        review = {
            "kind": "ConversionReview",
            "apiVersion": f"{_GROUP}/{self._review}",
            "request": {"uid": uid, "desiredAPIVersion": desired, "objects": asked},
        }
        try:
            target = target_of(self._config["clientConfig"])
            answer = await self._webhooks.post(target, review)
            answered = converted_objects(answer, uid=uid, version=self._review)
        except (WebhookFailure, BackendError, ValueError) as error:
            raise ConversionFailed(f"{about} failed: {error}") from error
        if len(answered) != len(asked):
            raise ConversionFailed(f"{about} returned {len(answered)} objects, expected {len(asked)}")
        for index, (old, new) in enumerate(zip(asked, answered, strict=True)):
            _check(about, index, old, new, desired)
        return answered


def converted_objects(review: Document, *, uid: str, version: str) -> list[Document]:
    """The documents of an answer. Raises ValueError, in Kubernetes' words, if it is none for that question."""
    expected = f"{_GROUP}/{version}, Kind=ConversionReview"
    if version == "v1" and _shown(review) != expected:
        raise ValueError(f"expected webhook response of {expected}, got {_shown(review)}")
    response = review.get("response")
    if not isinstance(response, dict):
        raise ValueError("no response provided")
    if version == "v1" and response.get("uid") != uid:
        raise ValueError(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
    result = response.get("result") or {}
    if result.get("status") != "Success":
        raise ValueError(
            result.get("message") or f"response.result.status was '{result.get('status') or ''}', not 'Success'"
        )
    objects = response.get("convertedObjects") or []
    if not isinstance(objects, list):
        raise ValueError("response.convertedObjects is no list")
    return objects


def _check(about: str, index: int, old: Document, new: object, desired: str) -> None:
    """Refuse a document that is not the old one in another version; put back its metadata."""
    if not isinstance(new, dict):
        raise ConversionFailed(f"{about} returned invalid object at index {index}: no object")
    if new.get("apiVersion") != desired:
        received = new.get("apiVersion") or ""
        text = f"invalid groupVersion (expected {desired}, received {received})"
        raise ConversionFailed(f"{about} returned invalid object at index {index}: {text}")
    if new.get("kind") != old["kind"]:
        text = f"invalid kind (expected {old['kind']}, received {new.get('kind') or ''})"
        raise ConversionFailed(f"{about} returned invalid object at index {index}: {text}")
    try:
        metadata = new.get("metadata")
        if metadata is None:
            raise ValueError("missing metadata in converted object")
        if not isinstance(metadata, dict):
            raise ValueError(f"invalid metadata of type {type(metadata).__name__} in converted object")
        restored = restore_metadata(old["metadata"], metadata)
    except ValueError as error:
        raise ConversionFailed(f"{about} returned invalid metadata: {error}") from error
    for field, word in _IDENTITY:
        before, after = old["metadata"].get(field) or "", metadata.get(field) or ""
        if before != after:
            raise ConversionFailed(f"{about} returned invalid object: must have the same {word}: {before} != {after}")
    new["metadata"] = restored


def restore_metadata(old: Document, new: Document) -> Document:
    """The old metadata with the new labels and annotations. Raises ValueError for such that cannot be."""
    restored = dict(old)
    for field in ("labels", "annotations"):
        value = new.get(field)
        if value is None:
            restored.pop(field, None)
            continue
        if not isinstance(value, dict):
            raise ValueError(f"invalid metadata.{field} of type {type(value).__name__} in converted object")
        for key, item in value.items():
            if not isinstance(item, str):
                kind = type(item).__name__
                raise ValueError(f"metadata.{field}[{key}] must be a string, but is {kind} in converted object")
        if value != old.get(field):
            faults = [str(cause) for cause in _faults(field, value)]
            if faults:
                raise ValueError(faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")
        restored[field] = value
    return restored


def _faults(field: str, pairs: Mapping[str, str]) -> list[Cause]:
    if field == "labels":
        return label_map(pairs, "metadata.labels")
    problems = ((key, names.qualified_name(key.lower())) for key in pairs)
    return [invalid_value("metadata.annotations", key, problem) for key, problem in problems if problem]


def _shown(document: Document) -> str:
    return f"{document.get('apiVersion') or ''}, Kind={document.get('kind') or ''}"
