"""MutatingAdmissionPolicy: changes objects by what a policy's expressions write.

Policies are applied one after the other, in the order of their names; the mutations of each see what those before them
did. If the object changed after a policy that wants to see that (`reinvocationPolicy: IfNeeded`), all mutating plugins
have a second round, and such policies are applied once more.

Source: Kubernetes documentation, "Mutating Admission Policy"; apiserver, policy/mutating/dispatcher.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from k8slite.errors import ApiError, forbidden, internal, service_unavailable
from k8slite.schema.atoms import Atom

from ...authz.base import Authorizer
from ...lookup import Objects
from ...registry import Registry
from ...strategies.base import Document
from ..base import Admission, Operation, Plugin
from ..cel.asking import Asking
from ..cel.conditions import Conditions, Verdict, compile_conditions
from ..cel.declared import Scope
from ..cel.evaluation import BUDGET, CONDITIONS_BUDGET, Evaluation, OutOfBudget, Result
from ..cel.expressions import Compiler, Expression, compose
from ..following import Followers
from ..matching import Match
from ..presenting import Unreadable, present, take_back
from .configured import Binding, Configured, Policy
from .patching import PatchFailed, apply_configuration, apply_patch
from .seeing import Sight
from .selecting import Invocation, Problem, select
from .validating import object_name

_NAME = "MutatingAdmissionPolicy"
_UNSERVED = "There can be a delay between when CustomResourceDefinitions are created and when they are available."


@dataclass(frozen=True, slots=True)
class Mutations:
    """All expressions of a policy, compiled; a mutation is a JSON patch or an apply configuration."""

    conditions: Conditions
    variables: Mapping[str, Expression]
    mutations: tuple[tuple[bool, Expression], ...]
    """Whether it is a JSON patch, and its expression."""
    reinvoked: bool


def compile_mutations(spec: Mapping[str, Any]) -> Mutations:
    """Compile a policy. What does not compile is an error of every request."""
    params = spec.get("paramKind") is not None
    scope, variables = compose(Scope(params=params), spec.get("variables") or ())
    patches = Compiler(Scope(params=params, variables=scope.variables, objects=True))

    def mutation(written: Mapping[str, Any]) -> tuple[bool, Expression]:
        is_patch = written.get("patchType") == "JSONPatch"
        text = (written.get("jsonPatch" if is_patch else "applyConfiguration") or {}).get("expression") or ""
        return is_patch, patches.compile(text, "list(JSONPatch)" if is_patch else "Object")

    return Mutations(
        compile_conditions(spec.get("matchConditions"), fail=spec.get("failurePolicy") != "Ignore", scope=scope),
        variables,
        tuple(mutation(written) for written in spec.get("mutations") or ()),
        spec.get("reinvocationPolicy") == "IfNeeded",
    )


_Key = tuple[str, str, str, str]


class MutatingAdmissionPolicy(Plugin):
    """Changes objects as policies say."""

    operations = frozenset[Operation]({"CREATE", "UPDATE", "CONNECT"})

    def __init__(self, *, objects: Objects, authorizer: Authorizer, registry: Callable[[], Registry]) -> None:
        self._registry = registry
        self._authorizer = authorizer
        self._configured: Configured[Mutations] = Configured(
            objects,
            policies="mutatingadmissionpolicies",
            bindings="mutatingadmissionpolicybindings",
            compile_=compile_mutations,
        )

    async def mutate(self, admission: Admission) -> None:
        """Apply every policy that is about the request. Raises ApiError."""
        registry = self._registry()
        concerned = self._configured.concerned(admission, registry.catalogue)
        if not concerned:
            return
        followers: Followers[_Key] = Followers.begin(_NAME, admission)
        failures: list[str] = []
        run = _Run(registry, admission, Asking(self._authorizer, admission.context.user))
        for one in await select(registry, admission, concerned):
            if isinstance(one, Problem):
                _note(failures, one.policy, one.binding, one.detail)
                continue
            await run.invoke(one, followers, failures)
        followers.end(admission.object)
        if failures:
            raise _refusal(admission, failures, run.invalid)


class _Run:
    """The policies of one round."""

    def __init__(self, registry: Registry, admission: Admission, asking: Asking) -> None:
        self._registry = registry
        self._admission = admission
        self._asking = asking
        self._sight = Sight(registry, admission, asking)
        self.invalid = False
        """Whether the first failure is one of an expression, not of the configuration."""

    async def invoke(self, one: Invocation[Mutations], followers: Followers[_Key], failures: list[str]) -> None:
        """Apply one policy with one parameter; its failures are noted. Raises ApiError."""
        admission, compiled = self._admission, one.policy.compiled
        if compiled.conditions:
            verdict = await self._verdict(one)
            if verdict.error:
                self._fail(failures, one, verdict.error)
            if not verdict.matches:
                return
        key = _key(one)
        if not followers.is_due(key):
            return
        changed = False
        for is_patch, expression in compiled.mutations:
            if admission.object is None:
                continue
            try:
                changed |= await self._mutate(one, expression, is_patch=is_patch)
            except (PatchFailed, OutOfBudget) as failure:
                self._fail(failures, one, str(failure))
        if changed:
            followers.changed()
        if compiled.reinvoked:
            followers.follow(key)

    def _fail(self, failures: list[str], one: Invocation[Mutations], detail: str) -> None:
        self.invalid = self.invalid or not failures
        _note(failures, one.policy, one.binding, detail)

    async def _verdict(self, one: Invocation[Mutations]) -> Verdict:
        given = await self._sight.of(one.match)
        conditions, variables = one.policy.compiled.conditions, one.policy.compiled.variables

        def match() -> Verdict:
            return conditions.match(
                Evaluation(given, budget=CONDITIONS_BUDGET, variables=variables, params=one.param, namespace=False)
            )

        return await self._asking.answered(match)

    async def _mutate(self, one: Invocation[Mutations], expression: Expression, *, is_patch: bool) -> bool:
        """Whether a mutation changed the object. Raises PatchFailed, OutOfBudget, ApiError."""
        if expression.compiled is None:
            raise PatchFailed(expression.error)
        given, variables = await self._sight.of(one.match), one.policy.compiled.variables

        def evaluate() -> Result:
            return Evaluation(given, budget=BUDGET, variables=variables, params=one.param).run(expression)

        result = await self._asking.answered(evaluate)
        if result.error:
            raise PatchFailed(result.error)
        live = await present(self._registry, self._admission.object, one.match)
        assert live is not None
        if is_patch:
            changed = apply_patch(live, result.value)
            _check_strictly(self._registry, changed, one.match)
        else:
            changed = apply_configuration(live, result.value, _atom(self._registry, one.match))
        if changed == live:
            return False
        try:
            await take_back(self._registry, self._admission, changed, one.match)
        except Unreadable as error:
            raise PatchFailed(error.message) from error
        self._sight.forget()
        return True


def _atom(registry: Registry, match: Match) -> Atom:
    """How objects of a kind merge. Raises ApiError 503 for a kind that is not served yet."""
    group, version, kind = match.kind
    try:
        return registry.schemas.atom_of(group, version, kind)
    except ApiError as error:
        raise service_unavailable(f"Resource kind {group}/{version}, Kind={kind} not found. {_UNSERVED}") from error


def _check_strictly(registry: Registry, document: Document, match: Match) -> None:
    """A patched object of a built-in kind must have no unknown fields. Raises ApiError 500."""
    group, version, kind = match.kind
    if registry.schemas.type_of(group, version, kind) is None:
        return
    try:
        registry.schemas.check(document, group=group, version=version, kind=kind, strictness="Strict")
    except ApiError as error:
        raise internal(error.message) from error


def _key(one: Invocation[Mutations]) -> _Key:
    metadata = (one.param or {}).get("metadata") or {}
    return (one.policy.name, one.binding.name, metadata.get("namespace") or "", metadata.get("name") or "")


def _note(failures: list[str], policy: Policy[Mutations], binding: Binding | None, detail: str) -> None:
    if policy.fail:
        who = f"policy '{policy.name}' with binding '{binding.name}'" if binding else f'policy "{policy.name}"'
        failures.append(f"{who} denied request: {detail}")


def _refusal(admission: Admission, failures: list[str], invalid: bool) -> ApiError:
    resource = admission.resource
    details = dict(forbidden(resource.plural, object_name(admission), "", group=resource.group).details or {})
    details["causes"] = [{"message": message} for message in failures]
    return ApiError(403, "Invalid" if invalid else "Forbidden", failures[0], details=details)
