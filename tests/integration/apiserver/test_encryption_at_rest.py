"""Secrets encrypted at rest, over the real server: rotation as its page tells it, restarts, and a key that is lost."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from k8slite import config
from k8slite.testing import RunningServer, running_server
from k8slite.testing.kubectl import Kubectl

from ...contract.encryption import IDENTITY, keys, write

SECRETS = "/api/v1/namespaces/default/secrets"
MERGE = {"content-type": "application/merge-patch+json"}
TEXT = "in-plain-5d0f"


@asynccontextmanager
async def encrypting(directory: Path, **settings: Any) -> AsyncIterator[RunningServer]:
    """A server over SQLite with the configuration `encryption.yaml` of the directory."""
    file = directory / "encryption.yaml"
    async with running_server(store="sqlite", directory=directory, encryption_config_file=file, **settings) as server:
        yield server


def forms(directory: Path) -> dict[str, str]:
    """By which key the last value of each Secret is stored."""
    with sqlite3.connect(f"file:{directory / 'state.db'}?mode=ro", uri=True) as database:
        where = "key LIKE '/core/secrets/default/%' AND value IS NOT NULL"
        rows = database.execute(f"SELECT key, value FROM log WHERE {where} ORDER BY revision").fetchall()
    return {
        key.rpartition("/")[2]: value.split(b":")[4].decode() if value.startswith(b"k8s:enc:") else ""
        for key, value in rows
    }


def body(name: str, text: str = TEXT) -> dict[str, Any]:
    return {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name}, "stringData": {"a": text}}


async def test_secrets_are_encrypted_and_everything_else_is_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "encryption.yaml", keys("secretbox", 1), IDENTITY)
    async with encrypting(tmp_path) as server, server.http() as http:
        async with http.stream("GET", f"{SECRETS}?watch=true") as watch:
            made = await http.post(SECRETS, json=body("one"))
            assert made.status_code == 201, made.text
            event = json.loads(await anext(watch.aiter_lines()))
            assert event == {"type": "ADDED", "object": made.json()}
        assert (await http.get(f"{SECRETS}/one")).json() == made.json()
        assert (await http.get(SECRETS)).json()["items"] == [made.json()]
        changed = await http.patch(f"{SECRETS}/one", json={"stringData": {"b": TEXT}}, headers=MERGE)
        assert changed.status_code == 200
        async with http.stream(
            "GET", f"{SECRETS}?watch=true&resourceVersion={made.json()['metadata']['resourceVersion']}"
        ) as watch:
            assert json.loads(await anext(watch.aiter_lines())) == {"type": "MODIFIED", "object": changed.json()}
        assert forms(tmp_path) == {"one": "key1"}
        assert (await http.delete(f"{SECRETS}/one")).status_code == 200
        assert (await http.get(f"{SECRETS}/one")).status_code == 404
    files = [path for path in tmp_path.iterdir() if path.name.startswith("state.db")]
    assert not any(text in path.read_bytes() for path in files for text in (TEXT.encode(), b"aW4tcGxhaW4tNWQwZg"))


async def test_keys_are_rotated_as_the_page_says(tmp_path: Path) -> None:
    file = write(tmp_path / "encryption.yaml", keys("secretbox", 1), IDENTITY)
    async with encrypting(tmp_path) as server, server.http() as http:
        for name in ("one", "two"):
            assert (await http.post(SECRETS, json=body(name))).status_code == 201
        write(file, keys("secretbox", 2, 1), IDENTITY)
        kubectl = Kubectl(server)
        async with asyncio.timeout(40):
            while set(forms(tmp_path).values()) != {"key2"}:  # it looks at the file once a second
                found = await kubectl("get", "secrets", "-A", "-o", "json")
                replaced = await kubectl("replace", "-f", "-", stdin=found.out)
                assert replaced.code == 0, replaced.err
        revision = (await http.get(f"{SECRETS}/one")).json()["metadata"]["resourceVersion"]
        same = await http.patch(f"{SECRETS}/one", json={}, headers=MERGE)
        assert same.json()["metadata"]["resourceVersion"] == revision
        write(file, keys("secretbox", 2), IDENTITY)
    async with encrypting(tmp_path) as server, server.http() as http:
        found = (await http.get(f"{SECRETS}/one")).json()
        assert found["data"] == {"a": "aW4tcGxhaW4tNWQwZg=="}


async def test_a_server_does_not_start_without_its_key(tmp_path: Path) -> None:
    file = write(tmp_path / "encryption.yaml", keys("aesgcm", 1))
    async with encrypting(tmp_path) as server, server.http() as http:
        assert (await http.post(SECRETS, json=body("one"))).status_code == 201
        assert (await http.post("/api/v1/namespaces", json={"metadata": {"name": "kept"}})).status_code == 201
    write(file, keys("aesgcm", 2))
    config.dump(server.config, tmp_path / "apiserver.yaml")
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "k8slite", "apiserver", "--config", str(tmp_path / "apiserver.yaml")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    output = (await program.communicate())[0].decode()
    assert program.returncode
    said = "the value of /core/secrets/default/one cannot be read: no provider of the encryption configuration reads"
    assert f"{said} k8s:enc:aesgcm:v1:key1:" in output
    async with encrypting(tmp_path, encryption_drop_unreadable=True) as server, server.http() as http:
        assert (await http.get(f"{SECRETS}/one")).status_code == 404
        assert (await http.get("/api/v1/namespaces/kept")).status_code == 200
        assert (await http.post(SECRETS, json=body("one"))).status_code == 201
    async with encrypting(tmp_path) as server, server.http() as http:
        assert (await http.get(f"{SECRETS}/one")).status_code == 200


async def test_what_was_there_before_is_encrypted_when_it_is_written_again(tmp_path: Path) -> None:
    async with running_server(store="sqlite", directory=tmp_path) as server, server.http() as http:
        assert (await http.post(SECRETS, json=body("old"))).status_code == 201
    write(tmp_path / "encryption.yaml", keys("secretbox", 1), IDENTITY)
    async with encrypting(tmp_path) as server, server.http() as http:
        found = await http.get(f"{SECRETS}/old")
        assert forms(tmp_path) == {"old": ""}
        assert (await http.put(f"{SECRETS}/old", json=found.json())).status_code == 200
        assert forms(tmp_path) == {"old": "key1"}


async def test_custom_and_other_resources_by_wildcard(tmp_path: Path) -> None:
    write(tmp_path / "encryption.yaml", keys("secretbox", 1), IDENTITY, resources=("*.*",))
    service = {"metadata": {"name": "web"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}}
    async with encrypting(tmp_path) as server, server.http() as http:
        made = await http.post("/api/v1/namespaces/default/services", json=service)
        assert made.status_code == 201, made.text
        kubectl = Kubectl(server)
        assert (await kubectl("create", "deployment", "front", "--image=x")).code == 0
        shown = (await kubectl("get", "deployments,services,namespaces,clusterroles")).out
        assert all(name in shown for name in ("front", "web", "kube-system", "cluster-admin"))
    with sqlite3.connect(f"file:{tmp_path / 'state.db'}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT value FROM log WHERE value IS NOT NULL").fetchall()
    assert len(rows) > 50
    assert all(value.startswith(b"k8s:enc:secretbox:v1:key1:") for (value,) in rows)
    async with encrypting(tmp_path) as server, server.http() as http:
        again = (await http.get("/api/v1/namespaces/default/services/web")).json()
        assert again == made.json()
