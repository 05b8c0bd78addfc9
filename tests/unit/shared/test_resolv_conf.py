from __future__ import annotations

import os
from pathlib import Path

import pytest

from k8slite import resolv_conf
from k8slite.proxy.dns.upstream import Server, Upstream


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "resolv.conf"


@pytest.fixture
def resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(resolv_conf, "RESOLVED", tmp_path / "resolved.conf")
    return resolv_conf.RESOLVED


@pytest.mark.parametrize(
    ("text", "real"),
    [
        ("nameserver 127.0.0.53\noptions edns0\n", True),
        ("nameserver 127.0.0.53\nnameserver 127.0.0.54\n", True),
        ("nameserver 127.0.0.53\nnameserver 192.0.2.1\n", False),
        ("nameserver 127.0.0.1\n", False),
        ("# nothing\n", False),
    ],
)
def test_only_the_stub_alone_gives_way_to_the_real_servers(path: Path, resolved: Path, text: str, real: bool) -> None:
    path.write_text(text)
    assert resolv_conf.effective(path) == path
    resolved.write_text("nameserver 192.0.2.9\n")
    assert resolv_conf.effective(path) == (resolved if real else path)


def test_a_file_that_is_not_there_stays_what_was_asked_for(path: Path, resolved: Path) -> None:
    resolved.touch()
    assert resolv_conf.effective(path) == path


def test_cluster_dns_asks_the_real_servers_as_they_change(path: Path, resolved: Path) -> None:
    path.write_text("nameserver 127.0.0.53\n")
    resolved.write_text("nameserver 192.0.2.9\n")
    upstream = Upstream([], resolv_conf=path, ourselves=())
    assert upstream.servers() == [Server("192.0.2.9")]
    path.write_text("nameserver 192.0.2.1\n")
    os.utime(path, ns=(1, 1))
    assert upstream.servers() == [Server("192.0.2.1")]
