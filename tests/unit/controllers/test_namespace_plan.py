"""What the status of a namespace that goes says, in Kubernetes' words, and when it may go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import aiohttp
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.context import Context
from k8slite.controllers.namespace.plan import FINALIZER, Findings, status_conditions
from k8slite.controllers.namespace.sync import NamespaceSync
from k8slite.decoding import Listing
from k8slite.errors import forbidden
from k8slite.kinds.core import Namespace, PartialObject

from .builders import T0
from .fake_api import FakeApi, FakeEvents, FakeInformers, _Config

WORDS = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": (
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}


def item(name: str = "x", *finalizers: str) -> PartialObject:
    return PartialObject.model_validate({"metadata": {"name": name, "finalizers": list(finalizers)}})


def told(found: Findings) -> dict[str, tuple[str, str, str]]:
    listed = status_conditions(Namespace(), found, now=T0)
    return {one.type: (one.status, one.reason, one.message) for one in listed}


def test_an_empty_namespace() -> None:
    assert told(Findings()) == {name: ("False", *words) for name, words in WORDS.items()}


def test_every_problem_in_words() -> None:
    found = Findings(
        remaining={"pods.": [item("a", "x.io/f"), item("b")], "widgets.example.com": [item("c", "x.io/f", "y.io/g")]},
        undiscovered=["metrics.k8s.io/v1beta1"],
        failures=["secrets.: refused", "gadgets.example.com: refused"],
    )
    assert {name: words for name, words in told(found).items() if words[0] == "True"} == {
        "NamespaceDeletionDiscoveryFailure": (
            "True",
            "DiscoveryFailed",
            "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: "
            "metrics.k8s.io/v1beta1",
        ),
        "NamespaceDeletionContentFailure": (
            "True",
            "ContentDeletionFailed",
            "Failed to delete all resource types, 2 remaining: gadgets.example.com: refused, secrets.: refused",
        ),
        "NamespaceContentRemaining": (
            "True",
            "SomeResourcesRemain",
            "Some resources are remaining: pods. has 2 resource instances, "
            "widgets.example.com has 1 resource instances",
        ),
        "NamespaceFinalizersRemaining": (
            "True",
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: x.io/f in 2 resource instances, "
            "y.io/g in 1 resource instances",
        ),
    }


FINDINGS = st.builds(
    Findings,
    remaining=st.dictionaries(
        st.sampled_from(["pods.", "a.b"]), st.lists(st.builds(item, st.just("x"), st.sampled_from("fg")), min_size=1)
    ),
    undiscovered=st.lists(st.sampled_from(["v1", "a/v1"]), max_size=2),
    failures=st.lists(st.sampled_from(["one", "two"]), max_size=2),
)


@given(st.lists(FINDINGS, min_size=1, max_size=5))
def test_conditions_tell_of_the_last_round_and_since_when(rounds: list[Findings]) -> None:
    namespace, since = Namespace(), {}
    for number, found in enumerate(rounds):
        now = T0 + timedelta(seconds=number)
        before = {one.type: one.status for one in namespace.status.conditions}
        listed = status_conditions(namespace, found, now=now)
        assert [one.type for one in listed] == list(WORDS)
        assert found.empty == (not any(one.status == "True" for one in listed))
        for one in listed:
            if before.get(one.type) != one.status:
                since[one.type] = now
            assert one.last_transition_time == since[one.type]
        status = {"conditions": [one.to_wire() for one in listed]}
        namespace = Namespace.model_validate({"status": status})
        assert status_conditions(namespace, found, now=now + timedelta(days=1)) == namespace.status.conditions


class Server(FakeApi):
    """Serves Secrets, which take longer to delete than a request lasts, and gadgets, which nobody may delete."""

    async def request(self, method: str, path: str, **_: Any) -> Any:
        if path == "/apis":
            return {"groups": []}
        verbs = ["list", "delete", "deletecollection"]
        kinds = {"pods": "Pod", "secrets": "Secret", "gadgets": "Gadget"}
        return {"resources": [{"name": n, "kind": k, "namespaced": True, "verbs": verbs} for n, k in kinds.items()]}

    async def list(self, resource: Any, *, namespace: str, limit: int = 0) -> Listing[Any]:
        items = [] if resource.plural == "pods" else [item()]
        return Listing(items=items, resource_version="1")

    async def delete_collection(self, resource: Any, *, namespace: str) -> None:
        if resource.plural == "secrets":
            raise aiohttp.ServerTimeoutError("DELETE secrets: no answer in 30 s")
        raise forbidden(resource.plural, "", "not you")


async def test_conditions_are_set_though_objects_take_longer_to_go_than_a_request_lasts() -> None:
    api = Server()
    document = {"metadata": {"name": "team", "namespace": "", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    api.put("namespaces", document | {"spec": {"finalizers": [FINALIZER]}})
    context = Context(api, FakeInformers(api), FakeEvents(), api.clock, _Config())  # type: ignore[arg-type]
    sync = NamespaceSync(context)
    sync._namespaces._view = {"team": next(iter(sync._namespaces._view.values()))}  # type: ignore[attr-defined]
    result = await sync.sync("team")
    assert result.requeue_after is not None
    messages = {one["type"]: one["message"] for one in api.of("namespaces")["team"]["status"]["conditions"]}
    failed = messages["NamespaceDeletionContentFailure"]
    assert failed.startswith("Failed to delete all resource types, 2 remaining: gadgets.: ")
    assert failed.endswith("secrets.: DELETE secrets: no answer in 30 s")
