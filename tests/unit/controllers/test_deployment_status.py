"""What a Deployment says of itself, in Kubernetes' words, and the ways back that it offers."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.controllers.deployment import rollback, status, template
from k8slite.controllers.deployment.plan import plan
from k8slite.kinds.apps import DeploymentStatus

from .builders import at, deployment, replicaset

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
FAILED = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "lastTransitionTime": at(5)}


def sets(*revisions: int, **more: Any) -> list[Any]:
    return [
        replicaset(f"rs{n}", image=f"web:{n}", created=n, annotations={REVISION: str(n), "cause": f"{n}"}, **more)
        for n in revisions
    ]


def told(found: DeploymentStatus) -> dict[str, tuple[str, str, str]]:
    return {one.type: (one.status, one.reason, one.message) for one in found.conditions}


def test_the_failure_of_the_new_set_is_told_before_that_of_others():
    old = replicaset("old", image="web:1", status={"conditions": [FAILED | {"message": "of the old one"}]})
    new = replicaset("new", image="web:2", created=1, status={"conditions": [FAILED | {"message": "of the new one"}]})
    web = deployment(image="web:2")
    decided = plan(deployment=web, replicasets=[old, new], unfinished={}, now=at(9))
    assert told(decided.status)["ReplicaFailure"] == ("True", "FailedCreate", "of the new one")
    [failure] = [one for one in decided.status.conditions if one.type == "ReplicaFailure"]
    assert failure.last_update_time == at(5)
    without = new.model_copy(update={"status": new.status.model_copy(update={"conditions": []})})
    decided = plan(deployment=web, replicasets=[old, without], unfinished={}, now=at(9))
    assert told(decided.status)["ReplicaFailure"][2] == "of the old one"


def test_a_set_that_cannot_be_made_is_no_progress():
    found = status.not_created(deployment(), message="no room", now=at(0))
    assert told(found)["Progressing"] == ("False", "ReplicaSetCreateError", "no room")
    endless = deployment(progressDeadlineSeconds=2**31 - 1)
    assert status.not_created(endless, message="no room", now=at(0)).conditions == []


@pytest.mark.parametrize(("counts", "total"), [([1, 2], 3), ([0, None], None), ([], 0)])
def test_pods_on_their_way_out_are_only_counted_where_all_sets_tell(counts, total):
    known = [
        replicaset(f"rs{n}", status={} if count is None else {"terminatingReplicas": count})
        for n, count in enumerate(counts)
    ]
    found = status.counts(deployment(), new=None, everyone=known, now=at(0))
    assert found.terminating_replicas == total


@pytest.mark.parametrize(
    ("conditions", "paused", "reason"),
    [
        ([], True, "DeploymentPaused"),
        ([{"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused"}], False, "DeploymentResumed"),
        ([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}], True, None),
    ],
)
def test_pausing_and_resuming_are_told_but_not_over_a_missed_deadline(conditions, paused, reason):
    web = deployment(paused=paused, status={"conditions": conditions})
    found = told(status.pausing(web, web.status, now=at(0)))["Progressing"]
    assert found[1] == (reason or "ProgressDeadlineExceeded")


def test_without_a_deadline_nothing_is_said_of_progress():
    web = deployment(progressDeadlineSeconds=2**31 - 1)
    decided = plan(deployment=web, replicasets=[], unfinished={}, now=at(0))
    assert set(told(decided.status)) == {"Available"}


def test_history_keeps_two_thousand_characters():
    long = ",".join(str(number) for number in range(1000, 1400))
    changes = template.revision_annotations({REVISION: "1400", HISTORY: long}, 1500)
    assert len(changes[HISTORY]) <= 2000
    assert changes[HISTORY].endswith(",1399,1400")
    assert changes[HISTORY].startswith("1001,")
    assert template.revision_annotations({REVISION: "mine"}, 3) == {}


def test_the_oldest_of_equal_revisions_goes_first():
    old = [replicaset(f"rs{n}", image=f"old:{n}", replicas=0, created=10 - n) for n in range(3)]
    new = replicaset("new", replicas=0, created=20)
    web = deployment(replicas=0, revisionHistoryLimit=2)
    decided = plan(deployment=web, replicasets=[*old, new], unfinished={}, now=at(30))
    assert [rs.name for rs in decided.delete] == ["rs2"]


@pytest.mark.parametrize(
    ("asked", "reason", "cause"),
    [
        (0, "DeploymentRollback", "2"),
        (1, "DeploymentRollback", "1"),
        (3, "DeploymentRollbackTemplateUnchanged", "now"),
        (7, "DeploymentRollbackRevisionNotFound", "now"),
    ],
)
def test_rolling_back(asked, reason, cause):
    web = deployment(image="web:3", annotations={rollback.ROLLBACK_TO: str(asked), "cause": "now", REVISION: "3"})
    decided = plan(deployment=web, replicasets=sets(1, 2, 3), unfinished={}, now=at(0))
    back = decided.rollback
    assert back is not None
    assert (back.reason, back.annotations) == (reason, {"cause": cause, REVISION: "3"})
    if back.done:
        assert back.template is not None
        assert back.template["spec"]["containers"][0]["image"] == f"web:{cause}"
        assert back.template["metadata"]["labels"] == {"app": "web"}
    assert (decided.create, decided.delete, [change for change in decided.change if change.scales]) == (None, (), [])


@pytest.mark.parametrize("asked", ["", "newest", "1.5"])
def test_nonsense_is_no_wish(asked):
    assert rollback.wanted(deployment(annotations={rollback.ROLLBACK_TO: asked})) is None


def test_a_paused_deployment_does_not_go_back_and_one_without_a_past_neither():
    asked = {rollback.ROLLBACK_TO: "0"}
    paused = deployment(image="web:2", annotations=asked, paused=True)
    assert plan(deployment=paused, replicasets=sets(1, 2), unfinished={}, now=at(0)).rollback is None
    alone = deployment(image="web:1", annotations=asked)
    back = plan(deployment=alone, replicasets=sets(1), unfinished={}, now=at(0)).rollback
    assert back is not None
    assert (back.reason, back.message) == ("DeploymentRollbackRevisionNotFound", "Unable to find last revision.")


def test_recreate_waits_until_the_old_set_knows_its_size():
    web = deployment(image="web:2", strategy={"type": "Recreate"})
    old = replicaset("old", image="web:1", replicas=0)
    unaware = old.model_copy(update={"metadata": old.metadata.model_copy(update={"generation": 2})})
    assert plan(deployment=web, replicasets=[unaware], unfinished={}, now=at(0)).create is None
    made = plan(deployment=web, replicasets=[old], unfinished={}, now=at(0)).create
    assert made is not None
    assert made.replicas == 3
