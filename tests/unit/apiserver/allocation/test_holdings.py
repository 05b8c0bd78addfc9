"""Who holds which address and port: always as if all Services were read anew."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.apiserver.allocation.holdings import Holdings
from k8slite.apiserver.storage.base import Change, Record
from k8slite.apiserver.watching.cache import WatchCache

NAMES = ["a", "b", "c"]
ADDRESSES = ["10.96.0.1", "10.96.0.2", "None", "fd00::1", "fd00:0::1"]


def service(addresses: list[str], ports: list[int]) -> bytes:
    spec: dict[str, Any] = {"clusterIPs": addresses, "ports": [{"nodePort": port} for port in ports]}
    return orjson.dumps({"spec": spec})


class World:
    def __init__(self) -> None:
        self.rows = WatchCache().resource("", "services")
        self.rows.HISTORY_EVENTS = 4
        self.holdings = Holdings(self.rows)
        self.revision = 0
        self.services: dict[str, bytes] = {}

    def key(self, name: str) -> str:
        return self.rows.key("default", name)

    def put(self, name: str, value: bytes) -> None:
        old = self.services.get(name)
        self.services[name] = value
        self._apply("MODIFIED" if old else "ADDED", name, value, old)

    def delete(self, name: str) -> None:
        if (old := self.services.pop(name, None)) is not None:
            self._apply("DELETED", name, old, old)

    def _apply(self, kind: Any, name: str, value: bytes, old: bytes | None) -> None:
        self.revision += 1
        self.rows.apply(Change(kind, self.key(name), value, self.revision, old))

    def refill(self, revision: int) -> None:
        """The store was replaced: other Services, and revisions begin anew."""
        self.revision = revision
        self.services = dict(list(self.services.items())[1:])
        self.rows.fill([Record(self.key(name), value, revision) for name, value in self.services.items()], revision)

    def check(self) -> None:
        anew = Holdings(self.rows)
        assert self.holdings.holders() == anew.holders()
        shared = {item: sorted(keys) for item, keys in anew.shared().items()}
        assert {item: sorted(keys) for item, keys in self.holdings.shared().items()} == shared


VALUES = st.builds(
    service,
    st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True),
    st.lists(st.sampled_from([30000, 30001]), max_size=2, unique=True),
)
STEPS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(NAMES), VALUES),
    st.tuples(st.just("delete"), st.sampled_from(NAMES)),
    st.tuples(st.just("refill"), st.integers(0, 6)),
    st.tuples(st.just("check")),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_what_changed_is_enough_to_know_who_holds_what(steps):
    world = World()
    for action, *arguments in steps:
        getattr(world, action)(*arguments)
    world.check()


def test_only_services_that_changed_are_read():
    world = World()
    for number, name in enumerate(NAMES):
        world.put(name, service([f"10.96.0.{number}"], []))
    assert world.holdings.holder(("10.96.0.1", 0)) == world.key("b")
    world.rows.select = lambda **_: (_ for _ in ()).throw(AssertionError("all were read"))  # type: ignore[method-assign]
    world.put("b", service(["10.96.0.9"], [30000]))
    world.delete("a")
    assert world.holdings.holders() == {
        ("10.96.0.9", 0): world.key("b"),
        ("TCP", 30000): world.key("b"),
        ("10.96.0.2", 0): world.key("c"),
    }
