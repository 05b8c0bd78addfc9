"""Many watchers in one process, on bare sockets, so that they take as little of the machine as they can.

Run by `watch_fanout.py`; settings come on standard input. Says `ready` when every watcher has its stream, then a line
for each change: its number, and the monotonic times at which half of the watchers and the last one had it.
"""

from __future__ import annotations

import json
import re
import resource
import select
import socket
import ssl
import sys
import time
from collections import defaultdict

from .kubeconfig import Target

MARKER = re.compile(rb"bench-change-(\d+);")


def connect(target: Target, path: str) -> socket.socket:
    """A watch whose answer has begun."""
    raw = socket.create_connection((target.host, target.port))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    context = _context(target)
    stream = context.wrap_socket(raw, server_hostname=target.host) if context else raw
    token = f"Authorization: Bearer {target.token}\r\n" if target.token else ""
    stream.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\nAccept: application/json\r\n{token}\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += stream.recv(65536)
    if b" 200 " not in answer.partition(b"\r\n")[0]:
        raise SystemExit(answer.decode(errors="replace"))
    stream.setblocking(False)
    return stream


_contexts: dict[Target, ssl.SSLContext | None] = {}


def _context(target: Target) -> ssl.SSLContext | None:
    if target not in _contexts:
        _contexts[target] = target.tls()
    return _contexts[target]


def main() -> None:
    """Watch until standard input ends."""
    spec = json.loads(sys.stdin.readline())
    target = Target(**{key: spec[key] for key in Target.__slots__})
    count = spec["watchers"]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    streams = [connect(target, spec["path"]) for _ in range(count)]
    poll = select.epoll()
    by_number = {stream.fileno(): stream for stream in streams}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    poll.register(sys.stdin.fileno(), select.EPOLLIN)
    print("ready", flush=True)
    seen: defaultdict[int, int] = defaultdict(int)
    half: dict[int, float] = {}
    while True:
        for number, _ in poll.poll():
            if number not in by_number:
                return
            for change in _changes(by_number[number]):
                seen[change] += 1
                if seen[change] == (count + 1) // 2:
                    half[change] = time.monotonic()
                if seen[change] == count:
                    print(change, half[change], time.monotonic(), flush=True)


def _changes(stream: socket.socket) -> list[int]:
    try:
        data = stream.recv(65536)
    except (ssl.SSLWantReadError, BlockingIOError):
        return []
    if not data:
        raise SystemExit("the server ended a watch")
    return [int(number) for number in MARKER.findall(data)]


if __name__ == "__main__":
    main()
