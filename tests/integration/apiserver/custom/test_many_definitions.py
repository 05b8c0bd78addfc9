"""Several definitions beside each other, their objects watched, their schemas published."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from ..watches import watching
from .definitions import condition, custom, definition, establish, path, remove, until, version

pytestmark = pytest.mark.asyncio(loop_scope="module")
_BARS = {"type": "array", "items": {"type": "string"}}
_SPEC = {"type": "object", "required": ["bars"], "properties": {"bars": _BARS}}
_SCHEMA = {"type": "object", "properties": {"spec": _SPEC}}


async def published(http: httpx.AsyncClient, *names: str) -> None:
    """Wait until OpenAPI has these definitions, in both of its versions."""

    async def there() -> bool:
        second = (await http.get("/openapi/v2")).json()["definitions"]
        third: set[str] = set()
        for place in (await http.get("/openapi/v3")).json()["paths"]:
            if ".example.com/" in place:
                third.update((await http.get(f"/openapi/v3/{place}")).json()["components"]["schemas"])
        return set(names) <= set(second) and set(names) <= third

    await until(there, f"{names} are not published")


async def test_the_objects_of_a_definition_are_watched_one_by_one(http: httpx.AsyncClient) -> None:
    made = definition("noxus", "watched.example.com", scope="Cluster")
    await establish(http, made)
    url = path(made)
    start = (await http.get(url)).json()["metadata"]["resourceVersion"]
    async with (
        watching(http, url, fieldSelector="metadata.name=name1", resourceVersion=start) as first,
        watching(http, url, fieldSelector="metadata.name=name2", resourceVersion=start) as second,
    ):
        for watch, name in ((first, "name1"), (second, "name2")):
            created = await http.post(url, json=custom("watched.example.com/v1", "Noxu", name))
            assert await watch.next() == ("ADDED", created.json())
        for watch, name in ((first, "name1"), (second, "name2")):
            changed = await http.put(
                f"{url}/{name}", json={**(await http.get(f"{url}/{name}")).json(), "dummy": "test"}
            )
            assert changed.status_code == 200, changed.text
            assert await watch.next() == ("MODIFIED", changed.json())
        for watch, name in ((first, "name1"), (second, "name2")):
            assert (await http.delete(f"{url}/{name}")).status_code == 200
            kind, last = await watch.next()
            assert (kind, last["metadata"]["name"], last["dummy"]) == ("DELETED", name, "test")
    await remove(http, "noxus.watched.example.com")


async def test_a_definition_is_made_established_and_deleted(http: httpx.AsyncClient) -> None:
    made = await establish(http, definition("plums", "simple.example.com"))
    assert condition(made, "NamesAccepted")["status"] == "True"
    assert made["status"]["acceptedNames"]["plural"] == "plums"
    await remove(http, "plums.simple.example.com")


@pytest.mark.parametrize(
    ("definitions", "names"),
    [
        (
            [
                definition("foos", "one.many.example.com", version(schema=_SCHEMA)),
                definition("waldos", "two.many.example.com", version(schema=_SCHEMA)),
            ],
            ["com.example.many.one.v1.Foo", "com.example.many.two.v1.Waldo"],
        ),
        (
            [
                definition("foos", "versions.example.com", version("v4", schema=_SCHEMA)),
                definition("waldos", "versions.example.com", version("v5", schema=_SCHEMA)),
            ],
            ["com.example.versions.v4.Foo", "com.example.versions.v5.Waldo"],
        ),
        (
            [
                definition("foos", "kinds.example.com", version("v6", schema=_SCHEMA)),
                definition("waldos", "kinds.example.com", version("v6", schema=_SCHEMA)),
            ],
            ["com.example.kinds.v6.Foo", "com.example.kinds.v6.Waldo"],
        ),
    ],
    ids=["groups", "versions", "kinds"],
)
async def test_every_definition_is_published(
    http: httpx.AsyncClient, definitions: list[dict[str, Any]], names: list[str]
) -> None:
    for each in definitions:
        await establish(http, each)
    await published(http, *names)
    for each in definitions:
        await remove(http, each["metadata"]["name"])
    left = (await http.get("/openapi/v2")).json()["definitions"]
    assert not set(names) & set(left)
