"""When kubelets are asked, and when not."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from k8slite.apiserver.resource_metrics import scraping
from k8slite.apiserver.resource_metrics.scraping import Scraper
from k8slite.clock import SystemClock, VirtualClock
from k8slite.errors import ApiError, service_unavailable
from k8slite.pool import Answer


@dataclass
class Entry:
    key: str
    document: dict[str, Any]
    revision: int = 1
    labels: dict[str, str] = field(default_factory=dict)


class Nodes:
    """Nodes at 10.0.0.<n>."""

    def __init__(self, count: int) -> None:
        self.entries = {f"n{index}": Entry(f"n{index}", node(f"10.0.0.{index}")) for index in range(count)}
        self.changed = 1

    def resource(self, group: str, plural: str) -> Nodes:
        return self

    def get(self, namespace: str, name: str) -> Entry | None:
        return self.entries.get(name)

    def select(self, **_: Any) -> list[Entry]:
        return list(self.entries.values())


def node(address: str, path: str = "") -> dict[str, Any]:
    annotations = {scraping.PATH_ANNOTATION: path} if path else {}
    return {
        "metadata": {"annotations": annotations},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    }


class Kubelets:
    tls = None


class Asked(Scraper):
    """Kubelets that use half a core. `asked` counts requests by address and path; `down` do not answer."""

    def __init__(self, nodes: Nodes, clock: Any) -> None:
        super().__init__(Kubelets(), objects=nodes, clock=clock)  # type: ignore[arg-type]
        self.asked: Counter[str] = Counter()
        self.down: set[str] = set()
        self.code = 200

    async def _ask(self, door: Any, path: str) -> tuple[Answer, float]:
        host = door.pool._host
        self.asked[host + path] += 1
        await asyncio.sleep(0)
        if host in self.down:
            raise TimeoutError
        now = self._clock.monotonic()
        body = f"node_cpu_usage_seconds_total {now / 2} {int(now * 1000)}\nnode_memory_working_set_bytes 5 1\n"
        return Answer(self.code, body.encode()), now


PAGE = "/metrics/resource"


async def told(scraper: Scraper, clock: VirtualClock, *names: str) -> dict[str, bool]:
    """Which nodes have a rate, after as much time as it takes."""
    asking = asyncio.create_task(scraper.histories(names))
    for _ in range(8):
        for _ in range(20):
            await asyncio.sleep(0)
        if asking.done():
            break
        await clock.advance(0.25)
    found = await asyncio.wait_for(asking, 5)
    return {name: name in found and found[name].node(now=clock.monotonic()) is not None for name in names}


async def test_the_first_question_takes_two_readings_a_second_apart_and_the_next_none() -> None:
    clock = VirtualClock()
    scraper = Asked(Nodes(2), clock)
    before = clock.monotonic()
    assert await told(scraper, clock, "n0") == {"n0": True}
    assert scraper.asked == {"10.0.0.0" + PAGE: 2} and clock.monotonic() - before == 1.0
    assert await told(scraper, clock, "n0") == {"n0": True}
    assert scraper.asked == {"10.0.0.0" + PAGE: 2} and clock.monotonic() - before == 1.0
    await clock.advance(1.5)
    assert await told(scraper, clock, "n0") == {"n0": True}
    assert scraper.asked == {"10.0.0.0" + PAGE: 3}
    await clock.advance(40)
    assert await told(scraper, clock, "n0") == {"n0": True}
    assert scraper.asked == {"10.0.0.0" + PAGE: 5}, "the earlier reading is too old to begin at"
    await scraper.close()


async def test_who_asks_at_the_same_time_shares() -> None:
    clock = VirtualClock()
    scraper = Asked(Nodes(3), clock)
    first = asyncio.create_task(told(scraper, clock, "n0", "n1"))
    second = asyncio.create_task(scraper.histories(["n1", "n2"]))
    await first
    await second
    assert set(scraper.asked.values()) == {2}
    await scraper.close()


async def test_a_node_that_does_not_answer_is_left_out_and_left_alone() -> None:
    clock = VirtualClock()
    scraper = Asked(Nodes(2), clock)
    scraper.down = {"10.0.0.1"}
    assert await told(scraper, clock, "n0", "n1", "nobody") == {"n0": True, "n1": False, "nobody": False}
    await told(scraper, clock, "n1")
    assert scraper.asked["10.0.0.1" + PAGE] == 1
    scraper.down.clear()
    await clock.advance(6)
    assert await told(scraper, clock, "n1") == {"n1": False}, "nobody waits for one that is tried again"
    for _ in range(20):
        await asyncio.sleep(0)
    await clock.advance(1)
    assert await told(scraper, clock, "n1") == {"n1": True}
    await scraper.close()


async def test_what_a_silent_node_told_is_not_told_for_long() -> None:
    clock = VirtualClock()
    scraper = Asked(Nodes(1), clock)
    assert await told(scraper, clock, "n0") == {"n0": True}
    scraper.down = {"10.0.0.0"}
    await clock.advance(2)
    assert await told(scraper, clock, "n0") == {"n0": True}, "as it was two seconds ago, and it says so"
    await clock.advance(4)
    assert await told(scraper, clock, "n0") == {"n0": False}
    await scraper.close()


async def test_a_kubelet_that_refuses_is_left_out() -> None:
    clock = VirtualClock()
    scraper = Asked(Nodes(1), clock)
    scraper.code = 403
    assert await told(scraper, clock, "n0") == {"n0": False}
    await scraper.close()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/metrics/nodes/n0/metrics/resource", "/metrics/nodes/n0/metrics/resource"),
        ("", PAGE),
        ("/exec/ns/pod/container?command=x", PAGE),
        ("/metrics/../exec/a/b/c", PAGE),
        ("/metrics/a b\r\nX: y", PAGE),
    ],
)
async def test_a_node_may_say_where_its_page_is_but_lead_nowhere_else(path: str, expected: str) -> None:
    clock, nodes = VirtualClock(), Nodes(1)
    nodes.entries["n0"].document = node("10.0.0.0", path)
    scraper = Asked(nodes, clock)
    await told(scraper, clock, "n0")
    assert set(scraper.asked) == {"10.0.0.0" + expected}
    await scraper.close()


async def test_a_node_that_moves_is_followed() -> None:
    clock, nodes = VirtualClock(), Nodes(1)
    scraper = Asked(nodes, clock)
    await told(scraper, clock, "n0")
    nodes.entries["n0"] = Entry("n0", node("10.0.0.9"), revision=2)
    await clock.advance(2)
    await told(scraper, clock, "n0")
    assert scraper.asked["10.0.0.9" + PAGE] == 1
    await scraper.close()


async def test_when_nobody_asks_any_more_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraping, "_FORGOTTEN", 0.05)
    monkeypatch.setattr(scraping, "_FRESH", 0.01)
    scraper = Asked(Nodes(2), SystemClock())
    assert scraper._sweeping is None, "nothing runs before anybody asks"
    await scraper.histories(["n0", "n1"])
    assert scraper._known and scraper._doors and scraper._sweeping is not None
    async with asyncio.timeout(10):
        while scraper._sweeping is not None:  # noqa: ASYNC110 - a timer signals nothing
            await asyncio.sleep(0.01)
    assert not scraper._known and not scraper._doors


async def test_a_server_without_a_certificate_for_kubelets_says_so() -> None:
    class Bare:
        @property
        def tls(self) -> None:
            raise service_unavailable("the API server has no certificate to reach kubelets with")

    scraper = Scraper(Bare(), objects=Nodes(1), clock=SystemClock())  # type: ignore[arg-type]
    with pytest.raises(ApiError, match="no certificate to reach kubelets"):
        await scraper.histories(["n0"])
