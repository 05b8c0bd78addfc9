"""How many seats a request takes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from k8slite.apiserver.flowcontrol.widths import width
from k8slite.apiserver.wire import options, request


@dataclass
class Pods:
    """Two thousand pods, a tenth of them in one namespace, and who watches them."""

    watchers: int = 0

    def count(self, namespace: str) -> int:
        return 200 if namespace else 2000

    def interested(self, namespace: str) -> int:
        return self.watchers

    def known(self, group: str, plural: str) -> Pods | None:
        return self if plural == "pods" else None


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/api/v1/namespaces/n/pods/p", b"", 1),
        ("GET", "/api/v1/pods", b"", 20),
        ("GET", "/api/v1/namespaces/n/pods", b"", 2),
        ("GET", "/api/v1/pods", b"limit=500", 5),
        ("GET", "/api/v1/pods", b"limit=500&labelSelector=a%3Db", 20),
        ("GET", "/api/v1/pods", b"fieldSelector=metadata.name%3Dp", 1),
        ("GET", "/api/v1/pods", b"watch=1", 20),
        ("GET", "/api/v1/pods", b"watch=1&resourceVersion=0", 20),
        ("GET", "/api/v1/pods", b"watch=1&resourceVersion=7", 1),
        ("GET", "/api/v1/pods", b"watch=1&resourceVersion=7&sendInitialEvents=true", 20),
        ("DELETE", "/api/v1/namespaces/n/pods", b"", 2),
        ("DELETE", "/api/v1/namespaces/n/pods/p", b"", 1),
        ("GET", "/apis/made.up/v1/things", b"", 1),
    ],
)
def test_lists_cost_by_what_they_go_through(method: str, path: str, query: bytes, expected: int) -> None:
    parsed = options.parse(query, method)
    assert width(request.parse(method, path, parsed), parsed, Pods()) == expected


@pytest.mark.parametrize(("watchers", "expected"), [(0, 1), (99, 1), (100, 2), (1000, 11)])
def test_writes_cost_by_who_is_told(watchers: int, expected: int) -> None:
    info = request.parse("POST", "/api/v1/namespaces/n/pods", options.DEFAULT)
    assert width(info, options.DEFAULT, Pods(watchers)) == expected
