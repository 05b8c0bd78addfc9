"""A pod's way to its volumes, with a whole scheduler on virtual time; the controller of volumes is played here."""

from __future__ import annotations

import aiohttp
import pytest

from k8slite.kinds.storage import BOUND_BY_CONTROLLER, SELECTED_NODE
from k8slite.scheduler import metrics
from k8slite.scheduler.queue import Place

from .serving import Document, consumer, host, running
from .storing import claim, storage_class, volume

LOCAL = storage_class("slow")
MADE = storage_class("made", provisioner="csi")


def reference(document: Document) -> str:
    return str(document["spec"].get("claimRef", {}).get("name", ""))


async def test_a_pod_gets_a_free_volume_on_its_node_and_is_bound_when_the_controller_has_bound_them() -> None:
    async with running(host("a"), host("b"), LOCAL, volume("disk", on="b"), claim("data")) as it:
        it.server.put(consumer("db", "data"))
        await it.settle()
        found = it.server.find("PersistentVolume", "disk")
        assert found["spec"]["claimRef"] | {"resourceVersion": ""} == {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "namespace": "default",
            "name": "data",
            "uid": "uid-data",
            "resourceVersion": "",
        }
        assert found["metadata"]["annotations"] == {BOUND_BY_CONTROLLER: "yes"}
        await it.clock.advance(60)
        assert it.server.node_of("db") == ""
        it.server.bind("default/data", "disk")
        await it.until("db", "b")
        assert it.server.writes == [("PersistentVolume", "disk")]


async def test_a_pod_has_a_volume_made_for_the_node_that_it_is_to_run_on() -> None:
    async with running(host("a", zone="east"), host("b", zone="west"), MADE, claim("data", storage_class="made")) as it:
        it.server.put(consumer("db", "data", nodeSelector={"topology.kubernetes.io/zone": "west"}))
        await it.settle()
        annotations = it.server.find("PersistentVolumeClaim", "default/data")["metadata"]["annotations"]
        assert annotations[SELECTED_NODE] == "b"
        it.server.provision("default/data", on="b")
        await it.until("db", "b")


async def test_two_pods_do_not_get_the_same_volume() -> None:
    claims = [claim("one"), claim("two")]
    async with running(host("a"), LOCAL, volume("disk", on="a"), *claims) as it:
        it.server.put(consumer("first", "one"))
        it.server.put(consumer("second", "two"))
        await it.settle()
        assert reference(it.server.find("PersistentVolume", "disk")) == "one"
        assert it.says("second").startswith(
            "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind."
        )
        it.server.bind("default/one", "disk")
        await it.until("first", "a")
        it.server.put(volume("another", on="a"))
        await it.clock.advance(2)
        assert reference(it.server.find("PersistentVolume", "another")) == "two"


async def test_what_is_promised_is_not_given_to_others_before_it_is_written() -> None:
    claims = [claim("one"), claim("two")]
    async with running(host("a"), LOCAL, volume("disk", on="a"), volume("large", size="5Gi", on="a"), *claims) as it:
        it.server.hold.clear()
        it.server.put(consumer("first", "one"))
        it.server.put(consumer("second", "two"))
        await it.settle()
        assert it.server.writes == []
        it.server.hold.set()
        await it.settle()
        assert reference(it.server.find("PersistentVolume", "disk")) == "one"
        assert reference(it.server.find("PersistentVolume", "large")) == "two"


async def test_a_promise_that_cannot_be_written_is_forgotten_and_others_may_have_the_volume() -> None:
    claims = [claim("one"), claim("two")]
    async with running(host("a"), LOCAL, volume("disk", on="a"), *claims) as it:
        it.server.hold.clear()
        it.server.put(consumer("first", "one"))
        it.server.put(consumer("second", "two"))
        await it.settle()
        assert it.place_of("second") is Place.UNSCHEDULABLE
        it.server.remove("Pod", "default/first")
        it.server.fail.append(aiohttp.ClientConnectionError("reset"))
        it.server.hold.set()
        await it.clock.advance(2)
        assert reference(it.server.find("PersistentVolume", "disk")) == "two"
        it.server.bind("default/two", "disk")
        await it.until("second", "a")


async def test_a_volume_that_changed_meanwhile_is_looked_at_again() -> None:
    async with running(host("a"), LOCAL, volume("disk", on="a"), claim("data")) as it:
        it.server.hold.clear()
        it.server.put(consumer("db", "data"))
        await it.settle()
        it.server.change("PersistentVolume", "disk", {"spec": {"claimRef": {"namespace": "default", "name": "other"}}})
        it.server.hold.set()
        await it.settle()
        assert it.server.events == [], "nothing that a user must know"
        await it.clock.advance(3)
        assert "1 node(s) didn't find available persistent volumes to bind." in it.says("db")
        assert reference(it.server.find("PersistentVolume", "disk")) == "other"


async def test_a_claim_that_is_not_bound_in_time_has_its_pod_decided_anew() -> None:
    async with running(host("a"), LOCAL, volume("disk", on="a"), claim("data")) as it:
        failed = metrics.VOLUME_ERRORS.of("bind")
        it.server.put(consumer("db", "data"))
        await it.clock.advance(599)
        assert it.server.events == []
        await it.clock.advance(5)
        message = 'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded'
        assert it.server.events == [("FailedScheduling", message)]
        assert metrics.VOLUME_ERRORS.of("bind") == failed + 1
        it.server.bind("default/data", "disk")
        await it.until("db", "a")
        assert it.server.writes == [("PersistentVolume", "disk")], "what is written stays"


async def test_a_provisioner_that_gives_up_has_the_pod_put_elsewhere() -> None:
    async with running(host("a"), host("b"), MADE, claim("data", storage_class="made")) as it:
        it.server.put(consumer("db", "data"))
        await it.settle()
        first = it.server.find("PersistentVolumeClaim", "default/data")["metadata"]["annotations"][SELECTED_NODE]
        it.server.change("Node", first, {"spec": {"unschedulable": True}})
        it.server.change("PersistentVolumeClaim", "default/data", {"metadata": {"annotations": {SELECTED_NODE: None}}})
        await it.settle()
        message = 'running PreBind plugin "VolumeBinding": binding volumes: provisioning failed for PVC "data"'
        assert it.server.events == [("FailedScheduling", message)]
        await it.clock.advance(3)
        other = "b" if first == "a" else "a"
        it.server.provision("default/data", on=other)
        await it.until("db", other)


async def test_a_volume_made_in_the_wrong_place_is_noticed() -> None:
    async with running(host("a"), MADE, claim("data", storage_class="made")) as it:
        it.server.put(consumer("db", "data"))
        await it.settle()
        it.server.provision("default/data", on="b")
        await it.settle()
        failed = 'pv "pvc-data" node affinity doesn\'t match node "a": no matching NodeSelectorTerms'
        message = f'running PreBind plugin "VolumeBinding": binding volumes: {failed}'
        assert it.server.events == [("FailedScheduling", message)]
        await it.clock.advance(2)
        assert it.says("db").startswith(
            "0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity."
        )
        it.server.put(host("b"))
        await it.until("db", "b")


async def test_a_pod_that_goes_while_it_waits_gives_its_volume_back() -> None:
    claims = [claim("one", storage_class="made"), claim("two", storage_class="made")]
    async with running(host("a"), MADE, *claims) as it:
        it.server.put(consumer("db", "one"))
        await it.settle()
        it.server.remove("Pod", "default/db")
        await it.clock.advance(10)
        assert it.scheduler.columns.node_of("uid-db") is None
        assert it.server.events == []
        it.server.put(consumer("db", "two"))
        await it.settle()
        it.server.provision("default/two")
        await it.until("db", "a")


async def test_pods_that_wait_for_volumes_hold_up_no_others() -> None:
    claims = [claim(f"c{number}", storage_class="made") for number in range(100)]
    async with running(host("a"), MADE, *claims) as it:
        for number in range(100):
            it.server.put(consumer(f"slow-{number}", f"c{number}"))
        await it.settle()
        it.server.put(consumer("quick"))
        await it.settle()
        assert it.server.node_of("quick") == "a"
        for number in range(100):
            it.server.provision(f"default/c{number}")
        await it.settle()
        assert all(it.server.node_of(f"slow-{number}") == "a" for number in range(100))


async def test_pods_that_share_an_unbound_claim_go_to_one_node() -> None:
    async with running(host("a"), host("b"), MADE, claim("data", storage_class="made")) as it:
        it.server.hold.clear()
        it.server.put(consumer("one", "data"))
        it.server.put(consumer("two", "data"))
        await it.settle()
        it.server.hold.set()
        await it.settle()
        node = it.server.find("PersistentVolumeClaim", "default/data")["metadata"]["annotations"][SELECTED_NODE]
        it.server.provision("default/data", on=node)
        await it.until("one", node)
        await it.until("two", node)


async def test_a_scheduler_that_takes_over_goes_on_where_the_other_was_killed() -> None:
    claims = [claim("made", storage_class="made"), claim("found")]
    async with running(host("a"), host("b"), LOCAL, MADE, volume("disk", on="b"), *claims) as it:
        it.server.put(consumer("db", "found"))
        it.server.put(consumer("web", "made"))
        await it.settle()
        node = it.server.find("PersistentVolumeClaim", "default/made")["metadata"]["annotations"][SELECTED_NODE]
        await it.restart()
        it.server.put(volume("smaller", size="1Gi", on="a"))
        it.server.bind("default/found", "disk")
        it.server.provision("default/made", on=node)
        await it.until("db", "b")
        await it.until("web", node)
        assert sorted(it.server.writes) == [("PersistentVolume", "disk"), ("PersistentVolumeClaim", "made")]


async def test_a_scheduler_killed_before_it_wrote_leaves_nothing() -> None:
    async with running(host("a"), LOCAL, volume("disk", on="a"), claim("data")) as it:
        it.server.hold.clear()
        it.server.put(consumer("db", "data"))
        await it.settle()
        await it.restart()
        assert it.server.writes == []
        it.server.hold.set()
        await it.settle()
        it.server.bind("default/data", "disk")
        await it.until("db", "a")
        assert it.server.writes == [("PersistentVolume", "disk")], "the one that was killed wrote nothing"


async def test_a_claim_made_for_the_pod_is_waited_for_and_must_be_its_own() -> None:
    async with running(host("a"), MADE) as it:
        it.server.put(consumer("db", "=tmp"))
        await it.settle()
        awaited = 'waiting for ephemeral volume controller to create the persistentvolumeclaim "db-tmp"'
        assert it.says("db").startswith(f"0/1 nodes are available: {awaited}.")
        it.server.put(claim("db-tmp", storage_class="made"))
        await it.clock.advance(3)
        foreign = "PVC default/db-tmp was not created for pod default/db (pod is not owner)"
        assert it.says("db").startswith(f"0/1 nodes are available: {foreign}.")
        it.server.put(claim("db-tmp", storage_class="made", owner="db"))
        await it.clock.advance(5)
        it.server.provision("default/db-tmp")
        await it.until("db", "a")


async def test_a_node_that_goes_while_a_volume_is_made() -> None:
    async with running(host("a"), MADE, claim("data", storage_class="made")) as it:
        it.server.put(consumer("db", "data"))
        await it.settle()
        it.server.remove("Node", "a")
        await it.clock.advance(6)
        failed = 'failed to get node "a": node "a" not found'
        message = f'running PreBind plugin "VolumeBinding": binding volumes: {failed}'
        assert it.server.events[0] == ("FailedScheduling", message)
        assert it.scheduler.columns.node_of("uid-db") is None


TWO = (volume("first", on="a"), volume("second", on="a", size="2Gi"), claim("small"), claim("large", size="2Gi"))


async def test_a_volume_that_went_to_another_claim_meanwhile_is_not_taken_from_it() -> None:
    async with running(host("a"), LOCAL, *TWO) as it:
        it.server.hold.clear()
        it.server.put(consumer("db", "small", "large"))
        await it.settle()
        other = {"namespace": "default", "name": "other", "uid": "uid-other"}
        it.server.change("PersistentVolume", "second", {"spec": {"claimRef": other}})
        await it.settle()
        it.server.hold.set()
        await it.settle()
        assert reference(it.server.find("PersistentVolume", "second")) == "other"
        failed = 'pv "second" was given to pvc "default/other" meanwhile'
        message = f'running PreBind plugin "VolumeBinding": binding volumes: {failed}'
        assert it.server.events == [("FailedScheduling", message)]
        it.server.put(volume("third", on="a", size="2Gi"))
        await it.clock.advance(3)
        it.server.bind("default/small", "first")
        it.server.bind("default/large", "third")
        await it.until("db", "a")


@pytest.mark.parametrize("kind, key", [("PersistentVolumeClaim", "default/large"), ("Pod", "default/db")])
async def test_no_volume_is_given_to_what_is_gone(kind: str, key: str) -> None:
    async with running(host("a"), LOCAL, *TWO) as it:
        it.server.hold.clear()
        it.server.put(consumer("db", "small", "large"))
        await it.settle()
        it.server.remove(kind, key)
        await it.settle()
        it.server.hold.set()
        await it.settle()
        assert reference(it.server.find("PersistentVolume", "second")) == ""
        assert it.server.writes == [("PersistentVolume", "first")]


async def test_a_node_that_was_selected_by_somebody_else_meanwhile_stays() -> None:
    async with running(host("a"), host("b"), LOCAL, MADE, *TWO, claim("made", storage_class="made")) as it:
        it.server.hold.clear()
        it.server.put(consumer("db", "small", "made"))
        await it.settle()
        selected = {"metadata": {"annotations": {SELECTED_NODE: "b"}}}
        it.server.change("PersistentVolumeClaim", "default/made", selected)
        await it.settle()
        it.server.hold.set()
        await it.settle()
        found = it.server.find("PersistentVolumeClaim", "default/made")
        assert found["metadata"]["annotations"][SELECTED_NODE] == "b"
        failed = 'selectedNode of pvc "made" was set to "b" meanwhile'
        message = f'running PreBind plugin "VolumeBinding": binding volumes: {failed}'
        assert it.server.events == [("FailedScheduling", message)]


async def test_a_claim_that_the_controller_binds_to_another_volume_has_the_pod_decided_anew() -> None:
    async with running(host("a"), host("b"), LOCAL, volume("disk", on="a"), claim("data")) as it:
        it.server.put(consumer("db", "data"))
        await it.settle()
        it.server.put(volume("other", on="b"))
        it.server.bind("default/data", "other")
        await it.until("db", "b")
