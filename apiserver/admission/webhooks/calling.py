"""One call of a webhook: what it answered, or what its failure means for the request.

A webhook that refuses, or does not know dry runs, ends the request whatever its failure policy is. One that cannot be
asked, or gives no answer that could be one, ends it too unless its failures are to be ignored.

Source: Kubernetes' apiserver, webhook/mutating and validating (dispatcher.go).
"""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from k8slite.errors import ApiError, bad_request, forbidden, internal

from ...authz.base import Authorizer
from ...backends import BackendError
from ...strategies.base import Document
from ...validation.names import qualified_name
from ...webhooks import WebhookFailure, Webhooks
from ...wire.respond import unless
from ..base import Admission
from ..cel import conditions as cel
from ..cel.asking import Asking
from ..cel.evaluation import CONDITIONS_BUDGET, Evaluation
from ..cel.inputs import inputs
from ..describing import is_dry_run
from ..matching import Match
from . import metrics
from .configuration import Hook
from .review import InvalidAnswer, Verdict, question, refusal, verdict

_log = logging.getLogger(__name__)
_UNAVAILABLE = 503
_ANSWER_LIMIT = 16 << 20
"""Bytes: a patch of the largest object, written out."""
WHOLE = 34.0
"""Seconds that a request's webhooks may take together, as a request of Kubernetes may."""
_ENDS = "webhooks end"


class CallFailed(Exception):
    """A webhook could not be asked, or its answer is none. `code` is for the metrics."""

    def __init__(self, reason: str, *, code: int = _UNAVAILABLE) -> None:
        super().__init__(reason)
        self.code = code


class Refused(ApiError):
    """A webhook said no."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls the webhooks of one step: "admit" or "validating"."""

    hooks: Webhooks
    authorizer: Authorizer
    step: metrics.Step

    async def concerns(
        self, hook: Hook, admission: Admission, match: Match, *, new: Document | None, old: Document | None
    ) -> bool:
        """Whether a webhook's match conditions let it be asked. Raises ApiError 403 if that cannot be found out."""
        if not hook.conditions:
            return True
        asking = Asking(self.authorizer, admission.context.user)
        given = inputs(admission, match, obj=new, old=old, asking=asking)

        def evaluate() -> cel.Verdict:
            return hook.conditions.match(Evaluation(given, budget=CONDITIONS_BUDGET, namespace=False))

        found = await asking.answered(evaluate)
        if found.error:
            metrics.observe_undecided(hook.name, self.step, admission.operation)
            asked = admission.requested or admission.resource
            raise forbidden(asked.plural, admission.name, found.error, group=asked.group)
        if not found.matches:
            metrics.observe_excluded(hook.name, self.step, admission.operation)
        return found.matches

    async def ask(
        self, hook: Hook, admission: Admission, match: Match, *, new: Document | None, old: Document | None
    ) -> Verdict:
        """What a webhook says of a request: that it may go on. Raises ApiError (Refused among them), CallFailed."""
        if is_dry_run(admission) and not hook.supports_dry_run:
            raise bad_request(f'admission webhook "{hook.name}" does not support dry run')
        if not hook.review:
            text = "could not create admission objects: webhook does not accept known AdmissionReview versions"
            raise CallFailed(f"{text} (v1, v1beta1)", code=400)
        if isinstance(hook.target, BackendError):
            raise CallFailed(f"could not get REST client: {hook.target}", code=500)
        uid = str(uuid.uuid4())
        asked = question(admission, match, uid=uid, version=hook.review, new=new, old=old)
        try:
            asking = self.hooks.post(hook.target, asked, timeout=_bounded(hook, admission), limit=_ANSWER_LIMIT)
            answer = await _while_wanted(admission, asking)
        except WebhookFailure as error:
            raise CallFailed(f"failed to call webhook: {error}", code=error.code or _UNAVAILABLE) from error
        try:
            found = verdict(answer, uid=uid, version=hook.review, mutating=self.step == "admit")
        except InvalidAnswer as error:
            raise CallFailed(f"received invalid webhook response: {error}") from error
        self._note(hook, admission, found)
        if not found.allowed:
            said = refusal(hook.name, found.result)
            raise Refused(said.code, said.reason, said.message, details=said.details)
        return found

    def _note(self, hook: Hook, admission: Admission, found: Verdict) -> None:
        context = admission.context
        context.warnings.extend(text for text in found.warnings if text and text not in context.warnings)
        for key, value in found.annotations.items():
            annotate(admission, f"{hook.name}/{key}", value)

    def count(self, hook: Hook, admission: Admission, started: float, error: Exception | None) -> ApiError | None:
        """Count a call that ended, with an error or without, and say what the client hears: None if it goes on."""
        operation, seconds = admission.operation, time.monotonic() - started
        match error:
            case None:
                metrics.observe(hook.name, self.step, operation, seconds=seconds, code=200, rejected=False)
                return None
            case CallFailed():
                rejected = not hook.ignores_failures
                metrics.observe(hook.name, self.step, operation, seconds=seconds, code=error.code, rejected=rejected)
                said = f'failed calling webhook "{hook.name}": {error}'
                if not rejected:
                    _log.warning("failing open: %s", said)
                    metrics.observe_failed_open(hook.name, self.step)
                    return None
                failure: metrics.Failure = "calling_webhook_error"
                metrics.observe_rejection(hook.name, self.step, operation, failure=failure, code=error.code)
                _log.warning("failing closed: %s", said)
                return internal_because(said)
            case Refused():
                code, failure = error.code, "no_error"
            case ApiError():
                code, failure = 0, "apiserver_internal_error"
            case _:
                raise error
        metrics.observe(hook.name, self.step, operation, seconds=seconds, code=code, rejected=True)
        metrics.observe_rejection(hook.name, self.step, operation, failure=failure, code=code)
        return error


async def _while_wanted(admission: Admission, asking: Coroutine[Any, Any, Document]) -> Document:
    """The answer, unless the client leaves before: it would hold its seat for nothing. Raises ApiError 504 then."""
    leaving = admission.context.leaving
    if leaving is None:
        return await asking
    ended = await unless(asking, gone=leaving())
    if ended is None:
        raise _timeout()
    return ended.result()


def _timeout() -> ApiError:
    return ApiError(504, "Timeout", "Timeout: request did not complete within requested timeout")


def _bounded(hook: Hook, admission: Admission) -> float:
    """The seconds that a webhook may take: its own, or what the request has left. Raises ApiError 504."""
    now = time.monotonic()
    left: float = admission.reinvocation.memory.setdefault(_ENDS, now + WHOLE) - now
    if left <= 0:
        raise _timeout()
    return min(hook.timeout, math.ceil(left))


def internal_because(text: str) -> ApiError:
    """500, with the cause that Kubernetes names in its details."""
    error = internal(text)
    return ApiError(error.code, error.reason, error.message, details={"causes": [{"message": text}]})


def annotate(admission: Admission, key: str, value: str) -> None:
    """Put something into the audit event, once, under a key that can be one."""
    if key.count("/") != 1 or qualified_name(key):
        _log.warning("an audit annotation of an admission webhook is left out: %r is no key", key[:256])
        return
    admission.context.annotations.setdefault(key, value)
