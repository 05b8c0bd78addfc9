"""One request that is recorded: what is learnt of it on its way, and its events at the stages it comes to.

The pipeline tells what it does (`impersonated`, `authorized`, `answered`, `failed`). What others send, handlers that
answer on the connection themselves, proxies and exec among them, is seen by standing between them and the connection
(`listening`).

Source: Kubernetes' apiserver, endpoints/filters/audit.go and authn_audit.go.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import orjson

from k8slite.errors import ApiError, internal

from ..authn.base import User
from ..authz.base import Attributes, Decision
from ..calls import Answer, Call, Scope, Send
from ..wire.connection import HANDOVER
from . import bodies, event, policy
from .policy import Level

if TYPE_CHECKING:
    from .auditor import Auditor

DECISION = "authorization.k8s.io/decision"
REASON = "authorization.k8s.io/reason"
_PATCHES = "patch.webhook.admission.k8s.io/"
"""Annotations below this hold parts of objects: what a webhook changed."""
_STATUS = b'{"kind":"Status"'
_STATUS_FIELDS = ("status", "message", "reason", "details", "code")
_SWITCHING = 101
_UNREADABLE = frozenset({400, 413, 415})
"""What a body is answered with that cannot be read, or must not be: a few bytes of YAML can grow without end."""


class Record:
    """A request of which something is recorded."""

    __slots__ = (
        "_answer",
        "_attributes",
        "_audit_id",
        "_auditor",
        "_before",
        "_code",
        "_constraint",
        "_done",
        "_impersonated",
        "_listens",
        "_long_running",
        "_panic",
        "_problem",
        "_received",
        "_rule",
        "_scope",
        "annotations",
        "call",
    )

    def __init__(
        self,
        auditor: Auditor,
        rule: policy.Decision,
        attributes: Attributes,
        *,
        scope: Scope,
        audit_id: bytes,
        seconds: float,
        long_running: bool,
        annotations: dict[str, str],
    ) -> None:
        self._auditor = auditor
        self._rule = rule
        self._attributes = attributes
        self._audit_id = audit_id.decode("latin-1")
        self._long_running = long_running
        self._scope = scope
        self._received, self._before = auditor.clock.now(), seconds
        self._listens = False
        self._impersonated: User | None = None
        self._constraint = ""
        self._code = 0
        self._problem: ApiError | None = None
        self._answer: Answer | None = None
        self._panic = ""
        self._done = False
        self.annotations = annotations
        """Those of the event; whoever serves the request may add to them."""
        self.call: Call | None = None
        """The request with its body, once it was read."""

    async def received(self) -> None:
        """Record that the request came.

        Raises ApiError 500 if every request must be recorded and this one cannot be.
        """
        auditor = self._auditor
        if self._emit(policy.REQUEST_RECEIVED) and auditor.waits and not await auditor.flushed() and auditor.strict:
            auditor.rejected += 1
            raise internal("failed to store audit event")

    def listening(self, send: Send) -> Send:
        """What is sent by the function returned is recorded."""
        if self._listens:
            return send
        self._listens, auditor = True, self._auditor
        state: MutableMapping[str, Any] = self._scope.get("state") or {}
        if (hand_over := state.get(HANDOVER)) is not None:

            def handing_over() -> Any:
                self._started(_SWITCHING)
                return hand_over()

            state[HANDOVER] = handing_over

        async def sending(message: MutableMapping[str, Any]) -> None:
            kind = message["type"]
            if kind.endswith("http.response.start"):
                self._started(message["status"])
            elif kind == "websocket.accept":
                self._started(_SWITCHING)
            elif auditor.waits and not self._long_running and not message.get("more_body"):
                self.finish()  # no answer is whole before it is recorded
                await auditor.flushed()
            await send(message)

        return sending

    def impersonated(self, user: User, *, constraint: str = "") -> None:
        """The request goes on as somebody else's; `constraint` is the verb that allowed it, if constrained."""
        self._impersonated = user
        self._constraint = constraint

    def authorized(self, decision: Decision, reason: str) -> None:
        """What the authorizers said."""
        self.annotations[DECISION] = "allow" if decision is Decision.ALLOW else "forbid"
        self.annotations[REASON] = reason

    def answered(self, answer: Answer) -> None:
        """The answer that is about to be sent."""
        self._answer = answer
        self._started(answer.code)

    def failed(self, problem: ApiError, error: Exception) -> None:
        """The request ends with a refusal, `problem` being what the client is told of `error`."""
        self._problem = problem
        if problem is not error and problem.code == 500:
            self._panic = type(error).__name__
        if not self._listens:
            self._started(problem.code)

    def finish(self) -> None:
        """The answer is complete, or the connection gone."""
        if self._done:
            return
        self._done = True
        if self._attributes.user.name:  # a stranger's request ends where it began
            if not self._code and self._long_running and not self._panic:
                self._emit(policy.RESPONSE_STARTED)
            self._emit(policy.PANIC if self._panic else policy.RESPONSE_COMPLETE)
        # All of this leads back here: the request, with its bodies, would live until the collector comes.
        self.call = self._answer = self._problem = None
        self._scope = {}

    def _started(self, code: int) -> None:
        if self._code:
            return
        self._code = code
        # All that is told of who could not be authenticated, as Kubernetes has it.
        if self._long_running or not self._attributes.user.name:
            self._emit(policy.RESPONSE_STARTED)

    def _emit(self, stage: policy.Stage) -> bool:
        """Write the event of a stage; whether the policy wants it."""
        if stage in self._rule.omit_stages:
            return False
        self._auditor.write(self._event(stage), self._rule.level)
        return True

    def _event(self, stage: policy.Stage) -> event.Event:
        attributes, scope = self._attributes, self._scope
        users = self._auditor.users
        made: event.Event = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": self._rule.level.label,
            "auditID": self._audit_id,
            "stage": stage,
            "requestURI": event.request_uri(scope),
            "verb": attributes.verb,
            "user": users.encoded(attributes.user),
        }
        if self._impersonated is not None:
            made["impersonatedUser"] = event.user_info(self._impersonated)
            if self._constraint:
                made["authenticationMetadata"] = {"impersonationConstraint": self._constraint}
        if ips := event.source_ips(scope):
            made["sourceIPs"] = ips
        if agent := event.user_agent(scope["headers"]):
            made["userAgent"] = agent
        call = self.call
        if (reference := event.object_ref(attributes, call.metadata if call is not None else None)) is not None:
            made["objectRef"] = reference
        received = event.moment(self._received, before=self._before)
        if stage is policy.REQUEST_RECEIVED:
            made["requestReceivedTimestamp"] = made["stageTimestamp"] = received
        else:
            made["responseStatus"] = self._status()
            if self._rule.level >= Level.REQUEST:
                self._add_objects(made)
            made["requestReceivedTimestamp"] = received
            made["stageTimestamp"] = event.moment(self._auditor.clock.now())
        if annotations := _shown(self.annotations, self._rule.level):
            made["annotations"] = annotations
        return made

    def _add_objects(self, made: event.Event) -> None:
        call, rule = self.call, self._rule
        omit = rule.omit_managed_fields
        unreadable = self._problem is not None and self._problem.code in _UNREADABLE
        if call is not None and call.body and not unreadable:
            found = bodies.received(call.body, call.content_type, self._attributes, omit_managed_fields=omit)
            if found is not None:
                made["requestObject"] = found
        if rule.level < Level.REQUEST_RESPONSE or not self._attributes.is_resource:
            return
        found = None
        if self._problem is not None:
            found = bodies.refusal(self._problem, self._attributes)
        elif self._answer is not None:
            found = bodies.answered(self._answer.body, self._attributes, omit_managed_fields=omit)
        if found is not None:
            made["responseObject"] = found

    def _status(self) -> dict[str, Any]:
        if self._panic:
            message = f"APIServer panic'd: {self._panic}"
            reason = "InternalError"
            return {"metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": 500}
        if self._problem is not None:
            said = bodies.refusal(self._problem, self._attributes)
        elif not self._code:
            said = {"status": "Success", "message": "Connection closed early", "code": 200}
        elif self._answer is not None and self._answer.body.startswith(_STATUS):
            said = {**orjson.loads(self._answer.body), "code": self._code}
        else:
            return {"metadata": {}, "code": self._code}
        return {"metadata": {}} | {key: said[key] for key in _STATUS_FIELDS if key in said}


def _shown(annotations: dict[str, str], level: Level) -> dict[str, str]:
    """The annotations that a level shows: those with parts of objects where the objects themselves are shown."""
    if level >= Level.REQUEST or _PATCHES not in "\n".join(annotations):
        return annotations
    return {key: value for key, value in annotations.items() if not key.startswith(_PATCHES)}
