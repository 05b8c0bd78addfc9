"""Who may ask a kubelet for what, and how often the API server is asked about it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from k8slite.clock import VirtualClock
from k8slite.errors import ApiError, service_unavailable
from k8slite.kubelet.server.access import Access, bearer, question_of
from k8slite.pki import KUBELET_CLIENTS


class Server:
    """The API server: `alice` may read metrics, and `tok` is her token. While it does not answer, questions wait."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.questions: list[dict[str, Any]] = []
        self.error: ApiError | None = None
        self.names, self.tokens = "alice", {"tok"}
        self.answering = asyncio.Event()
        self.answering.set()
        self.under_way = self.most = 0

    async def request(self, method: str, path: str, *, body: dict[str, Any]) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        self.asked[body["kind"]] += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.answering.wait()
        self.under_way -= 1
        if body["kind"] == "TokenReview":
            known = body["spec"]["token"] in self.tokens
            user = {"username": "alice", "groups": ["system:authenticated"], "uid": "u", "extra": {"k": ["v"]}}
            return {"status": {"authenticated": True, "user": user} if known else {}}
        self.questions.append(body["spec"])
        return {"status": {"allowed": body["spec"]["user"] == self.names and self._reads(body["spec"])}}

    @staticmethod
    def _reads(spec: dict[str, Any]) -> bool:
        attributes = spec["resourceAttributes"]
        return (attributes["verb"], attributes["subresource"]) == ("get", "metrics")


def certificate(name: str, *groups: str) -> dict[str, Any]:
    return {"subject": ((("commonName", name),), *((("organizationName", group),) for group in groups))}


class Transport:
    def __init__(self, peer: dict[str, Any] | None) -> None:
        self.peer = peer

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.peer if name == "peercert" else default


async def ask(
    access: Access, path: str, *, peer: dict[str, Any] | None = None, token: str = "", method: str = "GET"
) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = make_mocked_request(method, path, headers=headers, transport=Transport(peer))

    async def handler(_: web.Request) -> web.Response:
        return web.Response(text="in")

    return (await access.middleware(request, handler)).status


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def access(server: Server, clock: VirtualClock) -> Access:
    return Access(server, node="n1", clock=clock)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/metrics", ("get", ("metrics",))),
        ("GET", "/metrics/resource", ("get", ("metrics",))),
        ("GET", "/metricsmore", ("get", ("proxy",))),
        ("GET", "/stats/summary", ("get", ("stats",))),
        ("GET", "/logs/", ("get", ("log",))),
        ("GET", "/pods", ("get", ("pods", "proxy"))),
        ("GET", "/healthz", ("get", ("healthz", "proxy"))),
        ("GET", "/containerLogs/a/b/c", ("get", ("proxy",))),
        ("POST", "/exec/a/b/c", ("create", ("proxy",))),
        ("GET", "/exec/a/b/c", ("create", ("proxy",))),
        ("GET", "/attach/a/b/c", ("create", ("proxy",))),
        ("GET", "/portForward/a/b", ("create", ("proxy",))),
        ("DELETE", "/", ("delete", ("proxy",))),
    ],
)
def test_a_path_stands_for_a_part_of_the_node(method: str, path: str, expected: tuple[str, tuple[str, ...]]) -> None:
    assert question_of(method, path) == expected


def test_a_certificate_names_its_bearer() -> None:
    assert bearer(None) is None and bearer({"subject": ()}) is None
    alice = bearer(certificate("alice", "team"))
    assert alice is not None and (alice.name, alice.trusted) == ("alice", False)
    assert alice.groups == ("team", "system:authenticated")
    for group in ("system:masters", KUBELET_CLIENTS):
        found = bearer(certificate("x", "other", group))
        assert found is not None and found.trusted


async def test_the_api_servers_own_need_no_question(server: Server, access: Access) -> None:
    assert await ask(access, "/exec/a/b/c", peer=certificate("x", "system:masters")) == 200
    assert not server.asked


async def test_others_are_asked_about_once_in_a_while(server: Server, clock: VirtualClock, access: Access) -> None:
    alice = certificate("alice")
    assert [await ask(access, "/metrics/resource", peer=alice) for _ in range(3)] == [200] * 3
    assert [await ask(access, "/stats/summary", peer=alice) for _ in range(3)] == [403] * 3
    assert server.asked == {"SubjectAccessReview": 2}
    assert server.questions[0] == {
        "user": "alice",
        "uid": "",
        "groups": ["system:authenticated"],
        "extra": {},
        "resourceAttributes": {
            "verb": "get",
            "version": "v1",
            "resource": "nodes",
            "subresource": "metrics",
            "name": "n1",
        },
    }
    await clock.advance(29)
    assert await ask(access, "/metrics/resource", peer=alice) == 200
    assert server.asked == {"SubjectAccessReview": 2}
    server.names = "bob"
    await clock.advance(1)
    assert await ask(access, "/metrics/resource", peer=alice) == 403, "what is taken away is so in half a minute"
    assert await ask(access, "/stats/summary", peer=alice) == 403
    assert server.asked == {"SubjectAccessReview": 4}


async def test_a_token_says_who_one_is(server: Server, clock: VirtualClock, access: Access) -> None:
    assert [await ask(access, "/metrics/resource", token="tok") for _ in range(2)] == [200, 200]
    assert server.asked == {"TokenReview": 1, "SubjectAccessReview": 1}
    assert (server.questions[0]["uid"], server.questions[0]["extra"]) == ("u", {"k": ["v"]})
    assert await ask(access, "/metrics/resource", token="other") == 401
    server.tokens.clear()
    await clock.advance(9)
    assert await ask(access, "/metrics/resource", token="tok") == 200
    await clock.advance(1)
    assert await ask(access, "/metrics/resource", token="tok") == 401, "a token opens nothing long after its deletion"
    server.tokens.add("other")
    assert await ask(access, "/metrics/resource", token="other") == 200, "nor does a refusal outlive its reason"
    assert server.asked["TokenReview"] == 4


async def test_strangers_leave_the_kubelet_its_own_requests(server: Server, access: Access) -> None:
    server.answering.clear()
    asking = [asyncio.create_task(ask(access, "/pods", token=f"guess-{number}")) for number in range(100)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert 0 < server.under_way <= 8
    assert await ask(access, "/pods", peer=certificate("x", "system:masters")) == 200, "the API server waits for nobody"
    server.answering.set()
    assert await asyncio.gather(*asking) == [401] * 100
    assert server.most == 8


async def test_who_gives_no_name_is_nobody(server: Server, access: Access) -> None:
    assert await ask(access, "/healthz") == 401
    assert await ask(access, "/metrics/resource", token=" ") == 401
    assert not server.asked


async def test_nobody_is_let_in_while_the_api_server_cannot_be_asked(server: Server, access: Access) -> None:
    server.error = service_unavailable("it starts")
    assert await ask(access, "/metrics/resource", token="tok") == 500
    assert await ask(access, "/metrics/resource", peer=certificate("alice")) == 500
    assert await ask(access, "/metrics/resource", peer=certificate("x", "system:masters")) == 200
    server.error = None
    assert await ask(access, "/metrics/resource", token="tok") == 200
