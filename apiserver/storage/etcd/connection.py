"""Talking to a cluster of etcd servers: channels, TLS, and which endpoint to use now.

One endpoint is used until it fails. A read then goes on to the next by itself. A write goes on only if it was certainly
not sent (no connection could be made); otherwise nobody knows whether it took effect, and the caller is told so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import grpc.aio

from ..base import FutureRevision, StoreError, StoreUnavailable
from .protocol import METHODS, WATCH

TIMEOUT = 5.0
"""Seconds for one call to one endpoint."""

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
]

# A member that has lost the rest of the cluster shall say so instead of answering from what it has.
_METADATA = (("hasleader", "true"),)

_MOVE_ON = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_NOT_SENT = ("failed to connect", "connections to all backends failing", "Connection refused", "DNS resolution failed")


class CompactedAnswer(StoreError):
    """etcd says that the revision is compacted, without saying which is the oldest."""


class Connection:
    """The endpoints of one cluster. Made on an event loop."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
    ) -> None:
        try:
            self._channels = [
                _channel(endpoint, ca_file=ca_file, cert_file=cert_file, key_file=key_file) for endpoint in endpoints
            ]
        except OSError as error:
            raise StoreUnavailable(f"etcd: {error.filename}: {error.strerror}") from error
        self._current = 0
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._unary = [
            {
                name: channel.unary_unary(path, request_serializer=_serialize, response_deserializer=answer.FromString)
                for name, (path, answer) in METHODS.items()
            }
            for channel in self._channels
        ]

    async def read(self, method: str, request: Any) -> Any:
        """A call that may be repeated. Raises StoreUnavailable when no endpoint answers."""
        return await self._counted(method, request, repeatable=True)

    async def write(self, method: str, request: Any) -> Any:
        """A call that must not be repeated once sent. Raises StoreUnavailable when its outcome is unknown."""
        return await self._counted(method, request, repeatable=False)

    async def _counted(self, method: str, request: Any, *, repeatable: bool) -> Any:
        self._under_way += 1
        self._idle.clear()
        try:
            return await self._call(method, request, repeatable=repeatable)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _call(self, method: str, request: Any, *, repeatable: bool) -> Any:
        reason = ""
        for _ in self._channels:
            position = self._current
            try:
                return await self._unary[position][method](request, timeout=TIMEOUT, metadata=_METADATA)
            except grpc.aio.AioRpcError as error:
                _raise_refusal(error)
                self.avoid(position)
                reason = f"{error.code().name}: {error.details()}"
                if not repeatable and not any(text in (error.details() or "") for text in _NOT_SENT):
                    break
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                raise StoreUnavailable("etcd: the connection is closed") from None
            except grpc.aio.UsageError as error:
                raise StoreUnavailable("etcd: the connection is closed") from error
        raise StoreUnavailable(f"etcd: {reason}")

    def avoid(self, position: int) -> None:
        """Use the next endpoint from now on, if that one is in use."""
        if self._current == position:
            self._current = (position + 1) % len(self._channels)

    def watch(self) -> tuple[Any, int]:
        """A new bidirectional watch stream, and the position of its endpoint for `avoid`."""
        path, answer = WATCH
        channel = self._channels[self._current]
        method = channel.stream_stream(path, request_serializer=_serialize, response_deserializer=answer.FromString)
        return method(metadata=_METADATA), self._current

    async def close(self) -> None:
        """Let calls finish for a while, then close every channel."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), TIMEOUT)
        for channel in self._channels:
            await channel.close()


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _channel(endpoint: str, *, ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> Any:
    parts = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
    target = f"{parts.hostname}:{parts.port or 2379}" if ":" not in (parts.hostname or "") else parts.netloc
    if parts.scheme != "https":
        return grpc.aio.insecure_channel(target, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=ca_file.read_bytes() if ca_file else None,
        private_key=key_file.read_bytes() if key_file else None,
        certificate_chain=cert_file.read_bytes() if cert_file else None,
    )
    return grpc.aio.secure_channel(target, credentials, options=_OPTIONS)


def _raise_refusal(error: Any) -> None:
    """Raise what etcd itself answered; return if the endpoint did not answer."""
    code, details = error.code(), error.details() or ""
    if code == grpc.StatusCode.OUT_OF_RANGE and "compacted" in details:
        raise CompactedAnswer(details) from error
    if code == grpc.StatusCode.OUT_OF_RANGE and "future" in details:
        raise FutureRevision(details) from error
    if "too large" in details or "larger than max" in details:
        raise StoreError(details) from error
    if code not in _MOVE_ON:
        raise StoreUnavailable(f"etcd: {code.name}: {details}") from error
