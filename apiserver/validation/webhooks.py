"""Rules for webhook configurations, and for what admission policies share with them: rules, match conditions.

Source: Kubernetes' admissionregistration validation; apiserver, util/webhook (ValidateWebhookURL, …Service).
"""

from __future__ import annotations

import base64
import json
import re
import ssl
from typing import Any
from urllib.parse import urlsplit

from k8slite.errors import Cause, invalid_value, required, too_many

from ..admission.cel.declared import Scope
from ..admission.cel.expressions import Compiler
from . import names
from .selectors import label_selector
from .values import choice, distinct, each, needed, optional_choice, spelled

Document = dict[str, Any]

FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
REINVOCATIONS = ("IfNeeded", "Never")
_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
_REVIEWS = ("v1", "v1beta1")
_MOST_CONDITIONS = 64
_URL = "desired format: https://host[/path]"
_PORT = re.compile("(:[0-9]*)?")
_NO_HOST = re.compile(r"[ \\^`{|}]")
_NO_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2}).{0,2}")


def webhook_configuration(obj: Document) -> list[Cause]:
    """What is wrong with a ValidatingWebhookConfiguration or MutatingWebhookConfiguration."""
    hooks = obj.get("webhooks")
    listed = [hook.get("name") for hook in hooks or ()]
    return each(hooks, "webhooks", _webhook) + distinct(listed, "webhooks", "name")


def _webhook(hook: Document, field: str) -> list[Cause]:
    causes = _fully_qualified(hook.get("name") or "", f"{field}.name")
    causes += each(hook.get("rules"), f"{field}.rules", rule)
    causes += optional_choice(hook.get("failurePolicy"), f"{field}.failurePolicy", FAILURE_POLICIES)
    causes += optional_choice(hook.get("matchPolicy"), f"{field}.matchPolicy", MATCH_POLICIES)
    causes += optional_choice(hook.get("reinvocationPolicy"), f"{field}.reinvocationPolicy", REINVOCATIONS)
    effects = hook.get("sideEffects")
    if effects is None:
        causes.append(required(f"{field}.sideEffects", f"must specify one of {', '.join(_SIDE_EFFECTS)}"))
    causes += optional_choice(effects, f"{field}.sideEffects", _SIDE_EFFECTS)
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        detail = "the timeout value must be between 1 and 30 seconds"
        causes.append(invalid_value(f"{field}.timeoutSeconds", seconds, detail))
    for name in ("namespaceSelector", "objectSelector"):
        causes += label_selector(hook.get(name), f"{field}.{name}")
    causes += client_config(hook.get("clientConfig") or {}, f"{field}.clientConfig")
    causes += match_conditions(hook.get("matchConditions"), f"{field}.matchConditions")
    return causes + _review_versions(hook.get("admissionReviewVersions") or [], f"{field}.admissionReviewVersions")


def _fully_qualified(name: str, field: str) -> list[Cause]:
    if not name:
        return [required(field)]
    if problem := names.dns_subdomain(name):
        return [invalid_value(field, name, problem)]
    if name.count(".") < 2:
        detail = "should be a domain with at least three segments separated by dots"
        return [invalid_value(field, name, detail)]
    return []


def client_config(config: Document, field: str) -> list[Cause]:
    """How a webhook is reached: a URL or a Service."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        return [required(field, "exactly one of url or service is required")]
    return _url(url, f"{field}.url") if url is not None else _service(service or {}, f"{field}.service")


def ca_bundle(config: Document, field: str) -> list[Cause]:
    """Whether a bundle, if there is one, holds certificates that can be read."""
    text = config.get("caBundle")
    if not text:
        return []
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=base64.b64decode(text).decode("ascii"))
    except (ssl.SSLError, ValueError):
        detail = "unable to load root certificates: unable to parse bytes as PEM block"
        return [invalid_value(f"{field}.caBundle", text, detail)]
    return []


def _url(url: str, field: str) -> list[Cause]:
    if problem := _unparsable(url):
        return [required(field, f"url must be a valid URL: parse {json.dumps(url)}: {problem}; {_URL}")]
    parts, found = urlsplit(url), []
    if parts.scheme != "https":
        found.append((parts.scheme, f"'https' is the only allowed URL scheme; {_URL}"))
    if not parts.netloc:
        found.append((parts.netloc, f"host must be specified; {_URL}"))
    if parts.username is not None:
        found.append((parts.netloc.rpartition("@")[0], "user information is not permitted in the URL"))
    if parts.fragment:
        found.append((parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        found.append((parts.query, "query parameters are not permitted in the URL"))
    return [invalid_value(field, value, detail) for value, detail in found]


def _unparsable(url: str) -> str:
    """What Go's parser says of a text that is no URL; empty if it reads it."""
    if any(letter < " " or letter == "\x7f" for letter in url):
        return "net/url: invalid control character in URL"
    try:
        authority = urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return "missing ']' in host"
    end = authority.rfind("]") + 1 if authority.startswith("[") else authority.rfind(":")
    host, port = (authority[:end], authority[end:]) if end > 0 else (authority, "")
    if not _PORT.fullmatch(port):
        return f"invalid port {json.dumps(port)} after host"
    if wrong := _NO_HOST.search(host):
        return f"invalid character {json.dumps(wrong[0])} in host name"
    if wrong := _NO_ESCAPE.search(url):
        return f"invalid URL escape {json.dumps(wrong[0])}"
    return ""


def _service(service: Document, field: str) -> list[Cause]:
    causes = needed(service.get("name"), f"{field}.name", "service name is required")
    causes += needed(service.get("namespace"), f"{field}.namespace", "service namespace is required")
    port = service.get("port")
    if port is not None and (problem := names.port(port)):
        causes.append(invalid_value(f"{field}.port", port, f"port is not valid: {problem}"))
    path = service.get("path")
    return causes + (_service_path(path, f"{field}.path") if path is not None else [])


def _service_path(path: str, field: str) -> list[Cause]:
    if path in ("/", ""):
        return []
    if path == "//":
        return [invalid_value(field, path, "segment[0] may not be empty")]
    causes = [] if path.startswith("/") else [invalid_value(field, path, "must start with a '/'")]
    steps = path[1:].removesuffix("/").split("/")
    for index, step in enumerate(steps):
        if not step:
            causes.append(invalid_value(field, path, f"segment[{index}] may not be empty"))
        elif problem := names.dns_subdomain(step):
            causes.append(invalid_value(field, path, f"segment[{index}]: {problem}"))
    return causes


def _review_versions(versions: list[str], field: str) -> list[Cause]:
    known = ", ".join(_REVIEWS)
    if not versions:
        return [required(field, f"must specify one of {known}")]
    causes, seen = [], set()
    for index, version in enumerate(versions):
        if version in seen:
            causes.append(invalid_value(f"{field}[{index}]", version, "duplicate version"))
            continue
        seen.add(version)
        causes += spelled(version, f"{field}[{index}]", names.dns_1035_label)
    if not seen & {*_REVIEWS}:
        causes.append(invalid_value(field, versions, f"must include at least one of {known}"))
    return causes


def rule(obj: Document, field: str) -> list[Cause]:
    """What a webhook or policy is about: operations on resources."""
    operations = obj.get("operations") or []
    causes = needed(operations, f"{field}.operations")
    if len(operations) > 1 and "*" in operations:
        detail = "if '*' is present, must not specify other operations"
        causes.append(invalid_value(f"{field}.operations", operations, detail))
    causes += each(operations, f"{field}.operations", lambda word, here: choice(word, here, _OPERATIONS))
    for name, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        words = obj.get(name) or []
        causes += needed(words, f"{field}.{name}")
        if len(words) > 1 and "*" in words:
            detail = f"if '*' is present, must not specify other {what}"
            causes.append(invalid_value(f"{field}.{name}", words, detail))
    causes += each(obj.get("apiVersions"), f"{field}.apiVersions", needed)
    causes += _resources(obj.get("resources") or [], f"{field}.resources")
    return causes + optional_choice(obj.get("scope"), f"{field}.scope", _SCOPES)


def _resources(resources: list[str], field: str) -> list[Cause]:
    causes = needed(resources, field)
    whole: set[str] = set()
    below: set[str] = set()
    for index, text in enumerate(resources):
        here = f"{field}[{index}]"
        if not text:
            causes.append(required(here))
        resource, slash, sub = text.partition("/")
        if not slash:
            continue
        if resource in whole:
            detail = f"if '{resource}/*' is present, must not specify {text}"
            causes.append(invalid_value(here, text, detail))
        if sub in below:
            causes.append(invalid_value(here, text, f"if '*/{sub}' is present, must not specify {text}"))
        whole |= {resource} if sub == "*" else set()
        below |= {sub} if resource == "*" else set()
    if len(resources) > 1 and "*/*" in resources:
        causes.append(invalid_value(field, resources, "if '*/*' is present, must not specify other resources"))
    if "*" in resources and any("/" not in text and text != "*" for text in resources):
        detail = "if '*' is present, must not specify other resources without subresources"
        causes.append(invalid_value(field, resources, detail))
    return causes


def match_conditions(conditions: list[Document] | None, field: str, *, params: bool = False) -> list[Cause]:
    """Named expressions that a request must fulfil; with `params` they may use the parameters of a policy."""
    causes: list[Cause] = []
    compiler = Compiler(Scope(params=params))
    if conditions and len(conditions) > _MOST_CONDITIONS:
        causes.append(too_many(field, len(conditions), _MOST_CONDITIONS))

    def check(condition: Document, here: str) -> list[Cause]:
        expression = condition.get("expression") or ""
        found = needed(expression.strip(), f"{here}.expression")
        if not found and (error := compiler.compile(expression, "bool").error):
            found.append(invalid_value(f"{here}.expression", expression, error))
        name = condition.get("name")
        return found + (spelled(name, f"{here}.name", names.qualified_name) if name else [required(f"{here}.name")])

    causes += each(conditions, field, check)
    return causes + distinct([one.get("name") for one in conditions or ()], field, "name")
