"""The pods that a Job makes of its template.

Source: Kubernetes documentation, "Jobs": completion mode, backoff limit per index.
"""

from __future__ import annotations

import copy
from typing import Any

from k8slite import ownership
from k8slite.kinds.batch import Job

from . import terms
from .indexes import INDEX
from .staffing import NewPod

VARIABLE = "JOB_COMPLETION_INDEX"


def name_prefix(job: Job, pod: NewPod, *, longest: int = 57) -> str:
    """What the pod's name begins with: the Job's name, shortened if needed so that the index is always there."""
    ending = "" if pod.index is None else f"-{pod.index}"
    return f"{job.name[: longest - len(ending)]}{ending}"


def pod_of(job: Job, new: NewPod, name: str) -> dict[str, Any]:
    """The pod's document: tracked by a finalizer, and told its index if it has one."""
    metadata = job.spec.template.document.get("metadata") or {}
    labels = dict(metadata.get("labels") or {})
    annotations = dict(metadata.get("annotations") or {})
    spec = job.spec.template.spec
    if new.index is not None:
        labels[INDEX] = annotations[INDEX] = str(new.index)
        spec = _indexed(spec, hostname=f"{job.name}-{new.index}")
    if new.failures is not None:
        annotations[terms.FAILURES] = str(new.failures)
        if new.ignored_failures:
            annotations[terms.IGNORED_FAILURES] = str(new.ignored_failures)
    finalizers = [*(metadata.get("finalizers") or ())]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "generateName": f"{name_prefix(job, new)}-",
            "namespace": job.namespace,
            "labels": labels,
            "annotations": annotations,
            "finalizers": [*finalizers, *([] if terms.FINALIZER in finalizers else [terms.FINALIZER])],
            "ownerReferences": [ownership.controller_reference(job)],
        },
        "spec": spec,
    }


def _indexed(spec: dict[str, Any], *, hostname: str) -> dict[str, Any]:
    spec = copy.deepcopy(spec)
    spec["hostname"] = hostname
    variable = {"name": VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}}
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        if all(item["name"] != VARIABLE for item in container.get("env") or ()):
            container["env"] = [*(container.get("env") or ()), variable]
    return spec
