"""A kubelet's server without a kubelet: canned logs, and an exec that echoes its input.

Containers named `main` work; `side` is refused as one that has not started.
"""

from __future__ import annotations

import asyncio
import json
import ssl

from aiohttp import WSMsgType, web

from ..pki import Authority


class FakeKubelet:
    """Listens on loopback; `requests` are the paths that were asked for, `more` lets followed logs go on."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.more = asyncio.Event()
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self, authority: Authority) -> None:
        """Listen, and ask for certificates of the authority."""
        pair = authority.issue_server("fake-kubelet", common_name="kubelet", hosts=["127.0.0.1"])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.cert_file))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(pair.cert_file, pair.key_file)
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        app.router.add_route("*", "/exec/{namespace}/{pod}/{container}", self._exec)
        app.router.add_route("*", "/attach/{namespace}/{pod}/{container}", self._exec)
        app.router.add_route("*", "/echo/{tail:.*}", self._echo)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Answer no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _logs(self, incoming: web.Request) -> web.StreamResponse:
        self.requests.append(incoming.path_qs)
        if incoming.match_info["container"] == "side":
            raise web.HTTPBadRequest(text='container "side" in pod "web" is waiting to start: ContainerCreating')
        answer = web.StreamResponse()
        await answer.prepare(incoming)
        await answer.write(b"one\n")
        if "follow" in incoming.query:
            await self.more.wait()
            await answer.write(b"two\n")
        return answer

    async def _exec(self, incoming: web.Request) -> web.StreamResponse:
        """Echo input until it ends (a v5 frame), or at once without input; `false` ends with exit code 3."""
        self.requests.append(incoming.path_qs)
        if incoming.match_info["container"] == "side":
            raise web.HTTPNotFound(text='container not found ("side")')
        socket = web.WebSocketResponse(protocols=["v5.channel.k8s.io", "v4.channel.k8s.io"])
        await socket.prepare(incoming)
        if "stdin" in incoming.query:
            async for message in socket:
                # The Python client writes text frames.
                data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
                if data == b"\xff\x00":
                    break
                if len(data) > 1:
                    await socket.send_bytes(b"\x01" + data[1:])
        status: dict[str, object] = {"status": "Success"}
        if incoming.query.getall("command", []) == ["false"]:
            details = {"causes": [{"reason": "ExitCode", "message": "3"}]}
            status = {"status": "Failure", "reason": "NonZeroExitCode", "message": "exit code 3", "details": details}
        await socket.send_bytes(b"\x03" + json.dumps(status).encode())
        await socket.close()
        return socket

    async def _echo(self, incoming: web.Request) -> web.Response:
        headers = {"X-Path": incoming.path_qs, "X-Seen": ",".join(sorted(name.lower() for name in incoming.headers))}
        return web.Response(status=418, body=await incoming.read(), headers=headers)
