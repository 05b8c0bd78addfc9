"""What is written so that the objects of flow control are as they must be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from k8slite.apiserver.flowcontrol import maintaining, objects
from k8slite.apiserver.validation import flowcontrol as validation

Document = dict[str, Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEVELS = {document["metadata"]["name"]: document for document in objects.PRIORITY_LEVELS}


def changed(name: str, *, annotation: str | None = "true", generation: int = 2, **spec: Any) -> Document:
    """A level that every cluster has, with another specification and annotation."""
    level = LEVELS[name]
    annotations = {} if annotation is None else {objects.AUTOUPDATE: annotation}
    metadata = {"name": name, "annotations": annotations, "generation": generation}
    return {"metadata": metadata, "spec": {**level["spec"], **spec}}


def test_an_empty_cluster_gets_all_and_then_nothing() -> None:
    for wanted in (objects.PRIORITY_LEVELS, objects.FLOW_SCHEMAS):
        assert maintaining.plan({}, wanted).create == tuple(wanted)
        present = {document["metadata"]["name"]: document for document in wanted}
        assert maintaining.plan(present, wanted) == maintaining.Plan()


@pytest.mark.parametrize("document", objects.PRIORITY_LEVELS, ids=lambda document: document["metadata"]["name"])
def test_the_levels_are_valid(document: Document) -> None:
    assert validation.priority_level(document) == []


@pytest.mark.parametrize("document", objects.FLOW_SCHEMAS, ids=lambda document: document["metadata"]["name"])
def test_the_schemas_are_valid_and_lead_somewhere(document: Document) -> None:
    assert validation.flow_schema(document) == []
    assert document["spec"]["priorityLevelConfiguration"]["name"] in LEVELS


@pytest.mark.parametrize(
    ("annotation", "generation", "kept"),
    [("true", 5, True), ("false", 1, False), (None, 1, True), (None, 2, False), ("perhaps", 1, True)],
)
def test_a_suggested_level_is_kept_while_nobody_has_taken_it_over(
    annotation: str | None, generation: int, kept: bool
) -> None:
    document = changed("system", annotation=annotation, generation=generation, limited={"nominalConcurrencyShares": 1})
    mended = maintaining.mended(document, LEVELS["system"])
    if kept:
        assert mended is not None
        assert mended["spec"] == LEVELS["system"]["spec"]
        assert mended["metadata"]["generation"] == generation + 1
    elif annotation == "false":
        assert mended is None
    else:
        assert mended is not None
        assert mended["spec"] == document["spec"]
        assert mended["metadata"]["annotations"] == {objects.AUTOUPDATE: "false"}


def test_a_mandatory_level_is_kept_whatever_it_says() -> None:
    mended = maintaining.mended(changed("catch-all", annotation="false", limited={}), LEVELS["catch-all"])
    assert mended is not None
    assert mended["spec"] == LEVELS["catch-all"]["spec"]
    assert mended["metadata"]["annotations"] == {objects.AUTOUPDATE: "true"}


def test_what_is_kept_for_exempt_requests_is_for_users_to_say() -> None:
    own = {"nominalConcurrencyShares": 10, "lendablePercent": 50}
    assert maintaining.mended(changed("exempt", exempt=own), LEVELS["exempt"]) is None


@pytest.mark.parametrize(("annotation", "removed"), [("true", True), ("false", False), ("so", False), (None, False)])
def test_what_no_cluster_has_any_more_is_removed(annotation: str | None, removed: bool) -> None:
    annotations = {} if annotation is None else {objects.AUTOUPDATE: annotation}
    present = {**LEVELS, "workload-middle": {"metadata": {"name": "workload-middle", "annotations": annotations}}}
    plan = maintaining.plan(present, objects.PRIORITY_LEVELS)
    assert plan.remove == (("workload-middle",) if removed else ())


def test_a_condition_is_written_once_and_others_stay() -> None:
    schema: Document = {
        "metadata": {"name": "s"},
        "spec": {"priorityLevelConfiguration": {"name": "there"}},
        "status": {"conditions": [{"type": "Other", "status": "True"}]},
    }
    found = maintaining.with_condition(schema, {"there"}, NOW)
    assert [each["type"] for each in found["status"]["conditions"]] == ["Other", "Dangling"]
    assert found["status"]["conditions"][1]["status"] == "False"
    assert maintaining.with_condition(found, {"there"}, NOW) is found
    gone = maintaining.with_condition(found, set(), NOW)
    assert gone["status"]["conditions"][1]["reason"] == "NotFound"
