"""How custom resources move between their versions, and out of a store that remembers older schemas.

With the strategy None a version differs from another in its name and its schema alone. With Webhook somebody is asked.
Whatever the way, a document that comes out is as the schema of its version has it.

Source: Kubernetes documentation, "Versions in CustomResourceDefinitions".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from k8slite.catalogue import Resource
from k8slite.errors import internal

from ..documents import Document
from .reader import renew
from .structural import Structural


class Asked(Protocol):
    """Somebody who converts: a webhook."""

    async def convert(self, objects: Sequence[Document], desired_api_version: str) -> list[Document]:
        """The documents in the desired version, in their order; those that have it stay as they are.

        Raises ApiError 500.
        """
        ...


class CustomConverter:
    """Converts one custom resource. `schemas` has every version, served or not.

    What was written at the revision `since` or before may not be as today's schema of the stored version has it.
    """

    def __init__(self, schemas: Mapping[str, Structural], *, since: int, asked: Asked | None = None) -> None:
        self._schemas = schemas
        self._since = since
        self._doubts = False
        self._asked = asked

    @property
    def instant(self) -> bool:
        """Whether nobody has to be asked."""
        return self._asked is None

    def is_current(self, revision: int) -> bool:
        """Whether what was stored at that revision is as today's schema has it."""
        return revision > self._since and not self._doubts

    def doubt(self) -> None:
        """Take nothing that is stored for current until `settle` is called."""
        self._doubts = True

    def settle(self, revision: int) -> None:
        """Take for current what is written after that revision."""
        self._since, self._doubts = revision, False

    def convert_now(self, document: Document, to: Resource) -> Document:
        """The document in another version, or renewed in its own; it is changed."""
        if self._asked is not None and document["apiVersion"] != to.api_version:
            raise internal(f"{to.qualified} cannot be converted without its webhook")
        document["apiVersion"], document["kind"] = to.api_version, to.kind
        renew(document, self._schemas[to.version], lenient=True)
        return document

    async def convert(self, documents: list[Document], to: Resource) -> list[Document]:
        """The same for many. Raises ApiError 500 if the webhook fails."""
        if self._asked is not None:
            documents = await self._asked.convert(documents, to.api_version)
        return [self.convert_now(document, to) for document in documents]
