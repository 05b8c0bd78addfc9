"""Configurations of webhooks: their order, what they become, and how seldom they are read."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from k8slite.apiserver.admission.base import Admission
from k8slite.apiserver.admission.webhooks.configuration import Configurations, compile_hooks
from k8slite.apiserver.authn.base import User
from k8slite.apiserver.backends import BackendError
from k8slite.apiserver.strategies.base import Context
from k8slite.catalogue import Catalogue, builtin

Document = dict[str, Any]
RULE = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}


def webhook(name: str, **more: Any) -> Document:
    """A webhook about pods."""
    return {"name": name, "rules": [RULE], "admissionReviewVersions": ["v1"], "clientConfig": {"url": "x"}, **more}


def configuration(name: str, *webhooks: Document) -> Document:
    """A configuration."""
    return {"metadata": {"name": name}, "webhooks": list(webhooks)}


def test_webhooks_are_asked_by_the_names_of_configurations_and_as_listed() -> None:
    hooks = compile_hooks([configuration("b", webhook("z"), webhook("a")), configuration("a", webhook("m"))])
    order = [(hook.configuration, hook.name, hook.index) for hook in hooks]
    assert order == [("a", "m", 0), ("b", "z", 1), ("b", "a", 2)]


def test_webhooks_of_one_name_are_told_apart() -> None:
    hooks = compile_hooks([configuration("a", webhook("x"), webhook("y"), webhook("x"))])
    assert [hook.uid for hook in hooks] == ["a/x/0", "a/y/0", "a/x/1"]


def test_what_a_webhook_says_of_itself() -> None:
    plain, other = compile_hooks(
        [
            configuration(
                "a",
                webhook("plain"),
                webhook(
                    "other",
                    failurePolicy="Ignore",
                    sideEffects="NoneOnDryRun",
                    reinvocationPolicy="IfNeeded",
                    timeoutSeconds=3,
                    admissionReviewVersions=["v9", "v1beta1", "v1"],
                    clientConfig={"url": "https://x", "caBundle": "?"},
                ),
            )
        ]
    )
    assert (plain.ignores_failures, plain.supports_dry_run, plain.reinvoked) == (False, False, False)
    assert (plain.timeout, plain.review) == (10.0, "v1")
    assert (other.ignores_failures, other.supports_dry_run, other.reinvoked) == (True, True, True)
    assert (other.timeout, other.review) == (3.0, "v1beta1")
    assert isinstance(other.target, BackendError)


class Entry:
    """A configuration in the watch cache."""

    key, revision, labels = "x", 1, MappingProxyType[str, str]({})

    def __init__(self, document: Document) -> None:
        self.document = document


class Rows:
    """The configurations; `reads` counts how often they were looked at."""

    def __init__(self, *documents: Document) -> None:
        self.changed, self.reads = 1, 0
        self.documents = documents

    def get(self, namespace: str, name: str) -> None:
        """None."""

    def select(self, *, namespace: str = "", fields: object = None) -> list[Entry]:
        """All of them."""
        self.reads += 1
        return [Entry(document) for document in self.documents]


class Objects:
    """Every resource has these rows."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def resource(self, group: str, plural: str) -> Rows:
        """The rows."""
        return self.rows


def an_admission(catalogue: Catalogue, plural: str, **changes: Any) -> Admission:
    """A creation."""
    resource = next(row for row in catalogue if row.plural == plural)
    context = Context(
        User("somebody"), datetime(2026, 1, 1, tzinfo=UTC), "", dry_run=False, lookup=lambda *_: None, warnings=[]
    )
    fields: Document = {
        "operation": "CREATE",
        "resource": resource,
        "subresource": "",
        "namespace": "team",
        "name": "it",
        "object": {"metadata": {}},
        "old": None,
        "context": context,
    }
    return Admission(**{**fields, **changes})


async def at_once() -> None:
    """The cache lags behind nothing."""


def test_configurations_are_read_when_they_change_and_not_for_requests() -> None:
    rows, catalogue = Rows(configuration("a", webhook("x"))), builtin()
    configured = Configurations(Objects(rows), "x", catalogue=lambda: catalogue, consistent=at_once)  # type: ignore[arg-type]
    pods, maps = an_admission(catalogue, "pods"), an_admission(catalogue, "configmaps")
    for _ in range(3):
        assert [hook.name for hook, _ in configured.concerned(pods)] == ["x"]
        assert configured.concerned(maps) == ()
    assert rows.reads == 1
    rows.documents, rows.changed = (configuration("a"),), 2
    assert configured.concerned(pods) == ()
    assert rows.reads == 2


def test_subresources_and_kinds_are_told_apart() -> None:
    catalogue = builtin()
    rows = Rows(configuration("a", webhook("x"), webhook("y", rules=[{**RULE, "resources": ["pods/eviction"]}])))
    configured = Configurations(Objects(rows), "x", catalogue=lambda: catalogue, consistent=at_once)  # type: ignore[arg-type]
    eviction = {"subresource": "eviction", "kind": ("policy", "v1", "Eviction")}
    for _ in range(2):
        assert [hook.name for hook, _ in configured.concerned(an_admission(catalogue, "pods"))] == ["x"]
        ((hook, match),) = configured.concerned(an_admission(catalogue, "pods", **eviction))
        assert (hook.name, match.kind) == ("y", ("policy", "v1", "Eviction"))
