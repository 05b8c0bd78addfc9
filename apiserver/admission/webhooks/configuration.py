"""The webhooks that are configured, compiled when a configuration changes and never for a request.

Which of them a request may concern depends on little of it (`Target` without its name): that is remembered too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from k8slite.catalogue import Catalogue
from k8slite.errors import ApiError

from ...backends import BackendError, Target, target_of
from ...lookup import Objects
from ...strategies.base import Document
from ..base import Admission, Operation
from ..cel.conditions import Conditions, compile_conditions
from ..matching import (
    EXEMPT,
    Gvk,
    Labels,
    Match,
    Rule,
    Selectors,
    compile_rules,
    compile_selectors,
    find_match,
)
from ..matching import Target as About
from ..matching import target_of as about

GROUP = "admissionregistration.k8s.io"
REVIEWS = ("v1", "v1beta1")
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook, ready to be asked."""

    uid: str
    """Tells it from all others, though names may repeat."""
    index: int
    """Its place among all of its sort."""
    configuration: str
    name: str
    rules: tuple[Rule, ...]
    selectors: Selectors
    match_policy: str
    ignores_failures: bool
    supports_dry_run: bool
    reinvoked: bool
    timeout: float
    review: str
    """The version of AdmissionReview that it gets; empty if it takes none that there is."""
    target: Target | BackendError
    conditions: Conditions


def compile_hooks(configurations: list[Document]) -> tuple[Hook, ...]:
    """The webhooks of all configurations, in the order in which they are asked."""
    found: list[Hook] = []
    for configuration in sorted(configurations, key=lambda each: str(each["metadata"]["name"])):
        seen = Counter[str]()
        for webhook in configuration.get("webhooks") or ():
            found.append(_hook(webhook, configuration["metadata"]["name"], len(found), seen[webhook["name"]]))
            seen[webhook["name"]] += 1
    return tuple(found)


def _hook(webhook: Document, configuration: str, index: int, repeated: int) -> Hook:
    versions = webhook.get("admissionReviewVersions") or ()
    return Hook(
        uid=f"{configuration}/{webhook['name']}/{repeated}",
        index=index,
        configuration=configuration,
        name=webhook["name"],
        rules=compile_rules(webhook.get("rules")),
        selectors=compile_selectors(webhook),
        match_policy=webhook.get("matchPolicy") or "Exact",
        ignores_failures=webhook.get("failurePolicy") == "Ignore",
        supports_dry_run=webhook.get("sideEffects") in ("None", "NoneOnDryRun"),
        reinvoked=webhook.get("reinvocationPolicy") == "IfNeeded",
        timeout=float(webhook.get("timeoutSeconds") or 10),
        review=next((version for version in versions if version in REVIEWS), ""),
        target=_target(webhook.get("clientConfig") or {}),
        conditions=compile_conditions(webhook.get("matchConditions"), fail=webhook.get("failurePolicy") != "Ignore"),
    )


def _target(config: dict[str, Any]) -> Target | BackendError:
    try:
        return target_of(config)
    except BackendError as error:
        return error


Found = tuple[tuple[Hook, Match], ...]
_Key = tuple[str, str, str, str, Operation, Gvk | None]
"""What of a request decides which rules are about it: those of webhooks name no objects."""


class Configurations:
    """The webhooks of one sort, as they are in the watch cache."""

    def __init__(
        self,
        objects: Objects,
        plural: str,
        *,
        catalogue: Callable[[], Catalogue],
        consistent: Callable[[], Awaitable[None]],
    ) -> None:
        self._consistent = consistent
        self._rows = objects.resource(GROUP, plural)
        self._namespaces = objects.resource("", "namespaces")
        self._catalogue = catalogue
        self._changed = -1
        self._generation = -1
        self._hooks: tuple[Hook, ...] = ()
        self._matches: dict[_Key, Found] = {}

    def concerned(self, admission: Admission) -> Found:
        """The webhooks whose rules are about a request, each with how it wants to see the object, in their order.

        What their selectors say is not asked yet.
        """
        if self._changed != self._rows.changed:
            self._changed = self._rows.changed
            self._hooks = compile_hooks([entry.document for entry in self._rows.select()])
            self._matches.clear()
        if not self._hooks or (admission.resource.group, admission.resource.plural) in EXEMPT:
            return ()
        catalogue = self._catalogue()
        if self._generation != catalogue.generation or len(self._matches) > _REMEMBERED:
            self._generation = catalogue.generation
            self._matches.clear()
        asked = admission.requested or admission.resource
        key = (*asked.key, admission.subresource, admission.operation, admission.kind)
        found = self._matches.get(key)
        if found is None:
            found = self._matches[key] = self._find(about(admission), admission.kind, catalogue)
        return found

    def _find(self, target: About, kind: Gvk | None, catalogue: Catalogue) -> Found:
        asked = (
            (hook, find_match(hook.rules, target, match_policy=hook.match_policy, catalogue=catalogue, kind=kind))
            for hook in self._hooks
        )
        return tuple((hook, match) for hook, match in asked if match is not None)

    async def selects(self, hook: Hook, admission: Admission) -> bool:
        """Whether a webhook's selectors select a request. Raises ApiError 404 for a namespace that is gone."""
        try:
            return hook.selectors.match(admission, self._labels_of)
        except ApiError:
            await self._consistent()  # another server may have made the namespace just now
            return hook.selectors.match(admission, self._labels_of)

    def _labels_of(self, namespace: str) -> Labels | None:
        entry = self._namespaces.get("", namespace)
        return entry.labels if entry is not None else None
