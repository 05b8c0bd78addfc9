"""What the claims of a token mean: the user that they make, and whether they are what they must be.

An expression sees `claims`, a rule about the user `user`. How they are compiled stands in `mapping_builder.py`.

Source: Kubernetes documentation, "Authentication configuration from a file"; apiserver.config.k8s.io/v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..cel.environment import Compiled
from ..cel.escaping import escape
from . import configuration
from .base import CREDENTIAL_ID, Refused, User

_LIMIT = 10_000_000
"""Units that one expression may cost."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An expression that must be true, and what is said if it is not."""

    expression: Compiled
    message: str


@dataclass(frozen=True, slots=True)
class Mapper:
    """A configuration's mappings and rules, compiled."""

    mappings: configuration.ClaimMappings
    required_claims: Mapping[str, str]
    username: Compiled | None
    groups: Compiled | None
    uid: Compiled | None
    extra: tuple[tuple[str, Compiled], ...]
    claim_rules: tuple[Rule, ...]
    user_rules: tuple[Rule, ...]

    def user(self, claims: Mapping[str, Any]) -> User:
        """The user that verified claims make. Raises Refused, with words that hold no token."""
        seen: dict[str, Any] = {"claims": _seen(claims)}
        user = User(
            self._username(claims, seen),
            uid=self._uid(claims, seen),
            groups=tuple(self._groups(claims, seen)),
            extra=self._extra(claims, seen),
        )
        for claim, value in self.required_claims.items():
            if claim not in claims:
                raise Refused(f"oidc: required claim {claim} not present in ID token")
            if claims[claim] != value:
                raise Refused(f"oidc: required claim {claim} value does not match")
        for rule in self.claim_rules:
            _demand(rule, seen, "claim validation expression")
        for rule in self.user_rules:
            _demand(rule, {"user": _described(user)}, "user info validation rule")
        return user

    def _username(self, claims: Mapping[str, Any], seen: Mapping[str, Any]) -> str:
        if self.username is not None:
            name = _evaluate(self.username, seen, "username claim expression")
            if not isinstance(name, str):
                raise Refused("oidc: error evaluating username claim expression: must return a string")
            if not name:
                raise Refused("oidc: empty username via CEL expression is not allowed")
            return name
        claim = self.mappings.username.claim
        name = claims.get(claim)
        if not isinstance(name, str):
            raise Refused(f'oidc: parse username claims "{claim}": claim not present or no string')
        if claim == "email" and "email_verified" in claims and claims["email_verified"] is not True:
            raise Refused("oidc: email not verified")
        return (self.mappings.username.prefix or "") + name

    def _groups(self, claims: Mapping[str, Any], seen: Mapping[str, Any]) -> list[str]:
        if self.groups is not None:
            return _strings(_evaluate(self.groups, seen, "group claim expression"), "group claim expression")
        claim = self.mappings.groups.claim
        if not claim or claim not in claims:
            return []
        value = claims[claim]
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            raise Refused(f'oidc: parse groups claim "{claim}": neither a string nor a list of strings')
        return [(self.mappings.groups.prefix or "") + item for item in listed]

    def _uid(self, claims: Mapping[str, Any], seen: Mapping[str, Any]) -> str:
        if self.uid is not None:
            value = _evaluate(self.uid, seen, "uid claim expression")
        elif not self.mappings.uid.claim:
            return ""
        else:
            value = claims.get(self.mappings.uid.claim)
        if not isinstance(value, str):
            raise Refused("oidc: parse uid claim: claim not present or no string")
        return value

    def _extra(self, claims: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        extra: dict[str, tuple[str, ...]] = {}
        if isinstance(identifier := claims.get("jti"), str) and identifier:
            extra[CREDENTIAL_ID] = (f"JTI={identifier}",)
        for key, expression in self.extra:
            what = f"extra claim expression of {key}"
            if values := _strings(_evaluate(expression, seen, what), what):
                extra[key] = tuple(values)
        return extra


def _evaluate(expression: Compiled, variables: Mapping[str, Any], what: str) -> Any:
    outcome = expression.program.evaluate(variables, limit=_LIMIT)
    if outcome.error is not None:
        raise Refused(
            f"oidc: error evaluating {what}: expression '{expression.source}' resulted in error: {outcome.error}"
        )
    return outcome.value


def _demand(rule: Rule, variables: Mapping[str, Any], what: str) -> None:
    if _evaluate(rule.expression, variables, what) is not True:
        source = rule.expression.source
        raise Refused(f"oidc: error evaluating {what}: validation expression '{source}' failed: {rule.message}")


def _strings(value: Any, what: str) -> list[str]:
    """A string or a list of strings, without empty ones."""
    if value is None:
        return []
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise Refused(f"oidc: error evaluating {what}: expression must return a string or a list of strings")
    return [item for item in listed if item]


def _seen(value: Any) -> Any:
    """A claim as expressions see it: what no identifier can be is also there by its escaped name."""
    match value:
        case dict():
            found = {key: _seen(item) for key, item in value.items()}
            for key in value:
                if (escaped := escape(key)) is not None and escaped != key:
                    found.setdefault(escaped, found[key])
            return found
        case list():
            return [_seen(item) for item in value]
        case int() if not isinstance(value, bool):
            return float(value)  # numbers in JSON are doubles
        case _:
            return value


def _described(user: User) -> dict[str, Any]:
    extra = {key: list(values) for key, values in user.extra.items()}
    return {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": _seen(extra)}
