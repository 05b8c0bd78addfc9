"""The audit policy: of which requests how much is recorded.

Rules are asked in their order, the first that matches decides, and what none matches is not recorded. Pure but for
reading the file. Every request of the server is decided here, so decisions are remembered: by what the rules can see of
a request, names and namespaces only if a rule speaks of them.

Source: Kubernetes documentation, "Auditing"; apiserver, audit/policy/checker.go and apis/audit/validation.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from k8slite.config import ConfigError
from k8slite.remembering import Recent

from ..authz.base import Attributes

Stage = Literal["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"]
REQUEST_RECEIVED: Final = "RequestReceived"
RESPONSE_STARTED: Final = "ResponseStarted"
RESPONSE_COMPLETE: Final = "ResponseComplete"
PANIC: Final = "Panic"

_VERSION = "audit.k8s.io/v1"
_GROUP = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_REMEMBERED = 4096
_LONGEST = 512
"""Characters of a path or a name whose decision is kept: clients write them, and the memory is the server's."""
_log = logging.getLogger(__name__)


class Level(IntEnum):
    """How much is recorded; each level holds what those before it do."""

    NONE = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3

    @property
    def label(self) -> str:
        """The level as events and policies name it."""
        return _LABELS[self]


_LABELS = ("None", "Metadata", "Request", "RequestResponse")


@dataclass(frozen=True, slots=True)
class Decision:
    """What is recorded of a request: how much, at which stages not, and whether without `managedFields`."""

    level: Level
    omit_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool = False


def _camel(name: str) -> str:
    return to_camel(name).replace("Urls", "URLs")


class _Model(BaseModel):
    # What is unknown is kept so that it can be told of; Kubernetes too goes on without it.
    model_config = ConfigDict(extra="allow", frozen=True, alias_generator=_camel)


class GroupResources(_Model):
    """Resources of one API group, `*` being all groups; without `resources`, all of the group's."""

    group: str = ""
    resources: list[str] | None = None
    resource_names: list[str] | None = None

    def matches(self, attributes: Attributes) -> bool:
        """Whether a request for a resource is for one of these."""
        if self.group not in (attributes.group, "*"):
            return False
        if not self.resources:
            return True
        if self.resource_names and attributes.name not in self.resource_names:
            return False
        resource, subresource = attributes.resource, attributes.subresource
        wanted = {"*", f"{resource}/*", f"{resource}/{subresource}" if subresource else resource}
        if subresource:
            wanted.add(f"*/{subresource}")
        return not wanted.isdisjoint(self.resources)


class Rule(_Model):
    """One rule: what is empty matches everything."""

    level: Literal["None", "Metadata", "Request", "RequestResponse"]
    users: list[str] | None = None
    user_groups: list[str] | None = None
    verbs: list[str] | None = None
    resources: list[GroupResources] | None = None
    namespaces: list[str] | None = None
    non_resource_urls: list[str] | None = None
    omit_stages: list[Stage] | None = None
    omit_managed_fields: bool | None = None

    def matches(self, attributes: Attributes) -> bool:
        """Whether the rule speaks of a request. A user without a name is one that could not be authenticated."""
        user = attributes.user
        if self.users and user.name not in self.users:
            return False
        if self.user_groups and not any(group in self.user_groups for group in user.groups):
            return False
        if self.verbs and attributes.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            if not attributes.is_resource or (self.namespaces and attributes.namespace not in self.namespaces):
                return False
            return not self.resources or any(entry.matches(attributes) for entry in self.resources)
        if self.non_resource_urls:
            if attributes.is_resource:
                return False
            return any(_path_matches(attributes.path, pattern) for pattern in self.non_resource_urls)
        return True


class _File(_Model):
    api_version: str = ""
    kind: str = ""
    metadata: dict[str, Any] | None = None
    rules: list[Rule] | None = None
    omit_stages: list[Stage] | None = None
    omit_managed_fields: bool = False


class Policy:
    """The rules of a policy, and what was decided lately."""

    def __init__(
        self, rules: Iterable[Rule], *, omit_stages: Iterable[str] = (), omit_managed_fields: bool = False
    ) -> None:
        omitted = frozenset(omit_stages)
        self._rules = [
            (rule, _decision(rule, omitted=omitted, omit_managed_fields=omit_managed_fields)) for rule in rules
        ]
        self._otherwise = Decision(Level.NONE, omitted, omit_managed_fields)
        entries = [entry for rule, _ in self._rules for entry in rule.resources or ()]
        self._sees_namespaces = any(rule.namespaces for rule, _ in self._rules)
        self._sees_names = any(entry.resource_names for entry in entries)
        self._known: Recent[tuple[object, ...], Decision] = Recent(_REMEMBERED)

    def decide(self, attributes: Attributes) -> Decision:
        """What is recorded of a request."""
        user = attributes.user
        resource = attributes.resource
        key = (
            user.name,
            user.groups,
            attributes.verb,
            attributes.group,
            resource,
            attributes.subresource,
            attributes.namespace if self._sees_namespaces else "",
            attributes.name if self._sees_names else "",
            "" if resource else attributes.path,
        )
        found = self._known.get(key)
        if found is None:
            found = self.evaluate(attributes)
            if len(attributes.path) <= _LONGEST and len(attributes.name) <= _LONGEST:
                self._known.keep(key, found)
        return found

    def evaluate(self, attributes: Attributes) -> Decision:
        """The same without remembering."""
        for rule, decision in self._rules:
            if rule.matches(attributes):
                return decision
        return self._otherwise


def _decision(rule: Rule, *, omitted: frozenset[str], omit_managed_fields: bool) -> Decision:
    if rule.omit_managed_fields is not None:
        omit_managed_fields = rule.omit_managed_fields
    return Decision(Level(_LABELS.index(rule.level)), omitted.union(rule.omit_stages or ()), omit_managed_fields)


def _path_matches(path: str, pattern: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def load(path: Path) -> Policy:
    """The policy of a file, YAML or JSON. Raises ConfigError; a field that is unknown is only warned of."""
    try:
        return parse(path.read_text(), origin=str(path))
    except OSError as error:
        raise ConfigError(f"audit policy {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"audit policy {path}: {error}") from error


def parse(text: str, *, origin: str) -> Policy:
    """The policy of a text that came from `origin`. Raises ConfigError."""
    try:
        file = _File.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise ConfigError(f"audit policy {origin}: {error}") from error
    except ValidationError as error:
        found = "; ".join(f"{_field(e['loc'])}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"audit policy {origin}: {found}") from error
    except ValueError as error:  # a date that is none, where YAML sees one
        raise ConfigError(f"audit policy {origin}: {error}") from error
    problems = _problems(file)
    if problems:
        raise ConfigError(f"audit policy {origin}: {'; '.join(problems)}")
    if unknown := list(_unknown(file)):
        _log.warning("audit policy %s: unknown fields are ignored: %s", origin, ", ".join(unknown))
    return Policy(file.rules or (), omit_stages=file.omit_stages or (), omit_managed_fields=file.omit_managed_fields)


def _problems(file: _File) -> list[str]:
    if file.api_version != _VERSION or file.kind != "Policy":
        return [f"unknown group version field {file.api_version}, Kind={file.kind} in policy"]
    if not file.rules:
        return ["loaded illegal policy with 0 rules"]
    found: list[str] = []
    for index, rule in enumerate(file.rules):
        place = f"rules[{index}]"
        if rule.non_resource_urls and (rule.resources or rule.namespaces):
            found.append(f"{place}.nonResourceURLs: rules cannot apply to both regular resources and non-resource URLs")
        for at, url in enumerate(rule.non_resource_urls or ()):
            if url != "*" and not url.startswith("/"):
                found.append(f"{place}.nonResourceURLs[{at}]: non-resource URL rules must begin with a '/' character")
            if "*" in url[:-1]:
                detail = "non-resource URL wildcards '*' must be the final character of the rule"
                found.append(f"{place}.nonResourceURLs[{at}]: {detail}")
        for entry in rule.resources or ():
            if entry.group not in ("", "*") and not _GROUP.fullmatch(entry.group):
                found.append(f"{place}.resources.group: {entry.group!r} is no name of an API group")
            if entry.resource_names and not entry.resources:
                found.append(f"{place}.resources.resourceNames: using resourceNames requires at least one resource")
    return found


def _unknown(model: _Model, place: str = "") -> Iterable[str]:
    yield from (f"{place}{name}" for name in model.model_extra or ())
    for name in type(model).model_fields:
        value = getattr(model, name)
        for index, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, _Model):
                yield from _unknown(item, f"{place}{name}[{index}].")


def _field(location: Iterable[int | str]) -> str:
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
