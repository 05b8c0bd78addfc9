"""Storage under random arrivals, departures, failures, slow controllers and restarts."""

from __future__ import annotations

from random import Random

import aiohttp
import pytest

from k8slite.kinds.storage import BIND_COMPLETED, SELECTED_NODE

from .reference import volume_binding
from .serving import Document, Running, consumer, host, running
from .storing import World, claim, storage_class, volume

HOSTS = ("a", "b", "c")
STEPS = 60


class Churn:
    """Does one random thing after the other to a cluster."""

    def __init__(self, it: Running, random: Random) -> None:
        self.it = it
        self.random = random
        self.number = 0

    def objects(self, kind: str) -> list[Document]:
        return list(self.it.server.objects.get(kind, {}).values())

    def pick(self, kind: str) -> Document | None:
        found = self.objects(kind)
        return self.random.choice(found) if found else None

    async def step(self) -> None:
        act = self.random.choices(
            (self.arrive, self.depart, self.stock, self.control, self.give_up, self.fail, self.wait, self.restart),
            (10, 4, 5, 12, 1, 2, 6, 1),
        )[0]
        await act()
        await self.it.settle()
        self.check()

    async def arrive(self) -> None:
        """A pod with one or two claims, sometimes somebody else's."""
        self.number += 1
        names = []
        for index in range(self.random.choice((1, 1, 2))):
            shared = self.pick("PersistentVolumeClaim") if self.random.random() < 0.2 else None
            if shared is None:
                size, of = self.random.choice(("1Gi", "2Gi")), self.random.choice(("slow", "slow", "made"))
                shared = self.it.server.put(claim(f"c{self.number}-{index}", size=size, storage_class=of))
            names.append(shared["metadata"]["name"])
        self.it.server.put(consumer(f"p{self.number}", *dict.fromkeys(names)))

    async def depart(self) -> None:
        if found := self.pick("Pod"):
            self.it.server.remove("Pod", f"default/{found['metadata']['name']}")

    async def stock(self) -> None:
        """A free volume, somewhere or anywhere."""
        self.number += 1
        size = self.random.choice(("1Gi", "2Gi", "3Gi"))
        self.it.server.put(volume(f"v{self.number}", size=size, on=self.random.choice(("", *HOSTS))))

    async def control(self) -> None:
        """The controller of volumes binds what it finds written, and has made what is asked for."""
        for found in self.objects("PersistentVolume"):
            reference = found["spec"].get("claimRef")
            if reference and found["status"]["phase"] == "Available":
                self.it.server.bind(f"default/{reference['name']}", found["metadata"]["name"])
        for found in self.objects("PersistentVolumeClaim"):
            node = found["metadata"].get("annotations", {}).get(SELECTED_NODE)
            if node and not found["spec"].get("volumeName"):
                self.it.server.provision(f"default/{found['metadata']['name']}", on=node, size="5Gi")

    async def give_up(self) -> None:
        """The provisioner cannot make a volume for the node."""
        for found in self.objects("PersistentVolumeClaim"):
            if SELECTED_NODE in found["metadata"].get("annotations", {}) and not found["spec"].get("volumeName"):
                patch = {"metadata": {"annotations": {SELECTED_NODE: None}}}
                self.it.server.change("PersistentVolumeClaim", f"default/{found['metadata']['name']}", patch)
                return

    async def fail(self) -> None:
        self.it.server.fail.append(aiohttp.ClientConnectionError("reset"))

    async def wait(self) -> None:
        await self.it.clock.advance(self.random.choice((1, 5, 20)))

    async def restart(self) -> None:
        await self.it.restart()

    def check(self) -> None:
        """What must hold at any time."""
        owners: dict[str, list[str]] = {}
        for found in self.objects("PersistentVolume"):
            if reference := found["spec"].get("claimRef"):
                owners.setdefault(reference["name"], []).append(found["metadata"]["name"])
        assert all(len(volumes) == 1 for volumes in owners.values()), "a claim gets one volume"
        for pod in self.objects("Pod"):
            node = pod["spec"].get("nodeName")
            for each in pod["spec"]["volumes"] if node else ():
                bound = self.it.server.find(
                    "PersistentVolumeClaim", f"default/{each['persistentVolumeClaim']['claimName']}"
                )
                assert BIND_COMPLETED in bound["metadata"]["annotations"]
                of = self.it.server.find("PersistentVolume", bound["spec"]["volumeName"])
                assert volume_binding.usable(of, self.it.server.find("Node", str(node)))

    async def end(self) -> None:
        """Whoever fits is bound, and no volume is held back."""
        await self.rest()
        world = World(self.objects("Node"), [], [each for kind in STORED for each in self.objects(kind)])
        for pod in self.objects("Pod"):
            if not pod["spec"].get("nodeName"):
                reasons = [volume_binding.find(pod, node, world).reasons for node in world.nodes]
                assert all(reasons), f"{pod['metadata']['name']} fits, but is not bound"
        free = [each for each in self.objects("PersistentVolume") if "claimRef" not in each["spec"]]
        for number, _ in enumerate(free):
            self.it.server.put(claim(f"last-{number}"))
            self.it.server.put(consumer(f"last-{number}", f"last-{number}"))
        await self.rest()
        assert all(self.it.server.node_of(f"last-{number}") for number, _ in enumerate(free))

    async def rest(self) -> None:
        """Time passes, and only the controller of volumes does anything."""
        self.it.server.fail.clear()
        for _ in range(30):
            await self.control()
            await self.it.clock.advance(10)
        self.check()


STORED = ("StorageClass", "PersistentVolume", "PersistentVolumeClaim")


@pytest.mark.parametrize("seed", range(12))
async def test_storage_is_given_once_and_no_pod_is_forgotten(seed: int) -> None:
    classes = (storage_class("slow"), storage_class("made", provisioner="csi"))
    async with running(*(host(name) for name in HOSTS), *classes) as it:
        churn = Churn(it, Random(seed))
        for _ in range(STEPS):
            await churn.step()
        await churn.end()
