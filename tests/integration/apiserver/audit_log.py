"""A server's audit log as tests read it: the events of a request, once they are written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from k8slite.config import AuditConfig, AuditLogConfig
from k8slite.testing import RunningServer, running_server

Event = dict[str, Any]
EVERYTHING = [{"level": "RequestResponse"}]
LONG = 20.0


@dataclass
class Audited:
    """A server with its audit log."""

    server: RunningServer
    file: Path

    def events(self) -> list[Event]:
        """All events so far."""
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text().splitlines(keepends=True) if line.endswith("\n")]

    async def of(self, audit_id: str, *stages: str) -> list[Event]:
        """The events of a request, once it has come to each of the stages."""
        wanted = set(stages or ("ResponseComplete",))
        await self.until(lambda: {event["stage"] for event in self._of(audit_id)} >= wanted)
        return self._of(audit_id)

    def _of(self, audit_id: str) -> list[Event]:
        return [event for event in self.events() if event["auditID"] == audit_id]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds."""
        async with asyncio.timeout(LONG):
            while not condition():  # noqa: ASYNC110 - it is a file that is waited for
                await asyncio.sleep(0.01)

    async def answered(self, answer: httpx.Response) -> Event:
        """The event of an answer that is complete."""
        return (await self.of(answer.headers["audit-id"]))[-1]


def policy_file(directory: Path, rules: Iterable[Any], **more: Any) -> Path:
    """A policy with these rules."""
    path = directory / "audit-policy.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": list(rules), **more}))
    return path


@asynccontextmanager
async def audited(
    directory: Path, rules: Iterable[Any] = EVERYTHING, *, policy: Any = None, log: Any = None, **settings: Any
) -> AsyncIterator[Audited]:
    """A running server that records by these rules; `log` are settings of the log, `policy` more of the policy."""
    file = directory / "audit" / "audit.log"
    audit = AuditConfig(
        policy_file=policy_file(directory, rules, **(policy or {})),
        log=AuditLogConfig(path=str(file), **(log or {})),
    )
    async with running_server(directory=directory, audit=audit, **settings) as server:
        yield Audited(server, file)
