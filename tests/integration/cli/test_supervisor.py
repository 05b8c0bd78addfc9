"""A real supervisor over real processes: what it survives, and what it leaves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from k8slite.cli.cluster import certificates, control, leftovers, process
from k8slite.cli.cluster.spec import ClusterSpec

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
from k8slite.cli.cluster import leftovers, slots, supervisor
from k8slite.cli.cluster.configs import Service
from k8slite.cli.cluster.spec import ClusterSpec
slots.STOP_GRACE = supervisor.STOP_GRACE = leftovers.STOP_GRACE = float(sys.argv[3])
supervisor.CERTIFICATES_CHECK_EVERY = float(sys.argv[2])
services = [Service(name, command=tuple(words)) for name, *words in eval(sys.argv[1])]
supervisor.Supervisor(ClusterSpec(), services).run()
"""
SLEEPER = ("sleeper", "sleep", "1000")
STUBBORN = ("stubborn", "sh", "-c", "trap '' TERM; echo trapped; exec sleep 1000")


def eventually(probe: Callable[[], Any], *, timeout: float = 10.0) -> Any:
    deadline = time.monotonic() + timeout
    while not (answer := probe()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return answer


class Running:
    """A supervisor, and the questions one can put to it."""

    def __init__(
        self,
        spec: ClusterSpec,
        *services: tuple[str, ...],
        check: float = 1e6,
        wait: Sequence[str] = (),
        grace: float = 0.3,
    ) -> None:
        self.spec = spec
        with (spec.directory / "logs" / "supervisor.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, repr(list(services)), str(check), str(grace)],
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
            )
        wanted = wait or [service[0] for service in services]
        eventually(lambda: self.answers() and all(self.services()[name]["running"] for name in wanted))

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log()
        with contextlib.suppress(OSError):
            return bool(control.ask(self.spec, do="status"))
        return False

    def services(self) -> dict[str, dict[str, Any]]:
        return {service["name"]: service for service in control.ask(self.spec, do="status")["services"]}

    def pid(self, name: str) -> int:
        return int(self.services()[name]["pid"])

    def log(self) -> str:
        return (self.spec.directory / "logs" / "supervisor.log").read_text()


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterSpec:
    monkeypatch.setenv("K8SLITE_HOME", str(tmp_path))
    spec = ClusterSpec()
    (spec.directory / "logs").mkdir(parents=True)
    return spec


@pytest.fixture
def run(spec: ClusterSpec, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(*services: tuple[str, ...], **options: Any) -> Running:
        started.append(Running(spec, *services, **options))
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.process.wait()
    monkeypatch.setattr(leftovers, "STOP_GRACE", 0.3)
    leftovers.end(spec)


def gone(pid: int) -> bool:
    return process.started_at(pid) is None


def test_a_killed_program_is_started_again(run: Callable[..., Running]) -> None:
    running = run(SLEEPER)
    pid = running.pid("sleeper")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: running.pid("sleeper") not in (0, pid))
    assert running.services()["sleeper"]["restarts"] == 1


def test_sigterm_ends_all_by_force_where_needed(run: Callable[..., Running], spec: ClusterSpec) -> None:
    running = run(SLEEPER, STUBBORN)
    pids = [running.pid("sleeper"), running.pid("stubborn")]
    eventually(lambda: "trapped" in (spec.directory / "logs" / "stubborn.log").read_text())
    running.process.terminate()
    assert running.process.wait(10) == 0
    assert all(map(gone, pids))
    assert not control.is_running(spec)
    assert not control.socket_path(spec).exists()


def test_a_stop_that_takes_long_keeps_nobody_else_waiting(run: Callable[..., Running], spec: ClusterSpec) -> None:
    running = run(SLEEPER, STUBBORN, grace=2.0)
    eventually(lambda: "trapped" in (spec.directory / "logs" / "stubborn.log").read_text())
    control.ask(spec, do="stop", service="stubborn")
    assert running.services()["stubborn"]["running"]
    eventually(lambda: not running.services()["stubborn"]["running"])
    control.ask(spec, do="start", service="stubborn")
    eventually(lambda: running.services()["stubborn"]["running"])


@pytest.mark.parametrize("sent", [b"", b"nonsense", b"[]", b"7", b'{"do": "stop", "service": ["x"]}', b"\xff" * 70000])
def test_whatever_comes_over_the_socket_it_runs_on(run: Callable[..., Running], spec: ClusterSpec, sent: bytes) -> None:
    running = run(SLEEPER)
    with socket.socket(socket.AF_UNIX) as rude, contextlib.suppress(OSError):
        rude.connect(str(control.socket_path(spec)))
        rude.sendall(sent)
    assert running.answers()


def test_clients_that_say_nothing_hold_nobody_up(run: Callable[..., Running], spec: ClusterSpec) -> None:
    running = run(SLEEPER)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            silent = stack.enter_context(socket.socket(socket.AF_UNIX))
            silent.settimeout(10)
            silent.connect(str(control.socket_path(spec)))
        began = time.monotonic()
        assert running.answers()
        assert time.monotonic() - began < 5


def test_an_unknown_program_is_named_with_those_there_are(run: Callable[..., Running], spec: ClusterSpec) -> None:
    run(SLEEPER)
    assert control.ask(spec, do="stop", service="x") == {"error": "no program 'x'; there are sleeper"}


def test_a_command_that_does_not_exist_is_tried_again_and_the_rest_runs(run: Callable[..., Running]) -> None:
    running = run(SLEEPER, ("ghost", "/nonexistent/ghost"), wait=("sleeper",))
    eventually(lambda: running.services()["ghost"]["restarts"] > 1)
    assert running.services()["sleeper"]["restarts"] == 0


def test_after_a_kill_the_programs_are_gone_before_new_ones_start(
    run: Callable[..., Running], spec: ClusterSpec
) -> None:
    first = run(SLEEPER, STUBBORN)
    pids = [first.pid("sleeper"), first.pid("stubborn")]
    eventually(lambda: "trapped" in (spec.directory / "logs" / "stubborn.log").read_text())
    first.process.kill()
    first.process.wait()
    assert not gone(pids[1]), "the death of its parent is a SIGTERM, which this one ignores"
    second = run(SLEEPER, STUBBORN)
    assert all(map(gone, pids))
    assert "ended what an earlier supervisor had left: stubborn" in second.log()


def test_a_second_supervisor_of_a_cluster_gives_up(run: Callable[..., Running], spec: ClusterSpec) -> None:
    running = run(SLEEPER)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "[]", "1e6", "0.3"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "another supervisor of cluster k8slite runs" in done.stderr
    assert running.answers()


def test_it_is_not_put_off_by_somebody_who_asks_whether_it_runs(run: Callable[..., Running], spec: ClusterSpec) -> None:
    import fcntl

    with control.lock_path(spec).open("w") as asker:
        fcntl.flock(asker, fcntl.LOCK_EX)
        process_started = time.monotonic()
        waiting = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps([list(SLEEPER)]), "1e6", "0.3"],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        eventually(lambda: time.monotonic() - process_started > 0.5)
        fcntl.flock(asker, fcntl.LOCK_UN)
    try:
        eventually(lambda: control.is_running(spec) and control.socket_path(spec).exists())
        eventually(lambda: control.ask(spec, do="status")["services"][0]["running"])
    finally:
        waiting.terminate()
        assert waiting.wait(10) == 0


def test_certificates_are_renewed_while_it_runs(run: Callable[..., Running], spec: ClusterSpec) -> None:
    certificates.ensure(spec, now=datetime.now(UTC) - timedelta(days=300))
    before = spec.kubeconfig.read_bytes()
    running = run(SLEEPER, check=0.1)
    eventually(lambda: "renewed certificates: admin, apiserver" in running.log())
    eventually(lambda: spec.kubeconfig.read_bytes() != before)
    assert certificates.ensure(spec) == []
    assert running.services()["sleeper"]["restarts"] == 0, "a foreign command reads its files by itself"
