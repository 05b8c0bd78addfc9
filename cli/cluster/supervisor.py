"""The supervisor: forks a cluster's programs, starts them again when they end, and answers on a socket.

It is plain synchronous code around one `select`: signals, the socket and timers wake it, nothing else, so an idle
supervisor does nothing at all. `slots` decides what is to be done; nothing here waits for a process or for a client.
What several programs need is imported here before they are forked, so that it lies in memory once; what is one
program's own it imports itself, all of them at the same time. The API server is forked before everything: it shares
little with the others, and takes longest.

Twice a day it renews certificates that near their end, and starts the programs again one by one, so that they read
them.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import resource
import selectors
import shutil
import signal
import socket
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from k8slite import programs

from . import certificates, leftovers, process
from .configs import SERVING, Service, config_file, log_file
from .control import lock_path, socket_path
from .slots import STOP_GRACE, Action, Slot, due, next_moment
from .spec import ClusterSpec

LOG_LIMIT, LOG_CHECK_EVERY = 32 * 1024 * 1024, 600.0
CERTIFICATES_CHECK_EVERY = 12 * 3600.0
LOCK_PATIENCE = 2.0
"""Seconds to try for the lock: whoever asks whether a supervisor runs holds it for a moment."""
MOST_CLIENTS = 32


class Supervisor:
    """One cluster's processes."""

    def __init__(
        self, spec: ClusterSpec, services: Sequence[Service], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._spec = spec
        self._monotonic = monotonic
        self._slots = {service.name: Slot(service) for service in services}
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._clients: list[socket.socket] = []
        self._chores: list[tuple[float, Callable[[], None]]] = [
            (LOG_CHECK_EVERY, self._limit_logs),
            (CERTIFICATES_CHECK_EVERY, self._renew_certificates),
        ]
        self._chores_at = [monotonic() + period for period, _ in self._chores]

    def run(self) -> None:
        """Take the lock, start everything, and keep it running until SIGTERM."""
        self._lock = self._take_lock()
        raise_file_limit()
        self._listen()
        self._catch_signals()
        if names := leftovers.end(self._spec):
            say(f"ended what an earlier supervisor had left: {', '.join(names)}")
        self._load_and_start()
        while not self._finished():
            self._act()
            for key, _ in self._selector.select(self._timeout()):
                key.data()
            self._reap()
            self._do_chores()
        socket_path(self._spec).unlink(missing_ok=True)
        os.close(self._lock)

    def _take_lock(self) -> int:
        handle = os.open(lock_path(self._spec), os.O_RDWR | os.O_CREAT, 0o600)
        deadline = self._monotonic() + LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._monotonic() > deadline:
                    raise SystemExit(f"another supervisor of cluster {self._spec.name} runs") from None
                time.sleep(0.02)
            else:
                return handle

    def _load_and_start(self) -> None:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a forking parent must not have threads
        clients = [slot for slot in self._slots.values() if slot.service.tier > SERVING]
        gc.collect()
        gc.freeze()  # the collector would touch, and so unshare, every page
        for slot in self._slots.values():
            if slot not in clients:
                self._start(slot)
        with _reported("what programs share cannot be loaded"):
            programs.load_shared()
            for name, number in Counter(slot.service.program for slot in clients).items():
                if number > 1:
                    programs.PROGRAMS[name].load()
        gc.collect()
        gc.freeze()
        for slot in clients:
            self._start(slot)

    # --- processes ---------------------------------------------------------------------------------------------

    def _act(self) -> None:
        now = self._monotonic()
        for slot, action in list(due(list(self._slots.values()), now=now, stopping=self._stopping)):
            match action:
                case Action.START:
                    self._start(slot)
                case Action.END:
                    slot.kill_at = now + STOP_GRACE
                    os.kill(slot.pid, signal.SIGTERM)  # ours and not waited for yet, so the pid is still its own
                case Action.KILL:
                    slot.kill_at = now + STOP_GRACE
                    say(f"{slot.service.name} (pid {slot.pid}) does not end; killing it")
                    os.kill(slot.pid, signal.SIGKILL)

    def _start(self, slot: Slot) -> None:
        service = slot.service

        def work() -> None:
            self._close_in_child()
            if service.command:
                process.execute(service.command)
            programs.run(service.program, config_file(self._spec, service))

        now = self._monotonic()
        try:
            pid = process.fork(work, log=log_file(self._spec, service.name))
        except OSError as error:  # no memory, too many processes
            say(f"{service.name} cannot be started: {error}")
            slot.started = now
            slot.ended(1, now)
            return
        slot.began(pid, now)
        with _reported("the list of programs cannot be written"):
            leftovers.note(self._spec, {slot.service.name: slot.pid for slot in self._slots.values() if slot.pid})

    def _close_in_child(self) -> None:
        os.close(self._lock)  # a shared open file would keep the lock beyond the supervisor's death
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        self._wakeup[1].close()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                slot = next((s for s in self._slots.values() if s.pid == pid), None)
                if slot:
                    self._note_end(slot, os.waitstatus_to_exitcode(status))

    def _note_end(self, slot: Slot, code: int) -> None:
        pid, asked = slot.pid, slot.kill_at is not None
        slot.ended(code, self._monotonic())
        if not asked:
            say(f"{slot.service.name} (pid {pid}) ended with {code}; again in {slot.delay:.1f} s")

    def _timeout(self) -> float:
        now = self._monotonic()
        own = next_moment(list(self._slots.values()), now=now, stopping=self._stopping)
        return max(0.0, min([*self._chores_at, *([own] if own is not None else [])]) - now)

    def _finished(self) -> bool:
        return self._stopping and not any(slot.pid for slot in self._slots.values())

    # --- signals -----------------------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno())
        self._wakeup = (ours, theirs)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

        def drain() -> None:
            numbers = ours.recv(4096)
            if signal.SIGTERM in numbers or signal.SIGINT in numbers:
                self._stopping = True

        self._selector.register(ours, selectors.EVENT_READ, drain)

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
            client, _ = server.accept()
            client.setblocking(False)
            self._clients.append(client)
            self._selector.register(client, selectors.EVENT_READ, lambda: self._serve(client))
            if len(self._clients) > MOST_CLIENTS:  # the oldest has nothing to say
                self._hang_up(self._clients[0])

    def _serve(self, client: socket.socket) -> None:
        if client not in self._clients:  # hung up on since `select` returned
            return
        with contextlib.suppress(OSError):
            client.send(json.dumps(self._answer(client.recv(65536))).encode())
        self._hang_up(client)

    def _hang_up(self, client: socket.socket) -> None:
        self._clients.remove(client)
        self._selector.unregister(client)
        client.close()

    def _answer(self, request: bytes) -> dict[str, Any]:
        try:
            wish = dict(json.loads(request))
        except (ValueError, TypeError):
            return {"error": "not understood: no JSON object"}
        slot = self._slots.get(str(wish.get("service")))
        match wish.get("do"):
            case "status":
                return {"pid": os.getpid(), "services": [self._describe(slot) for slot in self._slots.values()]}
            case "stop" if slot:
                slot.wanted = False
                return {}
            case "start" if slot:
                if not slot.wanted:
                    slot.wanted, slot.start_at = True, 0.0
                return {}
            case "start" | "stop":
                return {"error": f"no program {wish.get('service')!r}; there are {', '.join(self._slots)}"}
            case _:
                return {"error": f"not understood: {wish}"}

    def _describe(self, slot: Slot) -> dict[str, Any]:
        return {
            "name": slot.service.name,
            "pid": slot.pid,
            "running": bool(slot.pid),
            "wanted": slot.wanted,
            "restarts": max(0, slot.starts - 1),
            "uptime": round(self._monotonic() - slot.started, 1) if slot.pid else 0.0,
            "exitStatus": slot.exit_status,
            "memory": process.memory(slot.pid) if slot.pid else None,
        }

    # --- chores ------------------------------------------------------------------------------------------------

    def _do_chores(self) -> None:
        for index, (period, chore) in enumerate(self._chores):
            if self._monotonic() >= self._chores_at[index]:
                self._chores_at[index] = self._monotonic() + period
                with _reported(f"{chore.__name__.strip('_')} failed"):
                    chore()

    def _limit_logs(self) -> None:
        """Keep one older file of each log; the programs append, so truncating in place loses no descriptor."""
        for path in (self._spec.directory / "logs").glob("*.log"):
            if path.stat().st_size > LOG_LIMIT:
                try:
                    shutil.copyfile(path, path.with_suffix(".log.1"))
                finally:  # with a full disk above all
                    os.truncate(path, 0)

    def _renew_certificates(self) -> None:
        if not (renewed := certificates.ensure(self._spec)):
            return
        say(f"renewed certificates: {', '.join(renewed)}; starting the programs again")
        for slot in self._slots.values():
            slot.stale = bool(slot.service.program)  # a foreign command (etcd) reads its files by itself


def raise_file_limit() -> None:
    """Allow as many open files as the machine lets us: every watch, exec and DNS question holds one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def say(text: str) -> None:
    """A line in the supervisor's log; a full disk must not end us."""
    with contextlib.suppress(OSError):
        print(time.strftime("%Y-%m-%dT%H:%M:%S"), text, flush=True)


@contextlib.contextmanager
def _reported(what: str) -> Iterator[None]:
    """What goes wrong in the block is told of, and the programs run on."""
    try:
        yield
    except Exception:
        say(f"{what}:\n{traceback.format_exc()}")
