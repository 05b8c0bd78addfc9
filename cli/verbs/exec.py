"""`k8slite exec`: run a command in a container, over kubectl's WebSocket protocol.

Source: KEP-4006 (remote command over WebSockets): every binary frame begins with a channel number.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import click
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from k8slite.errors import ApiError

from ..api import Api
from ..failure import Failure
from ..options import connects
from . import pods

STDIN, STDOUT, STDERR, STATUS, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PROTOCOL = Subprotocol("v5.channel.k8s.io")


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("what")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("-c", "--container", default="", help="The container; default: the first.")
@click.option("-i", "--stdin", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="Standard input is a terminal.")
@connects
def execute(api: Api, *, what: str, command: tuple[str, ...], container: str, stdin: bool, tty: bool) -> None:
    """Run a command in a container: `exec web -- ls /`, `exec -it deployment/front -- sh`."""
    pod = pods.find(api, what)
    query = [("container", pods.container(pod, container)), ("stdout", "true")]
    query += [("command", word) for word in command]
    query += [(name, "true") for name, wanted in (("stdin", stdin), ("tty", tty), ("stderr", not tty)) if wanted]
    path = api.path(api.resource("pods"), pod["metadata"]["name"], subresource="exec")
    url = f"{api.access.server.replace('http', 'ws', 1)}{path}?{urlencode(query)}"
    headers = {"Authorization": f"Bearer {api.access.token}"} if api.access.token else {}
    try:
        connection = connect(
            url, ssl=api.access.tls, subprotocols=[PROTOCOL], additional_headers=headers, max_size=None, proxy=None
        )
    except InvalidStatus as error:
        raise _refused(error) from error
    except (OSError, InvalidHandshake) as error:
        raise Failure(f"the server at {api.access.server} does not answer: {error}") from error
    with connection:
        code = _converse(connection, stdin=stdin, tty=tty and _is_terminal())
    sys.exit(code)


def _is_terminal() -> bool:
    if sys.stdin.isatty():
        return True
    click.echo("Unable to use a TTY - input is not a terminal", err=True)
    return False


def _refused(error: InvalidStatus) -> Exception:
    try:
        status = json.loads(error.response.body or b"{}")
    except ValueError:
        status = {}
    return ApiError.from_status(error.response.status_code, status)


def _converse(connection: ClientConnection, *, stdin: bool, tty: bool) -> int:
    """Carry bytes both ways until the command ends; its exit code."""
    outputs = {STDOUT: sys.stdout.buffer, STDERR: sys.stderr.buffer}
    with _raw_terminal() if tty and stdin else contextlib.nullcontext():
        if tty:
            _follow_size(connection)
        if stdin:
            threading.Thread(target=_send_input, args=(connection,), daemon=True).start()
        try:
            for frame in connection:
                if not isinstance(frame, bytes) or not frame:
                    continue
                channel, data = frame[0], frame[1:]
                if channel == STATUS:
                    return exit_code(json.loads(data))
                if channel in outputs:
                    outputs[channel].write(data)
                    outputs[channel].flush()
        except ConnectionClosed as error:
            raise Failure(f"the connection broke: {error}") from error
    raise Failure("the connection ended before the command did")


def exit_code(status: dict[str, Any]) -> int:
    """The command's exit code from the final Status. Raises Failure for an error that is none of the command's."""
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes", []):
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise Failure(str(status.get("message") or "the command could not be run"))


def _send_input(connection: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed, OSError):
        while data := os.read(0, 32768):
            connection.send(bytes([STDIN]) + data)
        connection.send(bytes([CLOSE, STDIN]))


def _follow_size(connection: ClientConnection) -> None:
    """Send the terminal's size, now and whenever it changes.

    By a thread: a signal handler could interrupt a send, of its own even, and wait for the lock of that for ever.
    """
    changed: queue.SimpleQueue[None] = queue.SimpleQueue()
    signal.signal(signal.SIGWINCH, lambda *_: changed.put(None))
    changed.put(None)

    def work() -> None:
        with contextlib.suppress(ConnectionClosed, OSError):
            while True:
                changed.get()
                size = os.get_terminal_size(sys.stdin.fileno())
                message = json.dumps({"Width": size.columns, "Height": size.lines}).encode()
                connection.send(bytes([RESIZE]) + message)

    threading.Thread(target=work, daemon=True).start()


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    import termios
    import tty

    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
