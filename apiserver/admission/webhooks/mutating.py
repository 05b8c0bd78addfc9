"""MutatingAdmissionWebhook: servers that change what is written. One is asked after the other.

If one of them changes the object after another that wants to see such changes was asked, all mutating plugins have a
second round: of the webhooks those that asked for it (`reinvocationPolicy: IfNeeded`), once.

Source: Kubernetes' apiserver, admission/plugin/webhook/mutating.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from k8slite.errors import ApiError

from ...authz.base import Authorizer
from ...lookup import Objects
from ...patch import json as json_patch
from ...registry import Registry
from ...strategies.base import Document
from ...webhooks import Webhooks
from ..base import Admission, Operation, Plugin
from ..following import Followers
from ..matching import Match
from ..presenting import Unreadable, present, take_back
from .calling import Caller, CallFailed, annotate, internal_because
from .configuration import Configurations, Hook
from .review import Verdict

_NAME = "MutatingAdmissionWebhook"
_MUTATION = "mutation.webhook.admission.k8s.io/"
_PATCH = "patch.webhook.admission.k8s.io/"
_FAILED_OPEN = "failed-open.mutation.webhook.admission.k8s.io/"


class MutatingAdmissionWebhook(Plugin):
    """Changes objects as webhooks say, and refuses what they refuse."""

    operations = frozenset[Operation]({"CREATE", "UPDATE", "DELETE", "CONNECT"})

    def __init__(
        self,
        *,
        objects: Objects,
        hooks: Webhooks,
        authorizer: Authorizer,
        registry: Callable[[], Registry],
        consistent: Callable[[], Awaitable[None]],
    ) -> None:
        self._registry = registry
        self._caller = Caller(hooks, authorizer, "admit")
        self._configured = Configurations(
            objects,
            "mutatingwebhookconfigurations",
            catalogue=lambda: registry().catalogue,
            consistent=consistent,
        )

    async def mutate(self, admission: Admission) -> None:
        """Ask every webhook that the request concerns. Raises ApiError."""
        concerned = self._configured.concerned(admission)
        if not concerned:
            return
        followers: Followers[str] = Followers.begin(_NAME, admission)
        for hook, match in concerned:
            if not followers.is_due(hook.uid) or not await self._configured.selects(hook, admission):
                continue
            new = await present(self._registry(), admission.object, match)
            old = await present(self._registry(), admission.old, match)
            if not await self._caller.concerns(hook, admission, match, new=new, old=old):
                continue
            if await self._call(hook, admission, match, new=new, old=old):
                followers.changed()
            if hook.reinvoked:
                followers.follow(hook.uid)
        followers.end(admission.object)

    async def _call(
        self, hook: Hook, admission: Admission, match: Match, *, new: Document | None, old: Document | None
    ) -> bool:
        """Whether a webhook changed the object. Raises ApiError."""
        place = f"round_{int(admission.reinvocation.again)}_index_{hook.index}"
        changed, failed = False, None
        started = time.monotonic()
        try:
            found = await self._caller.ask(hook, admission, match, new=new, old=old)
            operations = _operations(found)
            if operations:
                changed = await self._apply(hook, admission, match, new, operations)
                patch = orjson.Fragment(found.patch)
                annotate(admission, _PATCH + place, _told(hook, {"patch": patch, "patchType": found.patch_type}))
        except (ApiError, CallFailed) as error:
            failed = error
        annotate(admission, _MUTATION + place, _told(hook, {"mutated": changed}))
        said = self._caller.count(hook, admission, started, failed)
        if said is not None:
            raise said
        if failed is not None:
            annotate(admission, _FAILED_OPEN + place, hook.name)
        return changed

    async def _apply(
        self, hook: Hook, admission: Admission, match: Match, document: Document | None, operations: list[Document]
    ) -> bool:
        if document is None:
            text = f'admission webhook "{hook.name}" attempted to modify the object'
            raise internal_because(f"{text}, which is not supported for this operation")
        try:
            patched = json_patch.apply(document, operations)
        except json_patch.PatchError as error:
            raise internal_because(str(error)) from error
        if patched == document:
            return False
        try:
            await take_back(self._registry(), admission, patched, match)
        except Unreadable as error:
            raise internal_because(error.message) from error
        return True


def _operations(found: Verdict) -> list[Document]:
    """The operations of a verdict's patch. Raises CallFailed."""
    if not found.patch:
        return []
    if found.patch_type != "JSONPatch":
        raise CallFailed(f'unsupported patch type "{found.patch_type}"')
    try:
        operations: Any = orjson.loads(found.patch)
    except orjson.JSONDecodeError as error:
        raise CallFailed(f"received undecodable patch in webhook response: {error}") from None
    if operations is None:
        return []
    if not isinstance(operations, list) or not all(isinstance(each, dict) for each in operations):
        raise CallFailed("received undecodable patch in webhook response: it is no list of operations")
    return operations


def _told(hook: Hook, more: Document) -> str:
    return orjson.dumps({"configuration": hook.configuration, "webhook": hook.name, **more}).decode()
