"""The connection to a Docker engine: the SDK's client, its faults in the contract's words, its streams off the loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import docker
import requests
from docker import errors
from docker.utils import kwargs_from_env

from .base import NoSuchContainer, RuntimeFault, RuntimeUnavailable

T = TypeVar("T")
_THREADS = 16
_AHEAD = 64


# The SDK's types are partly missing and partly wrong.
_Api: Any = docker.APIClient


class Engine(_Api):  # type: ignore[misc]
    """The SDK's low-level client, with the one call that it lacks: a log stream that keeps stdout and stderr apart."""

    def open_logs(self, container: str, params: Mapping[str, Any]) -> requests.Response:
        """The open response of ContainerLogs."""
        response: requests.Response = self._get(
            self._url("/containers/{0}/logs", container), params=dict(params), stream=True, timeout=None
        )
        self._raise_for_status(response)
        return response


class Connection:
    """Runs the SDK's blocking calls in a small thread pool. `host` is a Docker URL; empty is the environment's."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="docker")
        self._engine: Engine | None = None
        self._connecting = threading.Lock()

    def _connected(self) -> Engine:
        with self._connecting:
            if self._engine is None:
                settings = {"base_url": self._host} if self._host else kwargs_from_env()
                self._engine = Engine(version="auto", timeout=120, max_pool_size=_THREADS, **settings)
            return self._engine

    async def call(self, function: Callable[[Engine], T]) -> T:
        """Run a blocking call; Docker's errors become the contract's."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._translated, function)

    def _translated(self, function: Callable[[Engine], T]) -> T:
        try:
            return function(self._connected())
        except errors.NotFound as error:
            raise NoSuchContainer(_explain(error)) from error
        except errors.APIError as error:
            raise RuntimeFault(_explain(error)) from error
        except (errors.DockerException, requests.RequestException, OSError) as error:
            raise RuntimeUnavailable(f"the Docker engine does not answer: {error}") from error

    async def close(self) -> None:
        """Let calls under way finish, so that none changes anything afterwards, and close the connections."""
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        if self._engine is not None:
            self._engine.close()


def lowest_oom_score() -> int:
    """The lowest OOM score adjustment that processes here may be given: below 0 takes CAP_SYS_RESOURCE (bit 24)."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapBnd:"):
                return -1000 if int(line.split()[1], 16) >> 24 & 1 else 0
    return 0


def kill_process(pid: int, container: str) -> None:
    """Kill a process of this machine if it belongs to the container: the engine may count processes elsewhere."""
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            if container in Path(f"/proc/{pid}/cgroup").read_text():
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def _explain(error: errors.APIError) -> str:
    explanation: Any = error.explanation
    if isinstance(explanation, bytes):
        explanation = explanation.decode(errors="replace")
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        explanation = json.loads(explanation)["message"]
    return str(explanation or error)


def hang_up(response: requests.Response) -> None:
    """End a response that a thread may be reading: closing alone would wait for the reader."""
    with contextlib.suppress(OSError, AttributeError):
        raw: Any = response.raw
        raw._fp.fp.raw._sock.shutdown(socket.SHUT_RDWR)
    response.close()


async def threaded(items: Iterator[T], *, close: Callable[[], None]) -> AsyncIterator[T]:
    """A blocking iterator as an asynchronous one, read by a thread of its own, bounded ahead of its reader."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[T] | None] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)
    stopped = threading.Event()

    def put(item: tuple[T] | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may be gone
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def read() -> None:
        try:
            for item in items:
                room.acquire()
                if stopped.is_set():
                    return
                put((item,))
        except Exception:
            pass
        finally:
            put(None)

    threading.Thread(target=read, name="docker-stream", daemon=True).start()
    try:
        while (entry := await queue.get()) is not None:
            room.release()
            yield entry[0]
    finally:
        stopped.set()
        room.release()
        with contextlib.suppress(ValueError):  # a generator that its thread is in cannot be closed from here
            close()
