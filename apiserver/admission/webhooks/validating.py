"""ValidatingAdmissionWebhook: servers that see what will be stored and may refuse it. All are asked at once.

Source: Kubernetes' apiserver, admission/plugin/webhook/validating.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from k8slite.errors import ApiError

from ...authz.base import Authorizer
from ...lookup import Objects
from ...registry import Registry
from ...strategies.base import Document
from ...webhooks import Webhooks
from ..base import Admission, Operation, Plugin
from ..matching import Gvk, Match
from ..presenting import present
from .calling import Caller, CallFailed, annotate
from .configuration import Configurations, Found, Hook

_FAILED_OPEN = "failed-open.validating.webhook.admission.k8s.io/"
Presented = tuple[Document | None, Document | None]


class ValidatingAdmissionWebhook(Plugin):
    """Refuses; changes nothing."""

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
        self._caller = Caller(hooks, authorizer, "validating")
        self._configured = Configurations(
            objects,
            "validatingwebhookconfigurations",
            catalogue=lambda: registry().catalogue,
            consistent=consistent,
        )

    async def validate(self, admission: Admission) -> None:
        """Ask every webhook that the request concerns. Raises ApiError: that of the first in order that has one."""
        concerned = self._configured.concerned(admission)
        if not concerned:
            return
        presented: dict[Gvk, Presented] = {}
        relevant: Found = ()
        for hook, match in concerned:
            if not await self._configured.selects(hook, admission):
                continue
            if match.kind not in presented:
                new = await present(self._registry(), admission.object, match)
                presented[match.kind] = new, await present(self._registry(), admission.old, match)
            new, old = presented[match.kind]
            if await self._caller.concerns(hook, admission, match, new=new, old=old):
                relevant += ((hook, match),)
        if len(relevant) == 1:
            ((hook, match),) = relevant
            errors = [await self._call(hook, admission, match, presented[match.kind], 0)]
        else:
            errors = await asyncio.gather(
                *(
                    self._call(hook, admission, match, presented[match.kind], index)
                    for index, (hook, match) in enumerate(relevant)
                )
            )
        for error in errors:
            if error is not None:
                raise error

    async def _call(
        self, hook: Hook, admission: Admission, match: Match, presented: Presented, index: int
    ) -> ApiError | None:
        new, old = presented
        started = time.monotonic()
        failed: Exception | None = None
        try:
            await self._caller.ask(hook, admission, match, new=new, old=old)
        except (ApiError, CallFailed) as error:
            failed = error
        said = self._caller.count(hook, admission, started, failed)
        if said is None and failed is not None:
            annotate(admission, f"{_FAILED_OPEN}round_0_index_{index}", hook.name)
        return said
