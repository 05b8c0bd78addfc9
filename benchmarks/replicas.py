"""From a Deployment to ten ready replicas."""

from __future__ import annotations

import time

from .context import Context
from .kube import LABEL, namespace, until
from .objects import ANY_TAINT
from .report import Figure

REPLICAS = 10


async def run(context: Context) -> list[Figure]:
    """Everything takes part: API, controllers, scheduler, kubelet and the container engine."""
    kube = context.kube
    async with namespace(kube, context.name("replicas")) as ns:
        path = f"/apis/apps/v1/namespaces/{ns}/deployments"
        began = time.monotonic()
        await kube.call("POST", path, _deployment(ns, context.image))

        async def ready() -> bool:
            status = (await kube.call("GET", f"{path}/bench")).get("status") or {}
            return bool(status.get("readyReplicas", 0) == REPLICAS)

        await until(ready, what=f"{REPLICAS} ready replicas", timeout=180)
        took = time.monotonic() - began
        await kube.call("DELETE", f"{path}/bench?propagationPolicy=Background")

        async def gone() -> bool:
            return not (await kube.call("GET", f"/api/v1/namespaces/{ns}/pods?labelSelector={LABEL}"))["items"]

        await until(gone, what="the end of the replicas", timeout=180)
    return [Figure(f"{REPLICAS} replicas ready", took, "s", "" if context.containers else "simulated, no containers")]


def _deployment(ns: str, image: str) -> dict[str, object]:
    labels = {LABEL: ns}
    container = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent"}
    if "busybox" in image:
        container |= {"command": ["sleep", "3600"]}  # type: ignore[dict-item]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "bench", "labels": labels},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [container],
                    "terminationGracePeriodSeconds": 1,
                    "tolerations": ANY_TAINT,
                },
            },
        },
    }
