"""The slices of a Service through a manager that is killed and an API that fails: in the end they are exact."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.controller import TryAgain
from k8slite.controllers.endpointslice.sync import EndpointSliceSync
from k8slite.errors import ApiError

from .service_api import Api, Manager

KEY = "default/web"


def service() -> dict[str, Any]:
    spec = {"selector": {"app": "web"}, "clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"], "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "uid": "uid-web"}, "spec": spec}


def pod(number: int, *, ready: bool) -> dict[str, Any]:
    metadata = {"name": f"p{number}", "uid": f"uid-{number}", "labels": {"app": "web"}}
    conditions = [{"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    ip = f"10.0.0.{number + 1}"
    status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": conditions}
    return {"metadata": metadata, "spec": {"nodeName": "n1"}, "status": status}


def started(api: Api, source: random.Random) -> tuple[Manager, EndpointSliceSync]:
    manager = Manager(api, source, max_endpoints_per_slice=3)
    return manager, EndpointSliceSync(manager)  # type: ignore[arg-type]


async def turn(sync: EndpointSliceSync) -> bool:
    try:
        await sync.sync(KEY)
    except (ApiError, OSError, TryAgain):
        return False
    return True


def listed(api: Api) -> dict[str, bool]:
    """The pods in slices, each once, and whether they are ready there."""
    found: dict[str, bool] = {}
    for item in api.objects["endpointslices"].values():
        assert len(item["endpoints"]) <= 3
        for endpoint in item["endpoints"]:
            name = endpoint["targetRef"]["name"]
            assert name not in found, f"{name} is listed twice"
            found[name] = endpoint["conditions"]["ready"]
    return found


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pod"), st.integers(0, 11), st.booleans()),
        st.tuples(st.just("gone"), st.integers(0, 11), st.none()),
        st.tuples(
            st.sampled_from(["turn", "deliver", "kill", "refused", "lost", "spoil"]), st.integers(0, 3), st.none()
        ),
    ),
    max_size=50,
)


@settings(max_examples=150, deadline=None)
@given(_STEPS, st.integers())
def test_slices_are_exact_after_any_history(steps: list[tuple[str, int, Any]], seed: int) -> None:
    asyncio.run(history(steps, random.Random(seed)))


async def history(steps: list[tuple[str, int, Any]], source: random.Random) -> None:
    api = Api()
    api.put("nodes", {"metadata": {"name": "n1", "namespace": ""}})
    api.put("services", service())
    manager, sync = started(api, source)
    for what, number, ready in steps:
        if what == "pod":
            api.put("pods", pod(number, ready=ready))
        elif what == "gone":
            api.drop("pods", f"p{number}")
        elif what == "turn":
            await turn(sync)
        elif what == "deliver":
            manager.deliver()
        elif what == "kill":
            manager, sync = started(api, source)
        elif what == "spoil" and api.objects["endpointslices"]:
            api.drop("endpointslices", sorted(api.objects["endpointslices"])[0])
        elif what in ("refused", "lost"):
            api.faults += [what] * (number + 1)
        listed(api)
    api.faults.clear()
    for _ in range(3):
        manager.deliver()
        assert await turn(sync)
    wanted = {name: found["status"]["conditions"][0]["status"] == "True" for name, found in api.objects["pods"].items()}
    assert listed(api) == wanted
    assert len(api.objects["endpointslices"]) >= 1
    before = api.writes
    for again in (sync, started(api, source)[1]):
        manager.deliver()
        assert await turn(again)
    assert api.writes == before
