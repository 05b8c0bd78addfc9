"""Load on one URL, from a process of its own: by wrk where it is installed, else by `loader.py`."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .kubeconfig import Target

#: In a request's body, stands for a number that no other request has.
NUMBER = "@NUMBER@"

_SCRIPT = """
local template, n = %s, 0
if template ~= "" then
  request = function()
    n = n + 1
    return wrk.format("POST", nil, nil, (template:gsub("@NUMBER@", tostring(n))))
  end
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('RESULT {"requests":%%d,"seconds":%%f,"errors":%%d,"p50":%%f,"p99":%%f}\\n',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6))
end
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load came to. Seconds; `errors` counts answers of 400 and above and broken connections."""

    requests: int
    seconds: float
    errors: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Successful requests a second."""
        return (self.requests - self.errors) / self.seconds


async def run(target: Target, path: str, *, connections: int, seconds: float, body: Any = None) -> Measured:
    """Load a path for some seconds: GET, or POST with a body whose `NUMBER` differs each time."""
    template = "" if body is None else json.dumps(body, separators=(",", ":"))
    if shutil.which("wrk") and (target.token or not target.cert_file):
        return await _wrk(target, path, connections=connections, seconds=seconds, template=template)
    return await _loader(target, path, connections=connections, seconds=seconds, template=template, count=0)


async def create(target: Target, path: str, *, count: int, body: Any, connections: int = 16) -> Measured:
    """POST exactly `count` bodies."""
    template = json.dumps(body, separators=(",", ":"))
    return await _loader(target, path, connections=connections, seconds=3600, template=template, count=count)


async def _wrk(target: Target, path: str, *, connections: int, seconds: float, template: str) -> Measured:
    quoted = json.dumps(template)
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory, "script.lua")
        script.write_text(_SCRIPT % quoted)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(int(seconds), 1)}s", "--timeout", "30s"]
        command += ["-s", str(script), "-H", "Content-Type: application/json", "-H", "Accept: application/json"]
        if target.token:
            command += ["-H", f"Authorization: Bearer {target.token}"]
        process = await asyncio.create_subprocess_exec(
            *command, target.server + path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, errors = await process.communicate()
    for line in output.decode().splitlines():
        if line.startswith("RESULT "):
            return Measured(**json.loads(line.removeprefix("RESULT ")))
    raise RuntimeError(f"wrk: {errors.decode() or output.decode()}")


async def _loader(
    target: Target, path: str, *, connections: int, seconds: float, template: str, count: int
) -> Measured:
    answer = await helper(
        "loader",
        asdict(target)
        | {"path": path, "connections": connections, "seconds": seconds, "template": template, "count": count},
    )
    return Measured(**json.loads(answer))


async def helper(module: str, spec: dict[str, Any]) -> bytes:
    """Run a module of this package in a process of its own, its settings on standard input; what it printed."""
    process = await start(module, spec)
    assert process.stdout is not None
    output = await process.stdout.read()
    if await process.wait():
        raise RuntimeError(f"{module} failed")
    return output


async def start(module: str, spec: dict[str, Any]) -> asyncio.subprocess.Process:
    """The same, without waiting for its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"benchmarks.{module}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(spec).encode() + b"\n")
    await process.stdin.drain()
    return process
