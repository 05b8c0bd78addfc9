"""The supervisor: forks a cluster's programs, starts them again when they end, and answers on a socket.

It is plain synchronous code around one `select`: signals, the socket and timers wake it, nothing else, so an idle
supervisor does nothing at all. All modules are imported here once and shared by the forked programs; the API server is
forked first, while the rest still loads.

Invariant: `_slots` holds one slot per service; a slot has a pid exactly while its process runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import selectors
import signal
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k8slite import programs

from . import process
from .configs import Service, config_file, log_file, services
from .spec import ClusterSpec

BACKOFF_FIRST, BACKOFF_MOST, STABLE_AFTER = 0.1, 10.0, 10.0
STOP_GRACE = 10.0
LOG_LIMIT, LOG_CHECK_EVERY = 32 * 1024 * 1024, 600.0


@dataclass(slots=True)
class Slot:
    """A service and what became of its process. Times are monotonic seconds."""

    service: Service
    pid: int = 0
    started: float = 0.0
    restarts: int = 0
    wanted: bool = True
    delay: float = BACKOFF_FIRST
    start_at: float = 0.0
    exit_status: int | None = None

    def ended(self, status: int, now: float) -> None:
        """Note the end of the process and when to try again."""
        self.pid, self.exit_status = 0, status
        self.delay = BACKOFF_FIRST if now - self.started > STABLE_AFTER else min(self.delay * 2, BACKOFF_MOST)
        self.start_at = now + self.delay


def socket_path(spec: ClusterSpec) -> Path:
    """Where the supervisor answers."""
    return spec.directory / "supervisor.sock"


def lock_path(spec: ClusterSpec) -> Path:
    """Held locked by a running supervisor: the truth about whether one runs."""
    return spec.directory / "supervisor.lock"


def is_running(spec: ClusterSpec) -> bool:
    """Whether a supervisor holds the cluster's lock."""
    try:
        handle = os.open(lock_path(spec), os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


class Supervisor:
    """One cluster's processes."""

    def __init__(self, spec: ClusterSpec, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._spec = spec
        self._monotonic = monotonic
        self._slots = {service.name: Slot(service) for service in services(spec)}
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._log_check = monotonic() + LOG_CHECK_EVERY

    def run(self) -> None:
        """Take the lock, start everything, and keep it running until SIGTERM."""
        self._lock = os.open(lock_path(self._spec), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._listen()
        self._catch_signals()
        self._start_all()
        while not self._finished():
            for key, _ in self._selector.select(self._timeout()):
                key.data()
            self._reap()
            self._start_due()
            self._limit_logs()
        socket_path(self._spec).unlink(missing_ok=True)
        os.close(self._lock)

    def _start_all(self) -> None:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a forking parent must not have threads
        loaded: set[str] = set()
        for slot in self._slots.values():
            if (name := slot.service.program) and name not in loaded:
                with _reported(name):
                    programs.PROGRAMS[name].load()
                loaded.add(name)
            gc.collect()
            gc.freeze()  # the collector would touch, and so unshare, every page
            self._start(slot)

    def _start(self, slot: Slot) -> None:
        service = slot.service

        def work() -> None:
            self._close_in_child()
            if service.command:
                process.execute(service.command)
            programs.run(service.program, config_file(self._spec, service))

        slot.started = self._monotonic()
        slot.pid = process.fork(work, log=log_file(self._spec, service.name))

    def _close_in_child(self) -> None:
        os.close(self._lock)  # a shared open file would keep the lock beyond the supervisor's death
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                slot = next((s for s in self._slots.values() if s.pid == pid), None)
                if slot:
                    code = os.waitstatus_to_exitcode(status)
                    slot.ended(code, self._monotonic())
                    if slot.wanted and not self._stopping:
                        print(
                            f"{slot.service.name} (pid {pid}) ended with {code}; again in {slot.delay:.1f} s",
                            flush=True,
                        )

    def _start_due(self) -> None:
        if self._stopping:
            return
        now = self._monotonic()
        for slot in self._slots.values():
            if slot.wanted and not slot.pid and slot.start_at <= now:
                slot.restarts += 1
                self._start(slot)

    def _timeout(self) -> float:
        now = self._monotonic()
        moments = [s.start_at for s in self._slots.values() if s.wanted and not s.pid and not self._stopping]
        return max(0.0, min([*moments, self._log_check]) - now)

    def _finished(self) -> bool:
        return self._stopping and not any(slot.pid for slot in self._slots.values())

    # --- signals -----------------------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno())
        self._wakeup = (ours, theirs)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGINT, lambda *_: None)

        def drain() -> None:
            numbers = ours.recv(4096)
            if signal.SIGTERM in numbers or signal.SIGINT in numbers:
                self.stop_all()

        self._selector.register(ours, selectors.EVENT_READ, drain)

    def stop_all(self) -> None:
        """End everything in reverse order: the API server stays until the others had their say."""
        self._stopping = True
        for slot in reversed(self._slots.values()):
            self._stop(slot)

    def _stop(self, slot: Slot) -> None:
        """SIGTERM, then SIGKILL after the grace; returns when the process is gone."""
        if not slot.pid:
            return
        deadline = self._monotonic() + STOP_GRACE
        with contextlib.suppress(ProcessLookupError):
            os.kill(slot.pid, signal.SIGTERM)
        handle = os.pidfd_open(slot.pid)
        try:
            waiter = selectors.DefaultSelector()
            waiter.register(handle, selectors.EVENT_READ)
            if not waiter.select(max(0.0, deadline - self._monotonic())):
                os.kill(slot.pid, signal.SIGKILL)
                waiter.select()
            waiter.close()
        finally:
            os.close(handle)
        self._reap()

    # --- the socket --------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        path = socket_path(self._spec)
        path.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        path.chmod(0o600)
        server.listen()
        server.setblocking(False)
        self._selector.register(server, selectors.EVENT_READ, lambda: self._accept(server))

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            with connection:
                connection.settimeout(1.0)
                request = json.loads(connection.recv(65536))
                connection.sendall(json.dumps(self._answer(request)).encode())

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request.get("service", "")
        match request.get("do"):
            case "status":
                return {"pid": os.getpid(), "services": [self._describe(slot) for slot in self._slots.values()]}
            case "stop" if name in self._slots:
                self._slots[name].wanted = False
                self._stop(self._slots[name])
                return {}
            case "start" if name in self._slots:
                slot = self._slots[name]
                slot.wanted, slot.start_at = True, 0.0
                return {}
            case _:
                return {"error": f"not understood: {request}; services are {', '.join(self._slots)}"}

    def _describe(self, slot: Slot) -> dict[str, Any]:
        return {
            "name": slot.service.name,
            "pid": slot.pid,
            "running": bool(slot.pid),
            "wanted": slot.wanted,
            "restarts": slot.restarts,
            "uptime": round(self._monotonic() - slot.started, 1) if slot.pid else 0.0,
            "exitStatus": slot.exit_status,
            "memory": process.memory(slot.pid) if slot.pid else None,
        }

    # --- logs --------------------------------------------------------------------------------------------------

    def _limit_logs(self) -> None:
        """Keep one older file of each log; the programs append, so truncating in place loses no descriptor."""
        if self._monotonic() < self._log_check:
            return
        self._log_check = self._monotonic() + LOG_CHECK_EVERY
        for path in (self._spec.directory / "logs").glob("*.log"):
            if path.stat().st_size > LOG_LIMIT:
                path.with_suffix(".log.1").write_bytes(path.read_bytes())
                os.truncate(path, 0)


@contextlib.contextmanager
def _reported(name: str) -> Iterator[None]:
    """A program that cannot be imported is that program's fault: it is told of, and the others run."""
    try:
        yield
    except Exception:
        print(f"{name} cannot be loaded:\n{traceback.format_exc()}", flush=True)


def ask(spec: ClusterSpec, **request: str) -> dict[str, Any]:
    """Ask a running supervisor. Raises OSError if none answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(STOP_GRACE * 2)
        connection.connect(str(socket_path(spec)))
        connection.sendall(json.dumps(request).encode())
        chunks = []
        while chunk := connection.recv(65536):
            chunks.append(chunk)
    answer: dict[str, Any] = json.loads(b"".join(chunks))
    return answer
