"""Writing charges into the quotas of a namespace: many requests with one write.

Requests that come while a charge is being written wait, and are then judged and charged together: a namespace with a
quota makes as many objects a second as it does without one, whatever a commit of the store takes. Each write is bound
to the state that the requests were judged on. If another server was faster, those of the requests that the changed
quota concerns are judged again on what is there now.

A quota that was charged for a request which another quota then refuses, or whose own write fails, shows too much until
the controller counts again; it never shows too little.

Source: Kubernetes' apiserver, admission/plugin/resourcequota/controller.go (checkQuotas).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from k8slite.errors import ApiError, conflict, service_unavailable
from k8slite.usage.amounts import Amounts, add, wire
from k8slite.usage.measures import Quota, read_quota

from ... import documents
from ...registry import Registry
from ...storage.base import Record, RevisionMismatch, StoreUnavailable
from .evaluate import Refused, Request, evaluate

log = logging.getLogger(__name__)

_ATTEMPTS = 20


@dataclass(eq=False)
class Waiter:
    """A request that waits for its charge."""

    request: Request
    refuse: Callable[[str], ApiError]
    dry_run: bool
    charged: dict[str, Amounts] = field(default_factory=dict)
    """By the quota's name."""
    revision: int = 0
    """Of the first charge."""
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def pass_(self) -> None:
        """Let it go on."""
        if not self.done.done():
            self.done.set_result(None)

    def fail(self, error: BaseException) -> None:
        """End it."""
        if not self.done.done():
            self.done.set_exception(error)


class Charging:
    """The requests under way, by namespace."""

    def __init__(self, registry: Callable[[], Registry]) -> None:
        self._registry = registry
        self._waiting: dict[str, list[Waiter]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._read: dict[str, tuple[int, Quota]] = {}

    async def charge(
        self, namespace: str, request: Request, *, refuse: Callable[[str], ApiError], dry_run: bool
    ) -> Waiter:
        """Judge a request and charge it: what each quota was charged, and when first. Raises ApiError."""
        waiter = Waiter(request, refuse, dry_run)
        waiting = self._waiting.get(namespace)
        if waiting is not None:
            waiting.append(waiter)
        else:
            self._waiting[namespace] = [waiter]
            task = asyncio.create_task(self._work(namespace))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await waiter.done
        return waiter

    async def _work(self, namespace: str) -> None:
        """Take all that wait, until none came meanwhile."""
        while waiters := self._waiting[namespace]:
            self._waiting[namespace] = []
            try:
                await self._settle(namespace, waiters)
            except StoreUnavailable as error:
                _fail(waiters, service_unavailable(f"the store is not available: {error}"))
            except Exception as error:  # whoever waits must hear of it
                log.exception("charging the quotas of %s failed", namespace)
                _fail(waiters, error)
        del self._waiting[namespace]

    async def _settle(self, namespace: str, waiters: Sequence[Waiter]) -> None:
        rows = self._registry().find("", "v1", "resourcequotas").cache
        entries = rows.select(namespace=namespace)
        records = {entry.name: Record(entry.key, entry.value, entry.revision) for entry in entries}
        for _ in range(_ATTEMPTS):
            quotas = {name: self._quota(record) for name, record in records.items()}
            rises = _judge(waiters, quotas)
            if not rises:
                return
            changed = {name for rise in rises.values() for name in rise}
            outcomes = await asyncio.gather(*(self._write(records[name], quotas[name]) for name in changed))
            written, lost = {}, {}
            for name, outcome in zip(changed, outcomes, strict=True):
                if isinstance(outcome, RevisionMismatch):
                    lost[name] = outcome.current
                else:
                    written[name] = outcome.revision
            for waiter, rise in rises.items():
                for name in rise.keys() & written.keys():
                    waiter.charged[name] = rise[name]
                    waiter.revision = min(waiter.revision or written[name], written[name])
                if not rise.keys() & lost.keys():
                    waiter.pass_()
            waiters = [waiter for waiter in rises if not waiter.done.done()]
            if not waiters:
                return
            # Quotas whose write stands have these requests in them already, and cover what must be covered.
            for waiter in waiters:
                waiter.request = replace(waiter.request, limited=(), covered_scopes=())
            records = {name: current for name, current in lost.items() if current is not None}
        _fail(waiters, conflict("resourcequotas", ", ".join(sorted(records))))

    def _quota(self, record: Record) -> Quota:
        known = self._read.get(record.key)
        if known is None or known[0] != record.revision:
            if len(self._read) > 10_000:
                self._read.clear()
            known = self._read[record.key] = (record.revision, read_quota(documents.decode(record.value)))
        return known[1]

    async def _write(self, record: Record, quota: Quota) -> Record | RevisionMismatch:
        """Write what is used now; the mismatch if the quota is no longer as it was."""
        registry = self._registry()
        document = documents.decode(record.value)
        document["status"]["used"] = {**document["status"]["used"], **wire(quota.used)}
        value = documents.encode_to_fit(document, registry.find("", "v1", "resourcequotas").stored)
        try:
            written = await registry.store.update(record.key, value, expected=record.revision)
        except RevisionMismatch as mismatch:
            return mismatch
        self._read[record.key] = (written.revision, quota)
        return written


def _judge(waiters: Collection[Waiter], quotas: dict[str, Quota]) -> dict[Waiter, dict[str, Amounts]]:
    """Those that must be charged, with the rise in each quota; `quotas` hold what is used with all of them.

    The others have passed (nothing to charge, or a dry run) or failed.
    """
    rises = {}
    for waiter in waiters:
        try:
            rise = evaluate(waiter.request, list(quotas.values()))
        except Refused as refusal:
            waiter.fail(waiter.refuse(str(refusal)))
            continue
        if waiter.dry_run or not rise:
            waiter.pass_()
            continue
        rises[waiter] = rise
        for name, more in rise.items():
            used = dict(quotas[name].used)
            add(used, more)
            quotas[name] = replace(quotas[name], used=used)
    return rises


def _fail(waiters: Collection[Waiter], error: BaseException) -> None:
    for waiter in waiters:
        waiter.fail(error)
