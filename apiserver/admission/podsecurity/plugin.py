"""PodSecurity: refuses pods that a namespace's labels do not allow, and warns of workloads whose pods it would refuse.

Source: Kubernetes documentation, "Pod Security Admission"; pod-security-admission, admission/admission.go.
"""

from __future__ import annotations

from k8slite.clock import Clock
from k8slite.errors import forbidden, internal, invalid

from ...lookup import Objects
from ...strategies.base import Document
from ..base import Admission, Plugin
from . import existing, metrics
from .configuration import Settings
from .evaluation import Evaluator, Verdict
from .levels import MODES, PREFIX, Policy, Standard, is_relaxed, policy_of

_TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "podtemplates"): ("template",),
    ("", "replicationcontrollers"): ("spec", "template"),
    ("apps", "daemonsets"): ("spec", "template"),
    ("apps", "deployments"): ("spec", "template"),
    ("apps", "replicasets"): ("spec", "template"),
    ("apps", "statefulsets"): ("spec", "template"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template"),
    ("batch", "jobs"): ("spec", "template"),
}
"""Where workloads have the template of their pods."""
_IGNORED = frozenset({"exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"})
"""Subresources of pods that change nothing that is judged. One that nobody has thought of is judged."""
_NAMESPACES = 10_000
_ENFORCED = PREFIX + "enforce-policy"
_NOTHING = str(Standard())


class PodSecurity(Plugin):
    """Refuses and warns; changes nothing."""

    kinds = frozenset({("", "pods"), ("", "namespaces"), *_TEMPLATES})

    def __init__(self, objects: Objects, *, settings: Settings, clock: Clock) -> None:
        self._namespaces = objects.resource("", "namespaces")
        self._pods = objects.resource("", "pods")
        self._settings = settings
        self._clock = clock
        self._evaluator = Evaluator()
        self._policies: dict[str, tuple[int, tuple[Policy, str, bool]]] = {}

    async def validate(self, admission: Admission) -> None:
        """Judge a pod, a workload's template, or what a namespace's labels ask for. Raises ApiError 403, 422."""
        match admission.resource.plural:
            case "pods":
                self._pod(admission)
            case "namespaces":
                await self._namespace(admission)
            case _:
                self._workload(admission)

    # Pods and workloads

    def _pod(self, admission: Admission) -> None:
        pod = admission.object
        if admission.subresource in _IGNORED or pod is None or self._is_exempt(admission):
            return
        found = self._policy(admission.namespace)
        if found is None:
            metrics.count_error(admission, fatal=True)
            problem = f'failed to lookup namespace "{admission.namespace}"'
            _annotate(admission, "error", f"Internal error occurred: {problem}")
            raise internal(problem)
        policy, problem, unasking = found
        if unasking:
            metrics.EVALUATIONS.add_unasked(admission.operation, admission.subresource)
            admission.context.annotations[_ENFORCED] = _NOTHING
            return
        if admission.old is not None and not is_significant(pod, admission.old):
            return
        spec: Document = pod["spec"]
        if self._has_exempt_class(admission, spec):
            return
        verdict = self._evaluator.evaluate(policy.enforce, pod["metadata"], spec)
        admission.context.annotations[_ENFORCED] = str(policy.enforce)
        metrics.count("allow" if verdict.allowed else "deny", policy.enforce, "enforce", admission)
        self._note(admission, policy, problem, pod["metadata"], spec, refused=not verdict.allowed)
        if not verdict.allowed:
            detail = f'violates PodSecurity "{policy.enforce}": {verdict.detail}'
            raise forbidden("pods", admission.name, detail)

    def _workload(self, admission: Admission) -> None:
        if admission.subresource or self._is_exempt(admission):
            return
        found = self._policy(admission.namespace)
        if found is None:  # a workload is no pod yet
            metrics.count_error(admission, fatal=True)
            _annotate(admission, "error", f'failed to lookup namespace "{admission.namespace}"')
            return
        policy, problem, _ = found
        if policy.warn.level == policy.audit.level == "privileged" and not problem:
            return
        template: Document | None = admission.object
        for name in _TEMPLATES[admission.resource.group, admission.resource.plural]:
            template = (template or {}).get(name)
        spec = (template or {}).get("spec")
        if template is not None and spec is not None and not self._has_exempt_class(admission, spec):
            self._note(admission, policy, problem, template.get("metadata"), spec)

    def _note(
        self,
        admission: Admission,
        policy: Policy,
        problem: str,
        metadata: Document | None,
        spec: Document,
        *,
        refused: bool = False,
    ) -> None:
        """Write into the audit event, and warn whoever is not refused, of what is against the policy."""
        if problem:
            _annotate(admission, "error", f"Failed to parse policy: {problem}")
            metrics.count_error(admission, fatal=False)
        verdict = self._evaluator.evaluate(policy.audit, metadata, spec)
        if not verdict.allowed:
            _annotate(admission, "audit-violations", _would(policy.audit, verdict))
            metrics.count("deny", policy.audit, "audit", admission)
        if refused:
            return
        verdict = self._evaluator.evaluate(policy.warn, metadata, spec)
        if not verdict.allowed:
            admission.context.warnings.append(_would(policy.warn, verdict))
            metrics.count("deny", policy.warn, "warn", admission)

    def _is_exempt(self, admission: Admission) -> bool:
        if admission.namespace in self._settings.namespaces:
            why = "namespace"
        elif admission.context.user.name in self._settings.usernames:
            why = "user"
        else:
            return False
        _annotate(admission, "exempt", why)
        metrics.count_exempt(admission)
        return True

    def _has_exempt_class(self, admission: Admission, spec: Document) -> bool:
        if spec.get("runtimeClassName") not in self._settings.runtime_classes:
            return False
        _annotate(admission, "exempt", "runtimeClass")
        metrics.count_exempt(admission)
        return True

    def _policy(self, namespace: str) -> tuple[Policy, str, bool] | None:
        """What a namespace asks for, what is wrong with its labels, and whether it clearly asks for nothing.

        It is worked out once for each state of the namespace.
        """
        entry = self._namespaces.get("", namespace)
        if entry is None:
            return None
        known = self._policies.get(namespace)
        if known is None or known[0] != entry.revision:
            if len(self._policies) >= _NAMESPACES:
                self._policies.clear()
            policy, causes = policy_of(entry.labels, self._settings.defaults)
            problem = ", ".join(map(str, causes))
            found = policy, f"[{problem}]" if len(causes) > 1 else problem, policy.is_privileged and not causes
            known = self._policies[namespace] = entry.revision, found
        return known[1]

    # Namespaces

    async def _namespace(self, admission: Admission) -> None:
        if admission.subresource or admission.object is None:
            return
        name, labels = admission.name, admission.object["metadata"].get("labels") or {}
        policy, causes = policy_of(labels, self._settings.defaults)
        if admission.old is None:
            if causes:
                raise invalid("Namespace", name, causes)
            self._warn_exempt(admission, policy, labels)
            return
        before, causes_before = policy_of(admission.old["metadata"].get("labels") or {}, self._settings.defaults)
        if causes and causes != causes_before:
            raise invalid("Namespace", name, causes)
        if is_relaxed(policy.enforce, before.enforce) or self._warn_exempt(admission, policy, labels):
            return
        warnings = await existing.warnings(
            self._pods,
            name,
            policy.enforce,
            evaluator=self._evaluator,
            exempt=self._settings.runtime_classes,
            clock=self._clock,
        )
        admission.context.warnings.extend(warnings)

    def _warn_exempt(self, admission: Admission, policy: Policy, labels: Document) -> bool:
        """Whether the namespace is exempt; who labels such a one is told that it means nothing."""
        if admission.name not in self._settings.namespaces:
            return False
        if not (policy.is_privileged or policy.same_as(self._settings.defaults)):
            asked = ", ".join(f"{mode}={getattr(policy, mode)}" for mode in MODES if _is_asked(policy, mode, labels))
            admission.context.warnings.append(
                f'namespace "{admission.name}" is exempt from Pod Security, and the policy ({asked}) will be ignored'
            )
        return True


def is_significant(pod: Document, old: Document) -> bool:
    """Whether a change of a pod may have to do with Pod Security: other containers, or other images."""
    spec, before = pod["spec"], old["spec"]
    for member in ("containers", "initContainers"):
        new, was = spec.get(member) or (), before.get(member) or ()
        if [one.get("image") for one in new] != [one.get("image") for one in was]:
            return True
    images = {one["name"]: one.get("image") for one in before.get("ephemeralContainers") or ()}
    added = spec.get("ephemeralContainers") or ()
    return any(one["name"] not in images or one.get("image") != images[one["name"]] for one in added)


def _is_asked(policy: Policy, mode: str, labels: Document) -> bool:
    standard: Standard = getattr(policy, mode)
    return standard.level != "privileged" and (PREFIX + mode in labels or f"{PREFIX}{mode}-version" in labels)


def _would(standard: Standard, verdict: Verdict) -> str:
    return f'would violate PodSecurity "{standard}": {verdict.detail}'


def _annotate(admission: Admission, key: str, value: str) -> None:
    admission.context.annotations[PREFIX + key] = value
