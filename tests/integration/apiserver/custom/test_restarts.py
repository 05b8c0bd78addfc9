"""Definitions and their objects over the life of a server: kept, brought to their end, harmless when broken."""

from __future__ import annotations

from pathlib import Path

from k8slite.apiserver import documents
from k8slite.apiserver.custom.definition import GROUP, PLURAL
from k8slite.apiserver.storage.sqlite import SqliteStore
from k8slite.testing import running_server

from .definitions import CRDS, custom, definition, establish, path, until

MERGE = {"content-type": "application/merge-patch+json"}


async def test_custom_objects_and_their_definitions_outlive_the_server(tmp_path: Path) -> None:
    made = definition("kept", "kept.example.com", kind="Kept")
    async with running_server(store="sqlite", directory=tmp_path) as server, server.http() as http:
        await establish(http, made)
        assert (await http.post(path(made), json=custom("kept.example.com/v1", "Kept", "one"))).status_code == 201
    async with running_server(store="sqlite", directory=tmp_path) as server, server.http() as http:
        assert (await http.get(f"{path(made)}/one")).status_code == 200
        assert (await http.get("/apis/kept.example.com/v1")).json()["resources"][0]["kind"] == "Kept"


async def test_the_end_of_a_definition_goes_on_after_a_restart(tmp_path: Path) -> None:
    made = definition("leaves", "ending.example.com", kind="Leaf")
    async with running_server(store="sqlite", directory=tmp_path) as server, server.http() as http:
        await establish(http, made)
        for name, finalizers in (("held", ["example.com/hold"]), ("free", [])):
            body = custom("ending.example.com/v1", "Leaf", name)
            body["metadata"]["finalizers"] = finalizers
            assert (await http.post(path(made), json=body)).status_code == 201
        assert (await http.delete(f"{CRDS}/leaves.ending.example.com")).status_code == 200
    async with running_server(store="sqlite", directory=tmp_path) as server, server.http() as http:

        async def alone() -> bool:
            return [each["metadata"]["name"] for each in (await http.get(path(made))).json()["items"]] == ["held"]

        await until(alone, "the free object stays")
        refused = await http.post(path(made), json=custom("ending.example.com/v1", "Leaf", "late"))
        assert refused.status_code == 405
        freed = await http.patch(f"{path(made)}/held", json={"metadata": {"finalizers": None}}, headers=MERGE)
        assert freed.status_code == 200

        async def gone() -> bool:
            return (await http.get(f"{CRDS}/leaves.ending.example.com")).status_code == 404

        await until(gone, "the definition stays")


async def test_a_stored_definition_that_is_broken_holds_nobody_up(tmp_path: Path) -> None:
    async with running_server(store="sqlite", directory=tmp_path) as server, server.http() as http:
        for plural in ("asides", "bsides"):
            await establish(http, definition(plural, "broken.example.com"))
    store = SqliteStore(tmp_path / "state.db")
    await store.open()
    key = documents.key(GROUP, PLURAL, "", "asides.broken.example.com")
    record = await store.get(key)
    assert record is not None
    value = record.value.replace(b'"storage":true', b'"storage":false')
    await store.update(key, value, expected=record.revision)
    await store.close()
    async with running_server(store="sqlite", directory=tmp_path) as server, server.http() as http:
        assert (await http.get("/apis/broken.example.com/v1/bsides")).status_code == 200
        assert (await http.get("/apis/broken.example.com/v1/asides")).status_code == 404
        await establish(http, definition("csides", "broken.example.com"))
