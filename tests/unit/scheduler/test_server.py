"""The scheduler's own port: administrators read decisions and metrics there, nobody else does."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import aiohttp
import pytest

from k8slite import pki
from k8slite.clock import VirtualClock
from k8slite.config import ConfigError, SchedulerConfig
from k8slite.scheduler.cycle import Cycle
from k8slite.scheduler.decisions import Decisions
from k8slite.scheduler.server import serving
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.waiting import Waiting

from .builders import columns, default_profile, node, pod

PATHS = ["/decisions", "/decisions/default/web", "/metrics", "/healthz"]


def decided() -> Decisions:
    decisions = Decisions(clock=VirtualClock())
    state, asking = columns(node("a")), pod("web")
    chooser = Cycle(default_profile(), random=Random(1))
    decision = chooser.decide(asking, shape_of(asking), state)
    decisions.note(Waiting(asking, shape_of(asking), arrived=0.0, order=0, attempts=1), decision)
    return decisions


@asynccontextmanager
async def port(directory: Path, *groups: str, decisions: Decisions) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with a certificate of those groups at the port of a scheduler."""
    authority = pki.Authority.create(directory)
    server = authority.issue_server("scheduler", common_name="scheduler", hosts=["127.0.0.1"])
    client = authority.issue_client("client", user="somebody", groups=groups)
    config = SchedulerConfig(
        kubeconfig=Path("unused"),
        cert_file=server.cert_file,
        key_file=server.key_file,
        client_ca_file=authority.cert_file,
    )
    context = ssl.create_default_context(cafile=str(authority.cert_file))
    context.load_cert_chain(client.cert_file, client.key_file)
    async with serving(config, decisions) as number:
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(f"https://127.0.0.1:{number}", connector=connector) as session:
            yield session


async def test_administrators_read_why_a_pod_is_where_it_is(tmp_path: Path) -> None:
    async with port(tmp_path, "others", "system:masters", decisions=decided()) as session:
        async with session.get("/decisions") as answer:
            (summary,) = (await answer.json())["items"]
        assert summary | {"time": ""} == {
            "namespace": "default",
            "name": "web",
            "uid": "uid-web",
            "profile": "default-scheduler",
            "attempt": 1,
            "time": "",
            "node": "a",
        }
        async with session.get("/decisions/default/web") as answer:
            told = await answer.json()
        assert {name: told[name] for name in summary} == summary
        assert [scored["node"] for scored in told["scores"]] == ["a"]
        async with session.get("/decisions/default/unknown") as answer:
            assert answer.status == 404
        async with session.get("/metrics") as answer:
            assert "scheduler_pending_pods" in await answer.text()


@pytest.mark.parametrize("path", PATHS)
async def test_others_learn_only_that_it_is_there(path: str, tmp_path: Path) -> None:
    async with port(tmp_path, "system:nodes", decisions=decided()) as session, session.get(path) as answer:
        assert answer.status == (200 if path == "/healthz" else 403)
        assert "web" not in await answer.text()


async def test_a_port_needs_certificates() -> None:
    config = SchedulerConfig(kubeconfig=Path("unused"), port=1)
    with pytest.raises(ConfigError, match="certFile, keyFile and clientCaFile are needed"):
        async with serving(config, decided()):
            pass
