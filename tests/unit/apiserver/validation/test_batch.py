from __future__ import annotations

from typing import Any

import pytest

from k8slite.apiserver.defaults import apps as defaults
from k8slite.apiserver.validation import batch as rules
from k8slite.apiserver.validation.indexes import parse_indexes
from k8slite.apiserver.validation.schedules import schedule_problem, time_zone_problem
from k8slite.testing.causes import GONE, Expected, assert_causes, changed

UID = "u-1"
LABELS = {
    "controller-uid": UID,
    "job-name": "once",
    "batch.kubernetes.io/controller-uid": UID,
    "batch.kubernetes.io/job-name": "once",
}
TEMPLATE = {"spec": {"containers": [{"name": "main", "image": "busybox"}], "restartPolicy": "Never"}}
JOB = {
    "metadata": {"name": "once", "uid": UID},
    "spec": {
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": UID}},
        "template": {**TEMPLATE, "metadata": {"labels": LABELS}},
    },
}
CRONJOB = {
    "metadata": {"name": "often"},
    "spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template": TEMPLATE}}},
}
INDEXED = {"spec.completionMode": "Indexed", "spec.completions": 5}
RULES = "spec.podFailurePolicy.rules"
SUCCESS = "spec.successPolicy.rules"
FIELD = "spec.template.metadata.labels"


def job(change: dict[str, Any]) -> dict[str, Any]:
    obj = changed(JOB, change)
    defaults.job(obj)
    return obj


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, [], id="good"),
        pytest.param(
            {f"{FIELD}": {**LABELS, "controller-uid": "other"}},
            [("invalid", f"{FIELD}[controller-uid]", "must be 'u-1'")],
            id="another's label",
        ),
        pytest.param(
            {"spec.template.spec.restartPolicy": GONE},
            [("required", "spec.template.spec.restartPolicy", 'Required value: valid values: "OnFailure", "Never"')],
            id="restart policy",
        ),
        pytest.param(
            {"spec.parallelism": -1, "spec.backoffLimit": -2},
            [
                ("invalid", "spec.parallelism", "must be greater than or equal to 0"),
                ("invalid", "spec.backoffLimit", "must be greater than or equal to 0"),
            ],
            id="counts",
        ),
        pytest.param(
            {"spec.completionMode": "Indexed"},
            [],
            id="indexed with the default of one completion",
        ),
        pytest.param(
            {"spec.completionMode": "Indexed", "spec.parallelism": 2},
            [("required", "spec.completions", "when completion mode is Indexed")],
            id="indexed without completions",
        ),
        pytest.param(
            {"spec.backoffLimitPerIndex": 1, "spec.maxFailedIndexes": 1},
            [
                ("invalid", "spec.backoffLimitPerIndex", "requires indexed completion mode"),
                ("invalid", "spec.maxFailedIndexes", "requires indexed completion mode"),
            ],
            id="per index without indexes",
        ),
        pytest.param(
            {**INDEXED, "spec.maxFailedIndexes": 6},
            [
                ("required", "spec.backoffLimitPerIndex", "when maxFailedIndexes is specified"),
                ("invalid", "spec.maxFailedIndexes", "must be less than or equal to completions"),
            ],
            id="more failures than indexes",
        ),
        pytest.param(
            {
                "spec.completionMode": "Indexed",
                "spec.completions": 100_001,
                "spec.parallelism": 10_001,
                "spec.backoffLimitPerIndex": 1,
            },
            [
                ("required", "spec.maxFailedIndexes", "must be specified when completions is above 100000"),
                ("invalid", "spec.parallelism", "must be less than or equal to 10000 when completions are above"),
            ],
            id="many indexes",
        ),
        pytest.param(
            {"spec.managedBy": "me"}, [("invalid", "spec.managedBy", "must be a domain-prefixed path")], id="managed by"
        ),
        pytest.param(
            {"spec.podFailurePolicy": {"rules": []}, "spec.podReplacementPolicy": "TerminatingOrFailed"},
            [("unsupported", "spec.podReplacementPolicy", 'supported values: "Failed"')],
            id="replacement",
        ),
        pytest.param(
            {"spec.podFailurePolicy": {"rules": [{"action": "FailIndex"}, {"onExitCodes": {}}]}},
            [
                ("invalid", f"{RULES}[0].action", "requires the backoffLimitPerIndex to be set"),
                ("invalid", f"{RULES}[0]", "specifying one of OnExitCodes and OnPodConditions is required"),
                ("required", f"{RULES}[1].action", 'valid values: ["Count" "FailIndex" "FailJob" "Ignore"]'),
                ("required", f"{RULES}[1].onExitCodes.operator", 'valid values: ["In" "NotIn"]'),
                ("invalid", f"{RULES}[1].onExitCodes.values", "at least one value is required"),
            ],
            id="failure policy",
        ),
        pytest.param(
            {
                "spec.podFailurePolicy": {
                    "rules": [
                        {
                            "action": "FailJob",
                            "onExitCodes": {"operator": "In", "values": [3, 0, 3], "containerName": "x"},
                            "onPodConditions": [{"type": "a b", "status": "Maybe"}],
                        }
                    ]
                }
            },
            [
                ("invalid", f"{RULES}[0].onExitCodes.containerName", "must be one of the container"),
                ("invalid", f"{RULES}[0].onExitCodes.values[1]", "must not be 0 for the In operator"),
                ("duplicate", f"{RULES}[0].onExitCodes.values[2]", "3"),
                ("invalid", f"{RULES}[0].onExitCodes.values", "must be ordered"),
                ("invalid", f"{RULES}[0].onPodConditions[0].type", "name part must consist of"),
                ("unsupported", f"{RULES}[0].onPodConditions[0].status", '"False", "True", "Unknown"'),
                ("invalid", f"{RULES}[0]", "specifying both OnExitCodes and OnPodConditions is not supported"),
            ],
            id="failure policy's rules",
        ),
        pytest.param(
            {"spec.successPolicy": {"rules": [{"succeededCount": 1}]}},
            [("invalid", "spec.successPolicy", "requires indexed completion mode")],
            id="success policy without indexes",
        ),
        pytest.param(
            {
                **INDEXED,
                "spec.successPolicy": {
                    "rules": [{}, {"succeededIndexes": "0-9"}, {"succeededIndexes": "0-1", "succeededCount": 3}]
                },
            },
            [
                ("required", f"{SUCCESS}[0]", "at least one of succeededCount or succeededIndexes must be specified"),
                ("invalid", f"{SUCCESS}[1].succeededIndexes", 'error parsing succeededIndexes: too large index: "9"'),
                ("invalid", f"{SUCCESS}[2].succeededCount", "must be less than or equal to 2 (the number of indexes"),
            ],
            id="success policy",
        ),
    ],
)
def test_job(change: dict[str, Any], expected: list[Expected]) -> None:
    assert_causes(rules.job(job(change)), expected)


def test_a_failure_policys_condition_is_meant_to_be_true() -> None:
    policy = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}, {"type": "A"}]}]}
    made = job({"spec.podFailurePolicy": policy})
    often = changed(CRONJOB, {"spec.jobTemplate.spec.podFailurePolicy": policy})
    defaults.cronjob(often)
    for spec in (made["spec"], often["spec"]["jobTemplate"]["spec"]):
        patterns = spec["podFailurePolicy"]["rules"][0]["onPodConditions"]
        assert [pattern["status"] for pattern in patterns] == ["True", "True"]
    assert rules.job(made) == []
    assert rules.cronjob(often) == []


def test_indexed_job_whose_pods_would_have_bad_host_names() -> None:
    obj = job({**INDEXED, "metadata.name": "a" * 62})
    words = f"will not able to create pod with invalid DNS label: {'a' * 62}-4"
    assert_causes(rules.job_create(obj), [("invalid", "metadata.name", words)])


@pytest.mark.parametrize(
    ("before", "change", "expected"),
    [
        pytest.param({}, {"spec.parallelism": 3, "spec.backoffLimit": 9, "spec.suspend": True}, [], id="may change"),
        pytest.param(
            {}, {"spec.completions": 3}, [("invalid", "spec.completions", "field is immutable")], id="completions"
        ),
        pytest.param(INDEXED, {"spec.completions": 3, "spec.parallelism": 3}, [], id="elastic"),
        pytest.param(
            INDEXED,
            {"spec.completions": 3},
            [("invalid", "spec.completions", "can only be modified in tandem with spec.parallelism")],
            id="elastic alone",
        ),
        pytest.param(
            {},
            {"spec.template.spec.nodeSelector": {"a": "b"}, "spec.managedBy": "a.io/b"},
            [
                ("invalid", "spec.template", "field is immutable"),
                ("invalid", "spec.managedBy", "field is immutable"),
            ],
            id="where a running Job's pods go",
        ),
        pytest.param({"spec.suspend": True}, {"spec.template.spec.nodeSelector": {"a": "b"}}, [], id="suspended"),
        pytest.param(
            {"spec.suspend": True},
            {"spec.template.spec.hostNetwork": True},
            [("invalid", "spec.template", "field is immutable")],
            id="what a suspended Job's pods are",
        ),
    ],
)
def test_job_changes(before: dict[str, Any], change: dict[str, Any], expected: list[Expected]) -> None:
    old = job(before)
    assert_causes(rules.job_update(changed(old, change), old), expected)


@pytest.mark.parametrize(
    ("spec", "before", "after", "expected"),
    [
        pytest.param(
            {},
            {"startTime": "2026-01-01T00:00:00Z"},
            {"startTime": "2026-01-02T00:00:00Z"},
            [("required", "status.startTime", "startTime cannot be removed for unsuspended job")],
            id="a Job that runs has one start",
        ),
        pytest.param(
            {},
            {"startTime": "2026-01-01T00:00:00Z", "conditions": [{"type": "Suspended", "status": "True"}]},
            {"startTime": "2026-01-02T00:00:00Z", "conditions": [{"type": "Suspended", "status": "False"}]},
            [],
            id="a Job that is resumed starts anew",
        ),
        pytest.param(
            {"suspend": True}, {"startTime": "2026-01-01T00:00:00Z"}, {}, [], id="a Job that rests may lose its start"
        ),
        pytest.param(
            {},
            {"succeeded": 3, "failed": 2},
            {"succeeded": 2, "failed": 1},
            [
                ("invalid", "status.failed", "cannot decrease the failed counter"),
                ("invalid", "status.succeeded", "cannot decrease the succeeded counter"),
            ],
            id="counters only grow",
        ),
        pytest.param(
            {"completionMode": "Indexed", "completions": 2, "parallelism": 2},
            {"succeeded": 3},
            {"succeeded": 2},
            [],
            id="an Indexed Job that was made smaller has fewer successes",
        ),
        pytest.param(
            {"completionMode": "Indexed", "completions": 5, "parallelism": 2},
            {"succeeded": 3},
            {"succeeded": 2},
            [("invalid", "status.succeeded", "cannot decrease the succeeded counter")],
            id="one that cannot be made smaller has not",
        ),
    ],
)
def test_job_status_changes(
    spec: dict[str, Any], before: dict[str, Any], after: dict[str, Any], expected: list[Expected]
) -> None:
    old = job({f"spec.{name}": value for name, value in spec.items()}) | {"status": before}
    assert_causes(rules.job_update(old | {"status": after}, old), expected)


def test_job_status() -> None:
    old = job({})
    true = [{"type": "Complete", "status": "True"}, {"type": "Failed", "status": "True"}]
    new = {**old, "status": {"conditions": true, "active": 1, "ready": 2, "completedIndexes": "0"}}
    assert_causes(
        rules.job_update(new, old),
        [
            ("invalid", "status.conditions", "Invalid value: cannot set Complete=True and Failed=true conditions"),
            ("invalid", "status.conditions", "cannot set Failed=True condition without the FailureTarget=true"),
            ("invalid", "status.conditions", "cannot set Complete=True condition without the SuccessCriteriaMet=true"),
            ("required", "status.completionTime", "completionTime is required for Complete jobs"),
            ("required", "status.startTime", "startTime is required for finished job"),
            ("invalid", "status.active", "active>0 is invalid for finished job"),
            ("invalid", "status.completedIndexes", "cannot set non-empty completedIndexes when non-indexed"),
            ("invalid", "status.ready", "cannot set more ready pods than active"),
        ],
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, [], id="good"),
        pytest.param({"spec.schedule": ""}, [("required", "spec.schedule", "")], id="no schedule"),
        pytest.param(
            {"spec.schedule": "a b", "spec.concurrencyPolicy": "Any", "spec.failedJobsHistoryLimit": -1},
            [
                ("invalid", "spec.schedule", "expected exactly 5 fields, found 2: [a b]"),
                ("unsupported", "spec.concurrencyPolicy", '"Allow", "Forbid", "Replace"'),
                ("invalid", "spec.failedJobsHistoryLimit", "must be greater than or equal to 0"),
            ],
            id="all at once",
        ),
        pytest.param(
            {"spec.jobTemplate.spec.selector": {"matchLabels": {}}, "spec.jobTemplate.spec.manualSelector": True},
            [
                ("invalid", "spec.jobTemplate.spec.selector", "`selector` will be auto-generated"),
                ("unsupported", "spec.jobTemplate.spec.manualSelector", '"false", "nil"'),
            ],
            id="selector",
        ),
        pytest.param(
            {"spec.timeZone": "Europe/Nowhere"},
            [("invalid", "spec.timeZone", "unknown time zone Europe/Nowhere")],
            id="zone",
        ),
        pytest.param(
            {"spec.schedule": "TZ=UTC 0 0 * * *"},
            [("invalid", "spec.schedule", "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")],
            id="zone in the schedule",
        ),
        pytest.param(
            {"metadata.name": "a" * 53}, [("invalid", "metadata.name", "must be no more than 52 characters")], id="name"
        ),
    ],
)
def test_cronjob(change: dict[str, Any], expected: list[Expected]) -> None:
    obj = changed(CRONJOB, change)
    defaults.cronjob(obj)
    assert_causes(rules.cronjob(obj) + rules.cronjob_create(obj), expected)


def test_a_zone_in_an_old_schedule_may_stay() -> None:
    old = changed(CRONJOB, {"spec.schedule": "CRON_TZ=UTC 0 0 * * *"})
    assert rules.cronjob_update(changed(old, {"spec.schedule": "CRON_TZ=UTC 1 0 * * *"}), old) == []
    both = changed(old, {"spec.timeZone": "UTC"})
    words = "cannot use both timeZone field and TZ or CRON_TZ in schedule"
    assert_causes(rules.cronjob_update(both, old), [("invalid", "spec.schedule", words)])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0 0 * * SUN", None),
        ("0-10/5,20 */2 ? JAN-mar 1-5", None),
        ("@hourly", None),
        ("@every 1h30m", None),
        ("@often", "unrecognized descriptor: @often"),
        ("@every day", 'failed to parse duration @every day: time: invalid duration "day"'),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("5-2 * * * *", "beginning of range (5) beyond end of range (2): 5-2"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("*/2/3 * * * *", "too many slashes: */2/3"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
    ],
)
def test_schedules(text: str, problem: str | None) -> None:
    assert schedule_problem(text) == problem


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Europe/Berlin", None),
        ("Etc/UTC", None),
        ("", "timeZone must be nil or non-empty string"),
        ("../etc", "unknown time zone ../etc"),
        ("Local", "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"),
    ],
)
def test_time_zones(name: str, problem: str | None) -> None:
    assert time_zone_problem(name) == problem


def test_indexes() -> None:
    assert parse_indexes("0,2-4", 5) == ([(0, 0), (2, 4)], "")
    assert parse_indexes("2,1", 5)[1] == "non-increasing order, previous: 2, current: 1"
    assert parse_indexes("a", 5)[1] == 'cannot convert string to integer for index: "a"'
