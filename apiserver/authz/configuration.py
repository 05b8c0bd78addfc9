"""The configuration of authorization: which modes are asked in which order, and of webhooks everything.

Source: Kubernetes documentation, "Authorization: Configuring the API server using an authorization config file";
apiserver, apis/apiserver/{v1,validation}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from k8slite.config import ConfigError
from k8slite.errors import Cause, duplicate, invalid_value, not_supported, required, too_many

from ..cel.values import parse_duration
from ..validation import names

_VERSIONS = frozenset({"apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1"})
_KIND = "AuthorizationConfiguration"
MODES = ("AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook")
_SECOND = 1_000_000_000
_MOST_CONDITIONS = 64
_WEBHOOK_FIELDS = frozenset(
    {
        "authorizedTTL",
        "cacheAuthorizedRequests",
        "unauthorizedTTL",
        "cacheUnauthorizedRequests",
        "timeout",
        "subjectAccessReviewVersion",
        "matchConditionSubjectAccessReviewVersion",
        "failurePolicy",
        "connectionInfo",
        "matchConditions",
    }
)


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """One webhook; times in seconds, a TTL of 0 keeps nothing."""

    name: str
    kubeconfig: Path | None
    """None: as a program in the cluster would find this very cluster."""
    timeout: float
    version: str = "v1"
    denies_on_failure: bool = False
    authorized_ttl: float = 300.0
    unauthorized_ttl: float = 30.0
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthorizerSettings:
    """One authorizer of the chain."""

    mode: str
    webhook: WebhookSettings | None = field(default=None)


def read(path: Path) -> list[AuthorizerSettings]:
    """Read an AuthorizationConfiguration. Raises ConfigError with everything that is wrong."""
    try:
        document: Any = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != _KIND or document.get("apiVersion") not in _VERSIONS:
        raise ConfigError(f"{path}: not an {_KIND} of {' or '.join(sorted(_VERSIONS))}")
    try:
        _known(document, frozenset({"kind", "apiVersion", "authorizers"}), "")
        settings, causes = _authorizers(document.get("authorizers") or [])
    except (TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if causes:
        raise ConfigError(f"{path}: {', '.join(str(cause) for cause in causes)}")
    return settings


def _known(document: Mapping[str, Any], fields: frozenset[str], where: str) -> None:
    if not isinstance(document, dict):
        raise TypeError(f"{where or 'the file'}: must be a mapping")
    if unknown := sorted(document.keys() - fields):
        raise ValueError(f'strict decoding error: unknown field "{where + "." if where else ""}{unknown[0]}"')


def _authorizers(listed: Sequence[Mapping[str, Any]]) -> tuple[list[AuthorizerSettings], list[Cause]]:
    if not listed:
        return [], [required("authorizers", "at least one authorization mode must be defined")]
    found: list[AuthorizerSettings] = []
    causes: list[Cause] = []
    modes: set[str] = set()
    called: set[str] = set()
    for index, entry in enumerate(listed):
        here = f"authorizers[{index}]"
        _known(entry, frozenset({"type", "name", "webhook"}), here)
        mode, name = entry.get("type") or "", entry.get("name") or ""
        if mode not in MODES:
            causes.append(not_supported(f"{here}.type", mode, MODES) if mode else required(f"{here}.type"))
            continue
        if mode in modes and mode != "Webhook":
            causes.append(duplicate(f"{here}.type", mode))
            continue
        modes.add(mode)
        causes += _name(name, f"{here}.name", called)
        called.add(name)
        webhook = entry.get("webhook")
        if mode != "Webhook":
            if webhook is not None:
                causes.append(invalid_value(f"{here}.webhook", "non-null", "may only be specified when type=Webhook"))
            found.append(AuthorizerSettings(mode))
        elif webhook is None:
            causes.append(required(f"{here}.webhook", "required when type=Webhook"))
        else:
            settings, wrong = _webhook(webhook, name, here)
            causes += wrong
            found.append(AuthorizerSettings(mode, settings))
    return found, causes


def _name(name: str, where: str, called: set[str]) -> list[Cause]:
    if not name:
        return [required(where)]
    if name in called:
        return [duplicate(where, name)]
    problem = names.dns_subdomain(name)
    return [invalid_value(where, name, f"authorizer name is invalid: {problem}")] if problem else []


def _webhook(given: Mapping[str, Any], name: str, here: str) -> tuple[WebhookSettings, list[Cause]]:
    _known(given, _WEBHOOK_FIELDS, f"{here}.webhook")
    causes: list[Cause] = []

    def duration(key: str, default: str, *, most: float = 0.0) -> float:
        where, text = f"{here}.{key}", given.get(key) or default
        parsed = parse_duration(text) if text else None
        seconds = parsed.nanos / _SECOND if parsed is not None else 0.0
        if not text:
            causes.append(required(where))
        elif parsed is None:
            causes.append(invalid_value(where, text, "must be a duration"))
        elif seconds <= 0 or (most and seconds > most):
            bound = "must be > 0s" + (f" and <= {most:g}s" if most else "")
            causes.append(invalid_value(where, text, bound))
        return seconds

    def chosen(key: str, allowed: Sequence[str]) -> str:
        value = given.get(key) or ""
        if value not in allowed:
            causes.append(not_supported(f"{here}.{key}", value, allowed) if value else required(f"{here}.{key}"))
        return str(value)

    timeout = duration("timeout", "", most=30)
    authorized, unauthorized = duration("authorizedTTL", "5m"), duration("unauthorizedTTL", "30s")
    version = chosen("subjectAccessReviewVersion", ("v1", "v1beta1"))
    policy = chosen("failurePolicy", ("NoOpinion", "Deny"))
    conditions = given.get("matchConditions") or []
    if given.get("matchConditionSubjectAccessReviewVersion") or conditions:
        chosen("matchConditionSubjectAccessReviewVersion", ("v1",))
    path, wrong = _connection(given.get("connectionInfo") or {}, f"{here}.connectionInfo")
    expressions, wrong_conditions = _conditions(conditions, f"{here}.matchConditions")
    settings = WebhookSettings(
        name,
        path,
        timeout,
        version=version,
        denies_on_failure=policy == "Deny",
        authorized_ttl=authorized if given.get("cacheAuthorizedRequests", True) else 0.0,
        unauthorized_ttl=unauthorized if given.get("cacheUnauthorizedRequests", True) else 0.0,
        conditions=expressions,
    )
    return settings, causes + wrong + wrong_conditions


def _connection(info: Mapping[str, Any], here: str) -> tuple[Path | None, list[Cause]]:
    _known(info, frozenset({"type", "kubeConfigFile"}), here)
    kind, text, where = info.get("type") or "", info.get("kubeConfigFile") or "", f"{here}.kubeConfigFile"
    kinds = ("InClusterConfig", "KubeConfigFile")
    if kind not in kinds:
        return None, [not_supported(f"{here}.type", kind, kinds) if kind else required(f"{here}.type")]
    if kind == "InClusterConfig":
        return None, [invalid_value(where, text, "can only be set when type=KubeConfigFile")] if text else []
    path = Path(text)
    if not text:
        return None, [required(where)]
    if not path.is_absolute():
        return path, [invalid_value(where, text, "must be an absolute path")]
    if not path.is_file():
        return path, [invalid_value(where, text, "must be a regular file")]
    return path, []


def _conditions(listed: Sequence[Mapping[str, Any]], here: str) -> tuple[tuple[str, ...], list[Cause]]:
    if len(listed) > _MOST_CONDITIONS:
        return (), [too_many(here, len(listed), _MOST_CONDITIONS)]
    causes: list[Cause] = []
    expressions: list[str] = []
    for index, condition in enumerate(listed):
        _known(condition, frozenset({"expression"}), f"{here}[{index}]")
        text, where = str(condition.get("expression") or ""), f"{here}[{index}].expression"
        if not text.strip():
            causes.append(required(where))
        elif text in expressions:
            causes.append(duplicate(where, text))
        else:
            expressions.append(text)
            causes += _compiles(text, where)
    return tuple(expressions), causes


def _compiles(text: str, where: str) -> list[Cause]:
    from .conditions import CompileError, compiled

    try:
        compiled(text)
    except CompileError as error:
        return [invalid_value(where, text, str(error))]
    return []
