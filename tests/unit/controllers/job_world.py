"""Jobs on virtual time: plans are carried out on made-up pods, whole or up to a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from k8slite.controllers.job import indexes, terms
from k8slite.controllers.job.plan import Plan, plan
from k8slite.controllers.job.staffing import NewPod
from k8slite.controllers.job.template import pod_of
from k8slite.controllers.pods import Pod
from k8slite.kinds.batch import Job

from .builders import at


def job(*, restart_policy: str = "Never", **spec: Any) -> Job:
    if spec.get("completionMode") == "Indexed":
        spec.setdefault("completions", 1)
    if "podFailurePolicy" in spec:
        spec.setdefault("podReplacementPolicy", "Failed")
    if "backoffLimitPerIndex" in spec:
        spec.setdefault("backoffLimit", 2**31 - 1)
    return Job.model_validate(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "work", "namespace": "default", "uid": "uid-job"},
            "spec": {"template": {"spec": {"restartPolicy": restart_policy}}, **spec},
        }
    )


@dataclass
class FakePod:
    name: str
    created: float
    annotations: dict[str, str]
    tracked: bool = True
    phase: str = "Running"
    deleting: float | None = None
    ended: float | None = None
    code: int = 0
    restarts: int = 0
    ready: bool = False
    conditions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def index(self) -> int | None:
        text = self.annotations.get(indexes.INDEX)
        return int(text) if text is not None else None

    @property
    def finished(self) -> bool:
        return self.phase in ("Succeeded", "Failed")

    @property
    def working(self) -> bool:
        return not self.finished and self.deleting is None

    def seen(self) -> Pod:
        state = {}
        if self.ended is not None:
            state = {"terminated": {"exitCode": self.code, "finishedAt": at(self.ended)}}
        return Pod.model_validate(
            {
                "metadata": {
                    "name": self.name,
                    "namespace": "default",
                    "uid": f"uid-{self.name}",
                    "finalizers": [terms.FINALIZER] if self.tracked else [],
                    "creationTimestamp": at(self.created),
                    "deletionTimestamp": at(self.deleting) if self.deleting is not None else None,
                    "annotations": self.annotations,
                },
                "status": {
                    "phase": self.phase,
                    "conditions": [
                        *self.conditions,
                        *([{"type": "Ready", "status": "True", "lastTransitionTime": at(0)}] if self.ready else []),
                    ],
                    "containerStatuses": [{"name": "c", "restartCount": self.restarts, "state": state}],
                },
            }
        )


class World:
    """The API as one Job's controller sees it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.pods: dict[str, FakePod] = {}
        self.now = 0.0
        self.serial = 0
        self.started: list[int | None] = []
        self.events: list[str] = []
        self.decided: Plan | None = None

    def moment(self) -> datetime:
        return at(self.now)

    def step(self) -> Plan:
        """One sync, whole."""
        for _ in self.sync():
            pass
        assert self.decided is not None
        return self.decided

    def sync(self) -> Iterator[None]:
        """One sync; it pauses after each write, where the controller may die."""
        seen = [pod.seen() for pod in self.pods.values()]
        decided = self.decided = plan(job=self.job, pods=seen, now=self.moment())
        for new in decided.create:
            self.create(new)
            yield
        active = decided.status.active + len(decided.create)
        self.write(decided.status.model_copy(update={"active": active}))
        self.events += [saying.reason for saying in decided.says]
        yield
        for pod in decided.untrack:
            self.pods[pod.name].tracked = False
            yield
        for pod in decided.remove:
            self.pods[pod.name].tracked = False
            yield
            self.delete(self.pods[pod.name])
            yield
        for pod in decided.delete:
            self.delete(self.pods[pod.name])
            yield

    def write(self, status) -> None:
        """A status, held against the rules that every status must keep."""
        old = self.job.status
        assert status.failed >= old.failed
        if self.job.spec.completion_mode != "Indexed":
            assert status.succeeded >= old.succeeded
        types = {c.type for c in status.conditions if c.status == "True"}
        assert {c.type for c in old.conditions if c.status == "True"} - {"Suspended"} <= types
        assert not {"Complete", "Failed"} <= types
        assert not {"SuccessCriteriaMet", "FailureTarget"} <= types
        assert status.ready <= status.active
        if types & {"Complete", "Failed"}:
            uncounted = status.uncounted_terminated_pods
            assert (status.active, status.terminating, uncounted.succeeded, uncounted.failed) == (0, 0, [], [])
            assert status.start_time is not None
        self.job = self.job.model_copy(update={"status": status})

    def create(self, new: NewPod) -> None:
        self.serial += 1
        self.started.append(new.index)
        document = pod_of(self.job, new, f"p{self.serial}")
        name = document["metadata"]["name"]
        self.pods[name] = FakePod(name, self.now, document["metadata"]["annotations"])

    def delete(self, pod: FakePod) -> None:
        if pod.deleting is None:
            pod.deleting = self.now

    def working(self) -> list[FakePod]:
        return [pod for pod in self.pods.values() if pod.working]

    def of(self, index: int) -> FakePod:
        return next(pod for pod in self.working() if pod.index == index)

    def end(self, phase: str = "Succeeded", *, count: int = 1, code: int = 1) -> None:
        for pod in self.working()[:count]:
            self.end_one(pod, phase, code=code)

    def end_one(self, pod: FakePod, phase: str = "Succeeded", *, code: int = 1) -> None:
        pod.phase, pod.ended, pod.ready = phase, self.now, False
        pod.code = code if phase == "Failed" else 0

    def kubelets(self) -> None:
        """Pods that are deleted end, and go once nobody holds them."""
        for name, pod in list(self.pods.items()):
            if pod.deleting is None:
                continue
            if not pod.finished:
                self.end_one(pod, "Failed", code=137)
            if not pod.tracked:
                del self.pods[name]

    def settle(self, *, until: Callable[[], bool] | None = None) -> None:
        for _ in range(80):
            before = (self.job, str(self.pods))
            self.step()
            self.kubelets()
            if (self.job, str(self.pods)) == before:
                return
        raise AssertionError("the Job does not settle")

    def spec(self, **changes: Any) -> None:
        """Change the Job's terms."""
        spec = self.job.spec.model_copy(update=changes)
        self.job = self.job.model_copy(update={"spec": spec})

    @property
    def running(self) -> int:
        return len(self.working())

    def over(self) -> tuple[str, str] | None:
        condition = self.job.finished
        return (condition.type, condition.reason) if condition else None

    def condition(self, type_: str) -> tuple[str, str] | None:
        found = next((c for c in self.job.status.conditions if c.type == type_), None)
        return (found.status, found.reason) if found else None

    def later(self, seconds: float) -> None:
        self.now += seconds
