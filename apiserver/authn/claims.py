"""What the claims of a token mean: the user that they make, and whether they are what they must be.

Mappings and rules are compiled when the configuration is read, so a mistake in one shows then. An expression sees
`claims`, a rule about the user `user`.

Source: Kubernetes documentation, "Authentication configuration from a file"; apiserver.config.k8s.io/v1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from k8slite.errors import Cause, duplicate, invalid_value, required

from ..cel.environment import Compiled, CompileError, Environment
from ..cel.escaping import escape
from ..cel.types import DYN, STRING, DeclType, list_of, map_of
from . import configuration
from .base import CREDENTIAL_ID, Refused, User

_LIMIT = 10_000_000
"""Units that one expression may cost."""
_CLAIMS = Environment({"claims": map_of(DYN)})
_USER = Environment(
    {
        "user": DeclType(
            "object",
            fields={
                "username": STRING,
                "uid": STRING,
                "groups": list_of(STRING),
                "extra": map_of(list_of(STRING)),
            },
        )
    }
)
_EMAIL = re.compile(r"\bclaims\s*\.\s*\??\s*email\b")
_EMAIL_VERIFIED = re.compile(r"\bclaims\s*\.\s*\??\s*email_verified\b")
_EXTRA_KEY = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9/%:@!$&'()*+,;=._~-]+", re.ASCII)
_RESERVED = re.compile(r"(.*\.)?(kubernetes|k8s)\.io/")
_STRINGS = frozenset({"string", "list(string)", "list(dyn)", "dyn", "null"})
_STRING = frozenset({"string", "dyn"})
_BOOL = frozenset({"bool", "dyn"})


@dataclass(frozen=True, slots=True)
class _Rule:
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
    claim_rules: tuple[_Rule, ...]
    user_rules: tuple[_Rule, ...]

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


def _demand(rule: _Rule, variables: Mapping[str, Any], what: str) -> None:
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


class Builder:
    """Compiles the mappings and rules of one authenticator, and gathers what is wrong with them in `causes`."""

    def __init__(self, source: configuration.JwtAuthenticator, field: str) -> None:
        self._source = source
        self._field = field
        self.causes: list[Cause] = []

    def build(self) -> Mapper:
        """The mapper; it is of no use if there are causes."""
        source = self._source
        claim_rules, required_claims = self._claim_rules()
        mappings = source.claim_mappings
        field = f"{self._field}.claimMappings"
        username = self._name(mappings.username, f"{field}.username", allowed=_STRING, needed=True)
        groups = self._name(mappings.groups, f"{field}.groups", allowed=_STRINGS)
        uid = None
        if mappings.uid.claim and mappings.uid.expression:
            self.causes.append(invalid_value(f"{field}.uid", "", "claim and expression can't both be set"))
        elif mappings.uid.expression:
            uid = self._compile(_CLAIMS, mappings.uid.expression, f"{field}.uid.expression", _STRING)
        extra = self._extra(field)
        verifying = [rule.expression.source for rule in claim_rules]
        verifying += [mappings.username.expression, *(item.value_expression for item in mappings.extra)]
        if _EMAIL.search(mappings.username.expression) and not any(map(_EMAIL_VERIFIED.search, verifying)):
            detail = (
                "claims.email_verified must be used in claimMappings.username.expression or "
                "claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is "
                "used in claimMappings.username.expression"
            )
            self.causes.append(invalid_value(f"{field}.username.expression", mappings.username.expression, detail))
        return Mapper(
            mappings, required_claims, username, groups, uid, tuple(extra), tuple(claim_rules), self._user_rules()
        )

    def _compile(self, environment: Environment, source: str, field: str, allowed: frozenset[str]) -> Compiled | None:
        try:
            compiled = environment.compile(source)
        except CompileError as error:
            self.causes.append(invalid_value(field, source, f"compilation failed: {error}"))
            return None
        if compiled.result not in allowed:
            names = {_STRING: "string", _BOOL: "bool"}.get(allowed, "one of [string list(string)]")
            self.causes.append(invalid_value(field, source, f"must evaluate to {names}"))
            return None
        return compiled

    def _name(
        self,
        mapping: configuration.PrefixedClaimOrExpression,
        field: str,
        *,
        allowed: frozenset[str],
        needed: bool = False,
    ) -> Compiled | None:
        if mapping.expression and mapping.claim:
            self.causes.append(invalid_value(field, "", "claim and expression can't both be set"))
        elif mapping.expression:
            if mapping.prefix is not None:
                detail = "may not be specified when expression is set"
                self.causes.append(invalid_value(f"{field}.prefix", mapping.prefix, detail))
            return self._compile(_CLAIMS, mapping.expression, f"{field}.expression", allowed)
        elif mapping.claim and mapping.prefix is None:
            detail = "prefix is required when claim is set. It can be set to an empty string to disable prefixing"
            self.causes.append(required(f"{field}.prefix", detail))
        elif needed and not mapping.claim:
            self.causes.append(required(field, "claim or expression is required"))
        return None

    def _claim_rules(self) -> tuple[list[_Rule], dict[str, str]]:
        rules: list[_Rule] = []
        demanded: dict[str, str] = {}
        seen: set[str] = set()
        for index, rule in enumerate(self._source.claim_validation_rules):
            field = f"{self._field}.claimValidationRules[{index}]"
            if rule.claim and rule.expression:
                self.causes.append(invalid_value(field, rule.claim, "claim and expression can't both be set"))
            elif rule.claim:
                if rule.message:
                    detail = "may not be specified when claim is set"
                    self.causes.append(invalid_value(f"{field}.message", rule.message, detail))
                if rule.claim in demanded:
                    self.causes.append(duplicate(f"{field}.claim", rule.claim))
                demanded[rule.claim] = rule.required_value
            elif rule.expression:
                if rule.required_value:
                    detail = "may not be specified when expression is set"
                    self.causes.append(invalid_value(f"{field}.requiredValue", rule.required_value, detail))
                if rule.expression in seen:
                    self.causes.append(duplicate(f"{field}.expression", rule.expression))
                    continue
                seen.add(rule.expression)
                compiled = self._compile(_CLAIMS, rule.expression, f"{field}.expression", _BOOL)
                if compiled is not None:
                    rules.append(_Rule(compiled, rule.message))
            else:
                self.causes.append(required(field, "claim or expression is required"))
        return rules, demanded

    def _extra(self, field: str) -> list[tuple[str, Compiled]]:
        compiled: list[tuple[str, Compiled]] = []
        seen: set[str] = set()
        for index, mapping in enumerate(self._source.claim_mappings.extra):
            place = f"{field}.extra[{index}]"
            key = mapping.key
            if not key:
                self.causes.append(required(f"{place}.key"))
            elif not _EXTRA_KEY.fullmatch(key.lower()):
                detail = 'must be a domain-prefixed path (such as "acme.io/foo")'
                self.causes.append(invalid_value(f"{place}.key", key, detail))
            if key != key.lower():
                self.causes.append(invalid_value(f"{place}.key", key, "must be lowercase"))
            if _RESERVED.match(key):
                detail = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"
                self.causes.append(invalid_value(f"{place}.key", key, detail))
            if key in seen:
                self.causes.append(duplicate(f"{place}.key", key))
                continue
            seen.add(key)
            if not mapping.value_expression:
                self.causes.append(required(f"{place}.valueExpression"))
                continue
            expression = self._compile(_CLAIMS, mapping.value_expression, f"{place}.valueExpression", _STRINGS)
            if expression is not None:
                compiled.append((key, expression))
        return compiled

    def _user_rules(self) -> tuple[_Rule, ...]:
        rules: list[_Rule] = []
        seen: set[str] = set()
        for index, rule in enumerate(self._source.user_validation_rules):
            field = f"{self._field}.userValidationRules[{index}].expression"
            if not rule.expression:
                self.causes.append(required(field))
                continue
            if rule.expression in seen:
                self.causes.append(duplicate(field, rule.expression))
                continue
            seen.add(rule.expression)
            compiled = self._compile(_USER, rule.expression, field, _BOOL)
            if compiled is not None:
                rules.append(_Rule(compiled, rule.message))
        return tuple(rules)
