"""The mirror of Endpoints, through a manager that is killed and an API that fails: in the end it is exact."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.controller import TryAgain
from k8slite.controllers.endpointslicemirroring.sync import MirroringSync
from k8slite.errors import ApiError

from .service_api import Api, Manager

KEY = "default/web"
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("endpoints"), st.sets(st.integers(1, 6)), st.integers(80, 81)),
        st.tuples(st.just("service"), st.booleans(), st.none()),
        st.tuples(
            st.sampled_from(["gone", "turn", "deliver", "kill", "refused", "lost"]), st.integers(0, 2), st.none()
        ),
    ),
    max_size=40,
)


def service(*, selects: bool) -> dict[str, Any]:
    spec = {"selector": {"app": "web"} if selects else None, "clusterIP": "10.96.0.9", "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "uid": "uid-web"}, "spec": spec}


def endpoints(serial: int, numbers: set[int], port: int) -> dict[str, Any]:
    subset = {"addresses": [{"ip": f"10.0.0.{n}"} for n in sorted(numbers)], "ports": [{"port": port}]}
    return {"metadata": {"name": "web", "uid": f"uid-{serial}"}, "subsets": [subset] if numbers else []}


@settings(max_examples=150, deadline=None)
@given(_STEPS, st.integers())
def test_the_mirror_is_exact_after_any_history(steps: list[tuple[str, Any, Any]], seed: int) -> None:
    asyncio.run(history(steps, random.Random(seed)))


async def turn(sync: MirroringSync) -> bool:
    try:
        await sync.sync(KEY)
    except (ApiError, OSError, TryAgain):
        return False
    return True


async def history(steps: list[tuple[str, Any, Any]], source: random.Random) -> None:
    api = Api()
    api.put("services", service(selects=False))
    serial = 0
    manager = Manager(api, source)
    sync = MirroringSync(manager)  # type: ignore[arg-type]
    for what, value, port in steps:
        if what == "endpoints":
            api.put("endpoints", endpoints(serial, value, port))
        elif what == "gone":
            api.drop("endpoints", "web")
            serial += 1
        elif what == "service":
            api.put("services", service(selects=value))
        elif what == "turn":
            await turn(sync)
        elif what == "deliver":
            manager.deliver()
        elif what == "kill":
            manager = Manager(api, source)
            sync = MirroringSync(manager)  # type: ignore[arg-type]
        else:
            api.faults += [what] * (value + 1)
    api.faults.clear()
    for _ in range(3):
        manager.deliver()
        assert await turn(sync)
    found = api.objects["endpoints"].get("web")
    mirrored = found if found and not api.objects["services"]["web"]["spec"].get("selector") else {"subsets": []}
    wanted = [
        (address["ip"], port["port"])
        for subset in mirrored["subsets"]
        for address in subset["addresses"]
        for port in subset["ports"]
    ]
    slices = api.objects["endpointslices"].values()
    shown = [(each["addresses"][0], item["ports"][0]["port"]) for item in slices for each in item["endpoints"]]
    assert sorted(shown) == sorted(wanted)
    assert all(item["metadata"]["ownerReferences"][0]["uid"] == mirrored["metadata"]["uid"] for item in slices)
