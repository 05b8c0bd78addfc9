"""Rules of `flowcontrol.apiserver.k8s.io`: flow schemas and priority levels.

Source: Kubernetes' flowcontrol validation.
"""

from __future__ import annotations

import math
from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, not_supported, required

from . import names
from .values import each, named, needed, positive, spelled

Document = dict[str, Any]

_EXEMPT, _CATCH_ALL = "exempt", "catch-all"
_LOWEST_PRECEDENCE = 10_000
_METHODS = ("ByNamespace", "ByUser")
_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
_VERBS = frozenset({"create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"})
_MOST_QUEUES = 10_000_000
_HASH_BITS = 60
_EVERYTHING: Document = {
    "resourceRules": [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    ],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
}


def _groups(*names: str) -> list[Document]:
    return [{"kind": "Group", "group": {"name": name}} for name in names]


_MANDATORY_SCHEMAS: dict[str, Document] = {
    _EXEMPT: {
        "priorityLevelConfiguration": {"name": _EXEMPT},
        "matchingPrecedence": 1,
        "rules": [{"subjects": _groups("system:masters"), **_EVERYTHING}],
    },
    _CATCH_ALL: {
        "priorityLevelConfiguration": {"name": _CATCH_ALL},
        "matchingPrecedence": _LOWEST_PRECEDENCE,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [{"subjects": _groups("system:unauthenticated", "system:authenticated"), **_EVERYTHING}],
    },
}
"""The schemas between which all requests fall: nobody may make other ones of these names."""
_CATCH_ALL_LEVEL: Document = {
    "type": "Limited",
    "limited": {"nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"}},
}


def flow_schema(obj: Document) -> list[Cause]:
    """What is wrong with a FlowSchema."""
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name") or ""
    precedence, field = spec.get("matchingPrecedence") or 0, "spec.matchingPrecedence"
    causes = positive(precedence, field, "must be a positive value")
    if precedence > _LOWEST_PRECEDENCE:
        causes.append(invalid_value(field, precedence, f"must not be greater than {_LOWEST_PRECEDENCE}"))
    if precedence == 1 and name != _EXEMPT:
        detail = "only the schema named 'exempt' may have matchingPrecedence 1"
        causes.append(invalid_value(field, precedence, detail))
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in _METHODS:
        causes.append(not_supported("spec.distinguisherMethod.type", method.get("type") or "", _METHODS))
    level, here = (spec.get("priorityLevelConfiguration") or {}).get("name"), "spec.priorityLevelConfiguration.name"
    if level:
        causes += spelled(level, here, names.dns_subdomain)
    else:
        causes.append(required(here, "must reference a priority level"))
    causes += each(spec.get("rules"), "spec.rules", _rule)
    if name in _MANDATORY_SCHEMAS and _spoken(spec) != _spoken(_MANDATORY_SCHEMAS[name]):
        causes.append(invalid_value("spec", spec, f"spec of '{name}' must equal the fixed value"))
    return causes


def _spoken(value: Any) -> Any:
    """A value without what is empty or false, which says nothing."""
    if isinstance(value, dict):
        spoken = {key: _spoken(item) for key, item in value.items()}
        return {key: item for key, item in spoken.items() if item not in (None, False, "", [], {})}
    return [_spoken(item) for item in value] if isinstance(value, list) else value


def _rule(rule: Document, field: str) -> list[Cause]:
    subjects, resources, urls = rule.get("subjects"), rule.get("resourceRules"), rule.get("nonResourceRules")
    causes = needed(subjects, f"{field}.subjects", "subjects must contain at least one value")
    causes += each(subjects, f"{field}.subjects", _subject)
    if not resources and not urls:
        causes.append(required(field, "at least one of resourceRules and nonResourceRules has to be non-empty"))
    causes += each(resources, f"{field}.resourceRules", _resource_rule)
    return causes + each(urls, f"{field}.nonResourceRules", _url_rule)


def _subject(subject: Document, field: str) -> list[Cause]:
    kind = subject.get("kind") or ""
    if kind not in _SUBJECTS:
        return [not_supported(f"{field}.kind", kind, tuple(_SUBJECTS))]
    member = _SUBJECTS[kind]
    who, here = subject.get(member), f"{field}.{member}"
    if who is None:
        causes = [required(here, f"{member} is required when subject kind is '{kind}'")]
    elif kind == "ServiceAccount":
        causes = named(who.get("name"), f"{here}.name", _any_or(names.dns_subdomain))
        if namespace := who.get("namespace"):
            causes += spelled(namespace, f"{here}.namespace", names.dns_label)
        else:
            causes.append(required(f"{here}.namespace", "must specify namespace for service account"))
    else:
        causes = needed(who.get("name"), f"{here}.name")
    for other_kind, other in _SUBJECTS.items():
        if other != member and subject.get(other) is not None:
            detail = f"{other} is forbidden when subject kind is not '{other_kind}'"
            causes.append(forbidden_field(f"{field}.{other}", detail))
    return causes


def _any_or(rule: names.Rule) -> names.Rule:
    return lambda value: None if value == "*" else rule(value)


def _wildcard_alone(words: list[str], field: str, what: str) -> list[Cause]:
    if len(words) > 1 and "*" in words:
        return [invalid_value(field, words, f"if '*' is present, must not specify other {what}")]
    return []


def _verbs(verbs: list[str], field: str) -> list[Cause]:
    causes = needed(verbs, field, "verbs must contain at least one value") + _wildcard_alone(verbs, field, "verbs")
    if "*" not in verbs and not _VERBS.issuperset(verbs):
        causes.append(not_supported(field, verbs, tuple(_VERBS)))
    return causes


def _resource_rule(rule: Document, field: str) -> list[Cause]:
    causes = _verbs(rule.get("verbs") or [], f"{field}.verbs")
    for name, one, other in (("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")):
        words, here = rule.get(name) or [], f"{field}.{name}"
        causes += needed(words, here, f"resource rules must supply at least one {one}")
        causes += _wildcard_alone(words, here, other)
    namespaces, here = rule.get("namespaces") or [], f"{field}.namespaces"
    if not namespaces and not rule.get("clusterScope"):
        detail = "resource rules that are not cluster scoped must supply at least one namespace"
        causes.append(required(here, detail))
    causes += _wildcard_alone(namespaces, here, "namespaces")
    if "*" in namespaces:
        return causes
    for index, namespace in enumerate(namespaces):
        if problem := names.dns_label(namespace):
            detail = f"each member of this list must be '*' or a DNS-1123 label; {problem}"
            causes.append(invalid_value(f"{here}[{index}]", namespace, detail))
    return causes


def _url_rule(rule: Document, field: str) -> list[Cause]:
    urls, here = rule.get("nonResourceURLs") or [], f"{field}.nonResourceURLs"
    causes = _verbs(rule.get("verbs") or [], f"{field}.verbs")
    causes += needed(urls, here, "nonResourceURLs must contain at least one value")
    causes += _wildcard_alone(urls, here, "non-resource URLs")
    return causes + (each(urls, here, lambda url, place: spelled(url, place, _url_path)) if "*" not in urls else [])


def _url_path(path: str) -> str | None:
    if not path:
        return "must not be empty"
    if not path.startswith("/"):
        return "must start with slash"
    if " " in path:
        return "must not contain white-space"
    if "//" in path:
        return "must not contain double slash"
    if path.count("*") > 1 or ("*" in path and not path.endswith("/*")):
        return "wildcard can only do suffix matching"
    return None


def priority_level(obj: Document) -> list[Cause]:
    """What is wrong with a PriorityLevelConfiguration."""
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name") or ""
    kind, limited, exempt = spec.get("type") or "", spec.get("limited"), spec.get("exempt")
    causes: list[Cause] = []
    if (name == _EXEMPT) != (kind == "Exempt"):
        detail = "type must be 'Exempt' if and only if name is 'exempt'"
        causes.append(invalid_value("spec.type", kind, detail))
    match kind:
        case "Exempt":
            if limited is not None:
                causes.append(forbidden_field("spec.limited", "must be nil if the type is not Limited"))
            if exempt is not None:
                causes += _shares(exempt, "spec.exempt")
        case "Limited":
            if exempt is not None:
                causes.append(forbidden_field("spec.exempt", "must be nil if the type is Limited"))
            if limited is None:
                causes.append(required("spec.limited", "must not be empty when type is Limited"))
            else:
                causes += _limited(limited, "spec.limited")
        case _:
            causes.append(not_supported("spec.type", kind, ("Exempt", "Limited")))
    if name == _EXEMPT and {key: value for key, value in spec.items() if key != "exempt"} != {"type": "Exempt"}:
        detail = f"spec of '{name}' except the 'spec.exempt' field must equal the fixed value"
        causes.append(invalid_value("spec", spec, detail))
    elif name == _CATCH_ALL and spec != _CATCH_ALL_LEVEL:
        causes.append(invalid_value("spec", spec, f"spec of '{name}' must equal the fixed value"))
    return causes


def _shares(level: Document, field: str) -> list[Cause]:
    shares, lendable = level.get("nominalConcurrencyShares"), level.get("lendablePercent")
    causes = []
    if shares is not None and shares < 0:
        detail = "must be a non-negative integer"
        causes.append(invalid_value(f"{field}.nominalConcurrencyShares", shares, detail))
    if lendable is not None and not 0 <= lendable <= 100:
        detail = "must be between 0 and 100, inclusive"
        causes.append(invalid_value(f"{field}.lendablePercent", lendable, detail))
    return causes


def _limited(limited: Document, field: str) -> list[Cause]:
    response, here = limited.get("limitResponse") or {}, f"{field}.limitResponse"
    kind, queuing = response.get("type") or "", response.get("queuing")
    causes = _shares(limited, field)
    if (borrowing := limited.get("borrowingLimitPercent")) is not None and borrowing < 0:
        detail = "if specified, must be a non-negative integer"
        causes.append(invalid_value(f"{field}.borrowingLimitPercent", borrowing, detail))
    match kind:
        case "Reject" if queuing is not None:
            detail = "must be nil if limited.limitResponse.type is not Limited"
            causes.append(forbidden_field(f"{here}.queuing", detail))
        case "Queue" if queuing is None:
            detail = "must not be empty if limited.limitResponse.type is Limited"
            causes.append(required(f"{here}.queuing", detail))
        case "Queue":
            causes += _queuing(queuing or {}, f"{here}.queuing")
        case "Reject":
            pass
        case _:
            causes.append(not_supported(f"{here}.type", kind, ("Queue", "Reject")))
    return causes


def _queuing(queuing: Document, field: str) -> list[Cause]:
    queues, hand = queuing.get("queues") or 0, queuing.get("handSize") or 0
    causes = positive(queuing.get("queueLengthLimit") or 0, f"{field}.queueLengthLimit", "must be positive")
    causes += positive(queues, f"{field}.queues", "must be positive")
    if queues > _MOST_QUEUES:
        causes.append(invalid_value(f"{field}.queues", queues, f"must not be greater than {_MOST_QUEUES}"))
    here = f"{field}.handSize"
    if hand <= 0 or hand > queues:
        detail = "must be positive" if hand <= 0 else f"should not be greater than queues ({queues})"
        return [*causes, invalid_value(here, hand, detail)]
    # Each card dealt takes as many bits of the hash as it has choices.
    bits = math.ceil(sum(math.log2(queues - dealt) for dealt in range(min(hand, _HASH_BITS + 1))))
    if bits > _HASH_BITS:
        detail = (
            f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {_HASH_BITS}"
        )
        causes.append(invalid_value(here, hand, detail))
    return causes
