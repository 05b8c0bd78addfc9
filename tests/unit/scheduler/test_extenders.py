"""HTTP extenders, asked over real connections: what they are asked, what their answers and failures mean."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8slite import pki
from k8slite.config import ConfigError
from k8slite.scheduler.configuration.model import Extender as Settings
from k8slite.scheduler.extenders.consultation import Opinion, consult
from k8slite.scheduler.extenders.extender import Extender, ExtenderError

from .builders import node, pod
from .extender_server import Answer, Server, extender_server
from .running import Cluster, and_no_preemption, cluster

POD = {"metadata": {"name": "web"}, "spec": {"containers": []}}
NAMES = ["a", "b", "c"]


async def ask(*extenders: Extender, names: list[str] | None = None) -> Opinion:
    try:
        return await consult(extenders, POD, names or NAMES, nodes=None)
    finally:
        for extender in extenders:
            await extender.close()


def only(*names: str) -> Answer:
    return lambda question: {"NodeNames": [name for name in question["NodeNames"] if name in names]}


def scoring(**scores: int) -> Answer:
    return lambda question: [{"Host": name, "Score": score} for name, score in scores.items()]


async def test_filters_are_asked_one_after_the_other_about_what_is_left() -> None:
    async with extender_server({"one": only("a", "b"), "two": only("b", "c")}) as server:
        opinion = await ask(server.extender(filterVerb="one"), server.extender(filterVerb="two"))
        assert opinion.allowed == {"b"}
        assert [(verb, question["NodeNames"]) for verb, question in server.asked] == [
            ("one", ["a", "b", "c"]),
            ("two", ["a", "b"]),
        ]
        assert server.asked[0][1] == {"Pod": POD, "Nodes": None, "NodeNames": NAMES}


async def test_no_more_is_asked_when_nothing_is_left() -> None:
    async with extender_server({"one": only(), "two": only("a")}) as server:
        opinion = await ask(server.extender(filterVerb="one"), server.extender(filterVerb="two", prioritizeVerb="two"))
        assert opinion.allowed == frozenset()
        assert [verb for verb, _ in server.asked] == ["one"]


async def test_reasons_are_the_extenders() -> None:
    def answer(question: dict[str, Any]) -> dict[str, Any]:
        failed = {"b": "no licence", "c": "no licence"}
        return {"NodeNames": ["a"], "FailedNodes": failed, "FailedAndUnresolvableNodes": {"c": "never"}}

    async with extender_server({"filter": answer, "silent": only("a")}) as server:
        assert (await ask(server.extender(filterVerb="filter"))).reasons == {"b": "no licence", "c": "never"}
        silent = f'node(s) were rejected by extender "{server.url}"'
        assert (await ask(server.extender(filterVerb="silent"))).reasons == {"b": silent, "c": silent}


@pytest.mark.parametrize(
    ("answer", "allowed"),
    [
        ({"nodenames": ["a"], "failednodes": {}}, {"a"}),
        ({"Nodes": {"items": [{"metadata": {"name": "b"}}]}}, {"b"}),
        ({"Nodes": {"Items": [{"metadata": {"name": "b"}}]}, "NodeNames": None, "Error": ""}, {"b"}),
        ({}, set()),
        ({"Nodes": None, "NodeNames": None}, set()),
    ],
)
async def test_answers_are_read_as_go_reads_them(answer: dict[str, Any], allowed: set[str]) -> None:
    async with extender_server({"filter": lambda question: answer}) as server:
        assert (await ask(server.extender(filterVerb="filter"))).allowed == allowed


async def hang(question: dict[str, Any]) -> Any:
    await asyncio.sleep(60)


BAD: list[tuple[Answer, str]] = [
    (lambda question: {"Error": "out of licences"}, "out of licences"),
    (lambda question: 500, "failed filter with extender at URL {url}/filter, code 500"),
    (lambda question: b"{", "{url}/filter: unexpected end of data: line 1 column 2 (char 1)"),
    (lambda question: ["a"], "the answer cannot be read: an object is wanted, not ['a']"),
    (
        lambda question: {"NodeNames": ["z"]},
        'extender "{url}" claims a filtered node "z" which is not found in the input node list',
    ),
    (hang, 'Post "{url}/filter": context deadline exceeded'),
]


@pytest.mark.parametrize(("answer", "message"), BAD, ids=[message[:20] for _, message in BAD])
async def test_a_filter_that_fails_fails_the_attempt_unless_it_may_be_ignored(answer: Answer, message: str) -> None:
    async with extender_server({"filter": answer, "scores": scoring(a=1)}) as server:
        settings = {"filterVerb": "filter", "httpTimeout": "300ms" if answer is hang else "20s"}
        with pytest.raises(ExtenderError) as caught:
            await ask(server.extender(**settings))
        assert str(caught.value) == message.format(url=server.url)
        opinion = await ask(server.extender(**settings, ignorable=True))
        assert opinion.allowed == set(NAMES)


async def test_a_server_that_is_not_there() -> None:
    gone = Extender(Settings.model_validate({"urlPrefix": "http://127.0.0.1:1/", "filterVerb": "filter"}))
    with pytest.raises(ExtenderError, match=r'^Post "http://127.0.0.1:1/filter": .*127.0.0.1:1'):
        await ask(gone)


async def test_scores_are_weighted_and_added() -> None:
    async with extender_server({"one": scoring(a=10, b=1), "two": scoring(b=3, z=10)}) as server:
        one = server.extender(prioritizeVerb="one", weight=2)
        two = server.extender(prioritizeVerb="two", weight=1)
        assert (await ask(one, two)).scores == {"a": 200, "b": 50, "c": 0}


async def test_scores_are_asked_for_after_the_filters_and_only_where_there_is_a_choice() -> None:
    async with extender_server({"filter": only("a", "b"), "last": only("a"), "scores": scoring(a=1)}) as server:
        await ask(server.extender(filterVerb="filter", prioritizeVerb="scores", weight=1))
        assert server.questions("scores")[0]["NodeNames"] == ["a", "b"]
        opinion = await ask(server.extender(filterVerb="last", prioritizeVerb="scores", weight=1))
        assert len(server.questions("scores")) == 1
        assert opinion == Opinion(frozenset({"a"}), opinion.reasons, {})


@pytest.mark.parametrize(
    "answer", [lambda question: 500, lambda question: {"Host": "a"}, lambda question: [{"Score": "x"}]]
)
async def test_scores_that_fail_are_left_out(answer: Answer) -> None:
    async with extender_server({"bad": answer, "good": scoring(b=1)}) as server:
        bad, good = (server.extender(prioritizeVerb=verb, weight=1) for verb in ("bad", "good"))
        assert (await ask(bad, good)).scores == {"a": 0, "b": 10, "c": 0}


def test_whom_an_extender_concerns() -> None:
    everybody = Extender(Settings.model_validate({}))
    managing = Extender(Settings.model_validate({"managedResources": [{"name": "example.com/gpu"}]}))
    gpu = {"example.com/gpu": "1"}
    asking = pod(requests=gpu)
    limited = pod(containers=[{"name": "c", "resources": {"limits": gpu}}])
    init = pod(initContainers=[{"name": "i", "resources": {"requests": gpu}}])
    for one in (asking, limited, init):
        assert managing.concerns(one)
    assert not managing.concerns(pod(requests={"cpu": "1"}))
    assert everybody.concerns(pod())


async def test_https_is_verified_as_configured(tmp_path: Path) -> None:
    authority = pki.Authority.create(tmp_path)
    server_pair = authority.issue_server("extender", common_name="extender", hosts=["extender.example"])
    client_pair = authority.issue_client("scheduler", user="scheduler")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.cert_file))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(server_pair.cert_file, server_pair.key_file)
    data = {
        name: base64.b64encode(path.read_bytes()).decode()
        for name, path in (
            ("caData", authority.cert_file),
            ("certData", client_pair.cert_file),
            ("keyData", client_pair.key_file),
        )
    }
    files = {"certFile": str(client_pair.cert_file), "keyFile": str(client_pair.key_file)}
    async with extender_server({"filter": only("a")}, context=context) as server:
        for tls in (
            {**data, "serverName": "extender.example"},
            {**files, "caFile": str(authority.cert_file), "serverName": "extender.example"},
            {**files, "insecure": True},
        ):
            opinion = await ask(server.extender(filterVerb="filter", enableHTTPS=True, tlsConfig=tls))
            assert opinion.allowed == {"a"}
        for tls in ({**files, "caFile": str(authority.cert_file)}, {"insecure": True}):
            with pytest.raises(ExtenderError, match="Post"):
                await ask(server.extender(filterVerb="filter", enableHTTPS=True, tlsConfig=tls))


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        (
            {"insecure": True, "caFile": "x"},
            "specifying a root certificates file with the insecure flag is not allowed",
        ),
        ({"caFile": "/nowhere"}, "No such file"),
        ({"certFile": "/nowhere", "keyFile": "/nowhere"}, "No such file"),
        ({"caData": base64.b64encode(b"no certificate").decode()}, "no start line|PEM"),
    ],
)
def test_certificates_that_cannot_be_read_are_said_at_once(tls: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Extender(Settings.model_validate({"enableHTTPS": True, "tlsConfig": tls}))


async def until(it: Cluster, holds: Callable[[], object]) -> None:
    """Real connections take real time, whatever the clock of the scheduler."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - the state is the scheduler's
            await asyncio.sleep(0.005)


async def test_a_pod_goes_where_extenders_let_it_and_like_it_best() -> None:
    nodes = [node(name) for name in ("a", "b", "c")]
    async with extender_server({"filter": only("a", "b"), "scores": scoring(b=10, c=10)}) as server:
        extender = server.extender(filterVerb="filter", prioritizeVerb="scores", weight=5)
        async with cluster(*nodes, extenders=[extender]) as it:
            it.show(*(pod(f"p{number}") for number in range(4)))
            await until(it, lambda: len(it.api.bound) == 4)
            assert {place for _, place in it.api.bound} == {"b"}
            assert server.questions("filter")[0]["Pod"]["metadata"]["name"] == "p0"


async def test_what_no_node_can_run_is_not_asked_about() -> None:
    async with (
        extender_server({"filter": only("a", "b")}) as server,
        cluster(node("a", allocatable={"cpu": "1"}), node("b"), extenders=[server.extender(filterVerb="filter")]) as it,
    ):
        it.show(pod("big", requests={"cpu": "2"}), pod("huge", requests={"cpu": "99"}))
        await until(it, lambda: it.api.bound == [("big", "b")] and it.api.conditions)
        assert [question["NodeNames"] for question in server.questions("filter")] == [["b"]]
        message = "0/2 nodes are available: 2 Insufficient cpu." + and_no_preemption(not_helped=2)
        assert it.api.conditions == [("huge", message)]


async def test_a_pod_that_extenders_reject_says_why_and_is_tried_again_when_anything_changes() -> None:
    allowed: list[str] = []

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        failed = {name: "no licence left" for name in question["NodeNames"] if name not in allowed}
        return {"NodeNames": [name for name in question["NodeNames"] if name in allowed], "FailedNodes": failed}

    nodes = (node("a"), node("b", taints=["k=v:NoSchedule"]))
    async with (
        extender_server({"filter": answer}) as server,
        cluster(*nodes, extenders=[server.extender(filterVerb="filter")]) as it,
    ):
        it.show(pod("web"))
        await until(it, lambda: it.api.conditions)
        message = "0/2 nodes are available: 1 no licence left, 1 node(s) had untolerated taint(s)."
        message += and_no_preemption(without_victims=1, not_helped=1)
        assert it.api.conditions == [("web", message)]
        allowed.append("a")
        it.scheduler.on_node(node("a"), node("a", labels={"licence": "yes"}))
        await it.clock.advance(5)
        await until(it, lambda: it.api.bound == [("web", "a")])


async def test_an_extender_that_fails_is_asked_again_after_a_back_off() -> None:
    answers: list[Any] = [503, {"NodeNames": ["a"]}]
    async with (
        extender_server({"filter": lambda question: answers.pop(0)}) as server,
        cluster(node("a"), extenders=[server.extender(filterVerb="filter")]) as it,
    ):
        it.show(pod("web"))
        await until(it, lambda: it.api.events)
        failure = f"failed filter with extender at URL {server.url}/filter, code 503"
        assert it.api.events == [("FailedScheduling", failure)]
        await it.clock.advance(2)
        await until(it, lambda: it.api.bound == [("web", "a")])


async def test_pods_that_no_extender_concerns_are_not_held_up() -> None:
    go = asyncio.Event()

    async def slow(question: dict[str, Any]) -> Any:
        await go.wait()
        return {"NodeNames": question["NodeNames"]}

    async with extender_server({"filter": slow}) as server:
        extender = server.extender(filterVerb="filter", managedResources=[{"name": "example.com/gpu"}])
        gpu = node("a", allocatable={"example.com/gpu": "4"})
        async with cluster(gpu, extenders=[extender]) as it:
            it.show(pod("slow", requests={"example.com/gpu": "1"}), *(pod(f"p{number}") for number in range(20)))
            await until(it, lambda: len(it.api.bound) == 20)
            assert "slow" not in dict(it.api.bound)
            go.set()
            await until(it, lambda: len(it.api.bound) == 21)


async def test_room_that_is_taken_while_an_extender_thinks_is_seen() -> None:
    go = asyncio.Event()

    async def slow(question: dict[str, Any]) -> Any:
        await go.wait()
        return {"NodeNames": question["NodeNames"]}

    async with extender_server({"filter": slow, "scores": scoring(a=10)}) as server:
        managed = [{"name": "example.com/gpu"}]
        extender = server.extender(filterVerb="filter", prioritizeVerb="scores", weight=9, managedResources=managed)
        nodes = [node(name, allocatable={"cpu": "1", "example.com/gpu": "1"}) for name in ("a", "b")]
        async with cluster(*nodes, extenders=[extender]) as it:
            it.show(pod("slow", requests={"cpu": "1", "example.com/gpu": "1"}))
            await until(it, lambda: server.asked)
            it.show(pod("quick", requests={"cpu": "1"}, nodeSelector={}, nodeName="a"))
            go.set()
            await until(it, lambda: it.api.bound == [("slow", "b")])


async def test_one_is_asked_about_at_a_time_and_the_most_important_first() -> None:
    go = asyncio.Event()
    at_once = most = 0

    async def slow(question: dict[str, Any]) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await go.wait()
        at_once -= 1
        return {"NodeNames": question["NodeNames"]}

    async with (
        extender_server({"filter": slow}) as server,
        cluster(node("a"), extenders=[server.extender(filterVerb="filter")]) as it,
    ):
        it.show(pod("first"))
        await until(it, lambda: server.asked)
        it.show(*(pod(f"p{priority}", priority=priority) for priority in (1, 3, 2)))
        await it.settle()
        go.set()
        await until(it, lambda: len(it.api.bound) == 4)
        assert most == 1
        names = [question["Pod"]["metadata"]["name"] for question in server.questions("filter")]
        assert names == ["first", "p3", "p2", "p1"]


async def test_a_pod_that_goes_while_an_extender_thinks_leaves_nothing() -> None:
    go = asyncio.Event()

    async def slow(question: dict[str, Any]) -> Any:
        await go.wait()
        return {"NodeNames": question["NodeNames"]}

    async with (
        extender_server({"filter": slow}) as server,
        cluster(node("a"), extenders=[server.extender(filterVerb="filter")]) as it,
    ):
        gone, stays = pod("gone", requests={"cpu": "1"}), pod("stays")
        it.show(gone)
        await until(it, lambda: server.asked)
        it.show(stays)
        it.gone(gone)
        go.set()
        await until(it, lambda: it.api.events)
        assert it.api.bound == [("stays", "a")]
        assert it.scheduler.columns.node_of("uid-gone") is None
        assert it.api.events == [("Scheduled", "Successfully assigned default/stays to a")]


def binder(server: Server, **settings: Any) -> Extender:
    return server.extender(bindVerb="bind", managedResources=[{"name": "example.com/gpu"}], **settings)


async def test_an_extender_binds_the_pods_that_concern_it() -> None:
    async with extender_server({"bind": lambda question: {}}) as server:
        gpu = node("a", allocatable={"example.com/gpu": "4"})
        async with cluster(gpu, extenders=[binder(server)]) as it:
            it.show(pod("theirs", requests={"example.com/gpu": "1"}), pod("ours"))
            await until(it, lambda: len(it.api.events) == 2)
            assert it.api.bound == [("ours", "a")]
            question = {"PodName": "theirs", "PodNamespace": "default", "PodUID": "uid-theirs", "Node": "a"}
            assert server.asked == [("bind", question)]
            assert ("Scheduled", "Successfully assigned default/theirs to a") in it.api.events


async def test_an_extender_that_cannot_bind_fails_the_binding_unless_it_may_be_ignored() -> None:
    async with extender_server({"bind": lambda question: {"Error": "no driver"}}) as server:
        gpu = node("a", allocatable={"example.com/gpu": "4"})
        theirs = pod("theirs", requests={"example.com/gpu": "1"})
        async with cluster(gpu, extenders=[binder(server)]) as it:
            it.show(theirs)
            await until(it, lambda: it.api.events == [("FailedScheduling", "no driver")])
            assert it.scheduler.columns.node_of("uid-theirs") is None
        async with cluster(gpu, extenders=[binder(server, ignorable=True)]) as it:
            it.show(theirs)
            await until(it, lambda: it.api.bound == [("theirs", "a")])


def full(name: str, *, priority: int = 0) -> tuple[Any, Any]:
    """A node and the pod that fills it."""
    low = pod(f"low-{name}", requests={"cpu": "1"}, nodeName=name, priority=priority)
    return node(name, allocatable={"cpu": "1"}), low


async def preempting(server: Server, it: Cluster, *lows: Any) -> None:
    it.show(*lows)
    it.show(pod("high", requests={"cpu": "1"}, priority=100))
    await until(it, lambda: it.api.conditions)


@pytest.mark.parametrize("whole", [False, True])
async def test_extenders_say_where_room_may_be_made(whole: bool) -> None:
    def answer(question: dict[str, Any]) -> dict[str, Any]:
        return {"NodeNameToMetaVictims": {"b": {"Pods": [{"UID": "uid-low-b"}]}}}

    (a, low_a), (b, low_b), (c, low_c) = full("a"), full("b", priority=5), full("c", priority=3)
    async with extender_server({"preempt": answer}) as server:
        extender = server.extender(preemptVerb="preempt", nodeCacheCapable=not whole)
        async with cluster(a, b, c, extenders=[extender]) as it:
            await preempting(server, it, low_a, low_b, low_c)
            await until(it, lambda: it.api.deleted)
            assert it.api.deleted == ["low-b"], "although others would have lost less"
            assert it.api.nominated == [("high", "b")]
            (question,) = server.questions("preempt")
            assert question["Pod"]["metadata"]["name"] == "high"
            shown = question["NodeNameToVictims" if whole else "NodeNameToMetaVictims"]
            assert question["NodeNameToMetaVictims" if whole else "NodeNameToVictims"] is None
            assert list(shown) == ["a", "c", "b"], "the best first"
            victim = shown["a"]["Pods"][0]
            assert (victim["metadata"]["name"] if whole else victim["UID"]) == ("low-a" if whole else "uid-low-a")


NO_ROOM: list[tuple[Answer, str]] = [
    (lambda question: {"NodeNameToMetaVictims": {}}, "no candidate node for preemption"),
    (lambda question: {}, "no candidate node for preemption"),
    (lambda question: 500, "failed preempt with extender at URL {url}/preempt, code 500"),
    (
        lambda question: {"NodeNameToMetaVictims": {"a": {"Pods": [{"UID": "x"}]}}},
        "extender: {url} claims to preempt pod (UID: x) on node: a, but the pod is not found on that node",
    ),
    (
        lambda question: {"NodeNameToMetaVictims": {"a": {"Pods": []}}},
        'expected at least one victim pod on node "a"',
    ),
]


@pytest.mark.parametrize(("answer", "reason"), NO_ROOM)
async def test_no_room_is_made_where_extenders_let_none_be_made(answer: Answer, reason: str) -> None:
    a, low = full("a")
    async with (
        extender_server({"preempt": answer}) as server,
        cluster(a, extenders=[server.extender(preemptVerb="preempt")]) as it,
    ):
        await preempting(server, it, low)
        said = reason.format(url=server.url)
        assert it.api.conditions == [("high", f"0/1 nodes are available: 1 Insufficient cpu. preemption: {said}")]
        assert it.api.deleted == []


async def test_an_extender_that_may_be_ignored_does_not_keep_room_from_being_made() -> None:
    a, low = full("a")
    async with (
        extender_server({"preempt": lambda question: 500}) as server,
        cluster(a, extenders=[server.extender(preemptVerb="preempt", ignorable=True)]) as it,
    ):
        await preempting(server, it, low)
        await until(it, lambda: it.api.deleted == ["low-a"])


async def test_pods_that_fit_are_no_matter_of_an_extender_for_preemption() -> None:
    async with (
        extender_server({}) as server,
        cluster(node("a"), extenders=[server.extender(preemptVerb="preempt")]) as it,
    ):
        it.show(pod("web"))
        await until(it, lambda: it.api.bound == [("web", "a")])
        assert server.asked == []
