"""The authorizers' answers to what expressions ask.

An expression is evaluated in one go, while an authorizer is a coroutine. Those of this server answer from memory
without ever waiting, so their coroutine is simply run to its end. Should one wait after all (for a webhook, say), the
evaluation is given up, the answer is awaited, and the evaluation begins again, now knowing it. That is why whatever is
evaluated must be without effects, and each question is asked once a request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from k8slite.selectors import EVERYTHING, SelectorError, parse_field_selector, parse_label_selector

from ...authn.base import User
from ...authz.base import NO_FIELDS, Attributes, Authorizer
from ...authz.base import Decision as Verdict
from ...cel.functions.authorization import Decision, Question
from ..base import Admission

Result = TypeVar("Result")


class _Waiting(Exception):
    """The answer to `question` must be awaited."""

    def __init__(self, question: Question) -> None:
        self.question = question


class Asking:
    """Answers the questions of one request's expressions."""

    def __init__(self, authorizer: Authorizer, user: User) -> None:
        self._authorizer = authorizer
        self._user = user
        self._known: dict[Question, Decision] = {}

    def ask(self, question: Question) -> Decision:
        """The answer; only within `answered`."""
        known = self._known.get(question)
        if known is not None:
            return known
        finding = self._find(question)
        try:
            finding.send(None)
        except StopIteration as done:
            answer: Decision = done.value
            self._known[question] = answer
            return answer
        finding.close()
        raise _Waiting(question)

    async def answered(self, evaluate: Callable[[], Result]) -> Result:
        """What `evaluate` gives, once all that it asks is answered; it may be called several times."""
        while True:
            try:
                return evaluate()
            except _Waiting as waiting:
                self._known[waiting.question] = await self._find(waiting.question)

    async def _find(self, question: Question) -> Decision:
        try:
            verdict, reason = await self._authorizer.authorize(self._attributes(question))
        except Exception as error:
            return Decision(False, "", str(error) or type(error).__name__)
        return Decision(verdict is Verdict.ALLOW, reason)

    def _attributes(self, question: Question) -> Attributes:
        user = self._user if question.account is None else account(*question.account)
        if question.path:
            return Attributes(user, question.verb, question.path)
        return Attributes(
            user,
            question.verb,
            group=question.group,
            version="*",
            resource=question.resource,
            subresource=question.subresource,
            namespace=question.namespace,
            name=question.name,
            fields=_read(parse_field_selector, question.field_selector, NO_FIELDS),
            labels=_read(parse_label_selector, question.label_selector, EVERYTHING),
        )


def _read(parse: Callable[[str], Result], text: str, nothing: Result) -> Result:
    """A question's selector. One that cannot be read narrows nothing, as in Kubernetes."""
    try:
        return parse(text) if text else nothing
    except SelectorError:
        return nothing


def account(namespace: str, name: str) -> User:
    """A service account, as if it had sent the request."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return User(f"system:serviceaccount:{namespace}:{name}", groups=groups)


def of_request(admission: Admission) -> Question:
    """What `authorizer.requestResource` asks about: the very thing that is written."""
    return Question(
        group=admission.resource.group,
        resource=admission.resource.plural,
        subresource=admission.subresource,
        namespace=admission.namespace,
        name=admission.name,
    )
