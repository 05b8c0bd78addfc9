"""Controllers at a size that is felt: replicas by the thousand, a namespace that goes, slices that change."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from . import load, processes
from .context import Context
from .kube import LABEL, MERGE, Kube, Refused, namespace, until
from .objects import ANY_TAINT, pod
from .report import Figure
from .simulated_nodes import PATIENCE, joined

NODES = 100
REPLICAS = 1000
MANY_PODS = 10_000
SERVICES, ROUNDS = 1000, 10
CONFIG_MAPS, PODS = 4000, 1000
_MANAGER = "controller-manager"


async def run(context: Context) -> list[Figure]:
    """100 simulated nodes join; what is measured is the way from a request to what everybody can see of its end."""
    async with namespace(context.kube, context.name("controllers")) as ns, joined(context, ns, count=NODES):
        figures = await _deployment(context, ns)
        figures += await _slices(context, ns)
        figures += await _namespace(context)
    return figures


class _Stopwatch:
    """Time, and what the manager used of the processor meanwhile."""

    def __init__(self, context: Context) -> None:
        self._pids = context.groups.get(_MANAGER, ())
        self._used = processes.cpu_seconds(self._pids)
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def manager(self, count: int) -> str:
        """The manager's processor time for each of so many; nothing if its process is not known."""
        if not self._pids:
            return ""
        used = (processes.cpu_seconds(self._pids) - self._used) / count * 1e6
        return f"{used:.0f} µs of the manager's processor time each"


async def _deployment(context: Context, ns: str) -> list[Figure]:
    """From nothing to 1,000, all of them anew, and to 10,000 for the memory."""
    kube, path = context.kube, f"/apis/apps/v1/namespaces/{ns}/deployments"
    figures = []
    watch = _Stopwatch(context)
    await kube.call("POST", path, _body(ns))
    await _rolled_out(kube, f"{path}/bench", REPLICAS)
    note = watch.manager(REPLICAS)
    figures.append(Figure(f"Deployment from 0 to {REPLICAS} ready", watch.seconds, "s", note))
    watch = _Stopwatch(context)
    image = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "example.com/bench:2"}]}}}}
    await kube.call("PATCH", f"{path}/bench", image, media=MERGE)
    await _rolled_out(kube, f"{path}/bench", REPLICAS)
    note = watch.manager(REPLICAS)
    figures.append(Figure(f"rollout of {REPLICAS} replicas", watch.seconds, "s", note))
    if pids := context.groups.get(_MANAGER, ()):
        await kube.call("PATCH", f"{path}/bench", {"spec": {"replicas": MANY_PODS}}, media=MERGE)
        await _rolled_out(kube, f"{path}/bench", MANY_PODS)
        memory = processes.memory(pids) / 2**20
        figures.append(Figure(f"manager's memory with {MANY_PODS} pods", memory, "MiB", "proportional set size"))
    watch = _Stopwatch(context)
    await kube.call("DELETE", f"{path}/bench?propagationPolicy=Foreground")
    await _gone(kube, f"{path}/bench")
    count = MANY_PODS if pids else REPLICAS
    note = watch.manager(count)
    figures.append(Figure(f"deletion of {count} replicas in the foreground", watch.seconds, "s", note))
    return figures


async def _rolled_out(kube: Kube, path: str, replicas: int) -> None:
    """When `kubectl rollout status` would say that it is done, of all these replicas."""

    async def done() -> bool:
        found = await kube.call("GET", path)
        status = found.get("status") or {}
        numbers = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")]
        return status.get("observedGeneration") == found["metadata"]["generation"] and set(numbers) == {replicas}

    await until(done, what=f"{replicas} ready replicas", timeout=PATIENCE)


async def _gone(kube: Kube, path: str) -> None:
    async def gone() -> bool:
        try:
            await kube.call("GET", path)
        except Refused as error:
            return error.code == 404
        return False

    await until(gone, what=f"the end of {path}", timeout=PATIENCE)


def _body(ns: str) -> dict[str, Any]:
    labels = {LABEL: ns}
    spec = {
        "containers": [{"name": "main", "image": "example.com/bench:1"}],
        "nodeSelector": {LABEL: ns},
        "terminationGracePeriodSeconds": 0,
        "tolerations": ANY_TAINT,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "bench"},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


async def _slices(context: Context, ns: str) -> list[Figure]:
    """One pod joins and leaves 1,000 Services: each time every one of their slices changes."""
    kube = context.kube
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices"
    body = pod("endpoint", ns)
    body["metadata"]["labels"] = {"endpoint": "no"}
    body["spec"]["nodeName"] = f"sim-{context.suffix}-1"
    await kube.call("POST", f"/api/v1/namespaces/{ns}/pods", body)
    made = await load.create(
        kube.target, f"/api/v1/namespaces/{ns}/services", count=SERVICES, body=_service(f"s{load.NUMBER}", ns)
    )
    if made.errors:
        raise RuntimeError(f"{made.errors} Services could not be created")

    async def all_made() -> Any:
        found = await kube.call("GET", f"{slices}?limit={2 * SERVICES}")
        return found["metadata"]["resourceVersion"] if len(found["items"]) == SERVICES else None

    version = await until(all_made, what=f"{SERVICES} slices", timeout=PATIENCE)
    watch = _Stopwatch(context)
    rounds = _Rounds(kube, f"/api/v1/namespaces/{ns}/pods/endpoint")
    await rounds.next()
    async with asyncio.timeout(PATIENCE):
        async for line in kube.watch(f"{slices}?watch=true&resourceVersion={version}"):
            if await rounds.saw(json.loads(line)["object"]):
                break
    count = SERVICES * ROUNDS
    figure = Figure("EndpointSlice updates", count / watch.seconds, "/s", f"{count} of them; {watch.manager(count)}")
    names = [f"s{number}" for number in range(1, SERVICES + 1)]
    await _delete(kube, f"/api/v1/namespaces/{ns}/services", names)
    return [figure]


class _Rounds:
    """Changes the pod as soon as every slice shows its last change."""

    def __init__(self, kube: Kube, path: str) -> None:
        self._kube, self._path = kube, path
        self._number = 0
        self._done: set[str] = set()

    async def next(self) -> None:
        self._number += 1
        self._done.clear()
        label = "yes" if self._number % 2 else "no"
        await self._kube.call("PATCH", self._path, {"metadata": {"labels": {"endpoint": label}}}, media=MERGE)

    async def saw(self, item: dict[str, Any]) -> bool:
        """Whether this slice was the last of the last round."""
        if len(item.get("endpoints") or ()) != self._number % 2:
            return False
        self._done.add(item["metadata"]["name"])
        if len(self._done) < SERVICES:
            return False
        if self._number < ROUNDS:
            await self.next()
            return False
        return True


def _service(name: str, ns: str) -> dict[str, Any]:
    spec = {"selector": {"endpoint": "yes"}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": ns}, "spec": spec}


async def _delete(kube: Kube, path: str, names: list[str]) -> None:
    left = iter(names)

    async def remove() -> None:
        for name in left:
            await kube.call("DELETE", f"{path}/{name}")

    await asyncio.gather(*(remove() for _ in range(16)))


async def _namespace(context: Context) -> list[Figure]:
    """A namespace of 5,000 objects, from its deletion until it is not there any more."""
    kube = context.kube
    async with namespace(kube, f"{context.name('controllers')}-full") as ns:
        base = f"/api/v1/namespaces/{ns}"
        config_map = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"c{load.NUMBER}", "namespace": ns},
            "data": {"key": "value"},
        }
        loads = [("configmaps", config_map, CONFIG_MAPS), ("pods", pod(f"p{load.NUMBER}", ns), PODS)]
        for plural, body, count in loads:
            made = await load.create(kube.target, f"{base}/{plural}", count=count, body=body)
            if made.errors:
                raise RuntimeError(f"{made.errors} {plural} could not be created")
        watch = _Stopwatch(context)
        await kube.call("DELETE", base)
        await _gone(kube, base)
        took = watch.seconds
        # What comes after this block finds a namespace to remove.
        await kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": ns}})
    count = CONFIG_MAPS + PODS
    note = f"{CONFIG_MAPS} ConfigMaps, {PODS} pods"
    return [Figure(f"deletion of a namespace with {count} objects", took, "s", note)]
