"""Requests byte by byte: no library between the test and the server tidies a path up."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from k8slite.connection import ClientConfig


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's status, the names and values of its headers, and its body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One connection that is kept, as long as the server keeps it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, method: str, target: str, *, body: bytes = b"", headers: tuple[str, ...] = ()) -> Answer:
        """One request and its answer. Raises EOFError if the server has closed."""
        lines = [f"{method} {target} HTTP/1.1", "host: localhost", *headers]
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(f"content-length: {len(body)}")
        self.writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        async with asyncio.timeout(20):
            return await self._answer(method)

    async def _answer(self, method: str) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        pairs = (line.split(":", 1) for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, value in pairs}
        body = b""
        if "content-length" in headers and method != "HEAD" and status != 101:
            body = await self.reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readline()
        return Answer(status, headers, body)


@asynccontextmanager
async def connected(config: ClientConfig, port: int) -> AsyncIterator[Connection]:
    """A connection as one user, by certificate or token."""
    context = ssl.create_default_context(cafile=str(config.ca_file))
    if config.cert_file is not None:
        context.load_cert_chain(config.cert_file, config.key_file)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=1 << 20)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
