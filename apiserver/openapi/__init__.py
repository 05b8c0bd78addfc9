"""OpenAPI: the API described to machines, under `/openapi/v2` and `/openapi/v3`.

kubectl reads version 3 for `explain`, for strategic merge in `apply`, and to see whether the server validates fields
and does dry runs. Documents are generated from the catalogue and the facts when first asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Protocol

from k8slite.catalogue import Catalogue
from k8slite.errors import not_acceptable
from k8slite.schema.facts import FactsTable, builtin_facts

from ..discovery import AnswerCache, DiscoveryAnswer
from .custom import CustomSchemas
from .definitions import Schema
from .documents import version_2, version_3
from .protobuf import ACCEPTED, MEDIA_TYPE, encode

_JSON = "application/json"
_READABLE = frozenset({_JSON, "application/*", "*/*", ""})


class Others(Protocol):
    """What other servers describe themselves, behind this one's address."""

    @property
    def generation(self) -> int:
        """Rises whenever anything of it differs."""
        ...

    def openapi_3(self) -> dict[str, Schema]:
        """Their lines of the index, by path; whoever passes requests on answers the documents."""
        ...

    def openapi_2(self, document: Schema) -> Schema:
        """Our document with their parts."""
        ...


class OpenApi:
    """Answers every path below `/openapi`."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        facts: FactsTable | None = None,
        custom: CustomSchemas | None = None,
        others: Others | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._facts = facts or builtin_facts()
        self._custom = custom or CustomSchemas()
        self._others = others
        self._cache = AnswerCache(lambda: catalogue.generation + (others.generation if others is not None else 0))

    def answer(self, path: str, accept: str, if_none_match: str) -> DiscoveryAnswer | None:
        """The document at a path (without its query); None if there is none.

        Raises ApiError 406 for a client that takes another form only.
        """
        match path.strip("/").split("/"):
            case ["openapi", "v2"] if not _reads_json(accept) and ACCEPTED & _media_types(accept):
                return self._cache.answer(MEDIA_TYPE, if_none_match, lambda: (MEDIA_TYPE, self._protobuf()))
            case ["openapi", "v2"]:
                return self._give(path, accept, if_none_match, self._version_2)
            case ["openapi", "v3"]:
                return self._give(path, accept, if_none_match, self._index)
            case ["openapi", "v3", "api", version]:
                group = ""
            case ["openapi", "v3", "apis", group, version]:
                pass
            case _:
                return None
        if version not in self._catalogue.groups().get(group, []):
            return None
        make = partial(version_3, self._catalogue, self._facts, group, version, custom=self._custom)
        return self._give(path, accept, if_none_match, make)

    def is_long(self, path: str) -> bool:
        """The one that describes everything: with 400 definitions it takes a second."""
        return path.strip("/") == "openapi/v2"

    def _version_2(self) -> Schema:
        document = version_2(self._catalogue, self._facts, self._custom)
        return self._others.openapi_2(document) if self._others is not None else document

    def _protobuf(self) -> bytes:
        try:
            return encode(self._version_2())
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            # Another server writes JSON Schema that ours never do: its part can be had as JSON only.
            return encode(version_2(self._catalogue, self._facts, self._custom))

    def _index(self) -> Schema:
        found = index(self._catalogue, self._facts, self._custom)
        return {"paths": {**found["paths"], **self._others.openapi_3()}} if self._others is not None else found

    def _give(self, path: str, accept: str, if_none_match: str, make: Callable[[], Schema]) -> DiscoveryAnswer:
        if not _reads_json(accept):
            raise not_acceptable([_JSON])
        return self._cache.answer(path.strip("/"), if_none_match, lambda: (_JSON, make()))


def _media_types(accept: str) -> frozenset[str]:
    return frozenset(clause.partition(";")[0].strip() for clause in accept.split(","))


def _reads_json(accept: str) -> bool:
    return bool(_READABLE & _media_types(accept))


def index(catalogue: Catalogue, facts: FactsTable, custom: CustomSchemas) -> Schema:
    """`/openapi/v3`: every document with an address that changes whenever its content does."""
    paths: Schema = {}
    for group, versions in catalogue.groups().items():
        for version in versions:
            name = f"apis/{group}/{version}" if group else f"api/{version}"
            rows = catalogue.of(group, version)
            schemas = [found and found.digest for row in rows for found in [custom.get(group, version, row.kind)]]
            content = repr((facts.version, rows, schemas))
            digest = hashlib.sha256(content.encode()).hexdigest().upper()
            paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={digest}"}
    return {"paths": paths}
