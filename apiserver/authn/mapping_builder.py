"""Compiling the mappings and rules of an AuthenticationConfiguration, so that a mistake in one shows when it is read.

Source: Kubernetes documentation, "Authentication configuration from a file"; apiserver, apis/apiserver/validation.
"""

from __future__ import annotations

import re

from k8slite.errors import Cause, duplicate, invalid_value, required

from ..cel.environment import Compiled, CompileError, Environment
from ..cel.types import DYN, STRING, DeclType, list_of, map_of
from . import configuration
from .claims import Mapper, Rule

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

    def _claim_rules(self) -> tuple[list[Rule], dict[str, str]]:
        rules: list[Rule] = []
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
                    rules.append(Rule(compiled, rule.message))
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

    def _user_rules(self) -> tuple[Rule, ...]:
        rules: list[Rule] = []
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
                rules.append(Rule(compiled, rule.message))
        return tuple(rules)
