"""Rules for CustomResourceDefinitions.

Kubernetes reports what all versions share at the top (`spec.validation`, `spec.subresources` …), where older versions
of its API had it; so do we.

Source: Kubernetes' apiextensions-apiserver, pkg/apis/apiextensions/validation/validation.go.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from k8slite.errors import Cause, duplicate, forbidden_field, invalid_value, required, too_many

from ..custom import fieldpaths
from . import names, openapi_schemas, schema_defaults, structural
from .sequences import repeats
from .values import IMMUTABLE, choice
from .webhooks import ca_bundle, client_config

Document = dict[str, Any]

_COLUMN_TYPES = "boolean,date,integer,number,string"
_COLUMN_FORMATS = "byte,date,date-time,double,float,int32,int64,password"
_MOST_SELECTABLE = 8
_REVIEWS = ("v1", "v1beta1")
_APPROVAL = "api-approved.kubernetes.io"
#: What may stand at a schema's root when the status is a subresource of its own.
_ROOT_WORDS = (
    "Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern "
    "MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields "
    "XValidations"
)
_AT_ROOT = frozenset(word[0].lower() + word[1:] for word in _ROOT_WORDS.split()[:-2]) | {
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
}


def definition(obj: Document) -> list[Cause]:
    """What is wrong with a definition, its schemas and rules included."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    plural, group = (spec.get("names") or {}).get("plural") or "", spec.get("group") or ""
    causes: list[Cause] = []
    if obj["metadata"].get("name") != f"{plural}.{group}":
        detail = 'must be spec.names.plural+"."+spec.group'
        causes.append(invalid_value("metadata.name", obj["metadata"].get("name"), detail))
    causes += _group(group)
    causes += _required_choice(spec.get("scope"), "spec.scope", ("Cluster", "Namespaced"))
    causes += _versions(spec)
    causes += [required(f"spec.names.{name}") for name in _NAMES if not (spec.get("names") or {}).get(name)]
    causes += _names(spec.get("names") or {}, "spec.names")
    causes += _conversion(spec.get("conversion"))
    causes += _names(status.get("acceptedNames") or {}, "status.acceptedNames")
    causes += _stored(status.get("storedVersions") or [], spec.get("versions") or [])
    if spec.get("preserveUnknownFields"):
        detail = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        )
        causes.append(invalid_value("spec.preserveUnknownFields", True, detail))
    return causes


def new_definition(obj: Document) -> list[Cause]:
    """What is asked of new definitions only: groups of the community's need its approval."""
    group = (obj.get("spec") or {}).get("group") or ""
    if not any(group == domain or group.endswith(f".{domain}") for domain in ("k8s.io", "kubernetes.io")):
        return []
    field = f"metadata.annotations[{_APPROVAL}]"
    approval = (obj["metadata"].get("annotations") or {}).get(_APPROVAL) or ""
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    if not approval:
        return [required(field, f'protected groups must have approval annotation "{_APPROVAL}", {see}')]
    try:
        parts = urlsplit(approval)
    except ValueError:
        parts = urlsplit("")
    if approval.startswith("unapproved") or (parts.scheme and parts.netloc):
        return []
    detail = (
        f'protected groups must have approval annotation "{_APPROVAL}" with either a URL or a reason starting with '
    )
    return [invalid_value(field, approval, f'{detail}"unapproved", {see}')]


def changed_definition(obj: Document, old: Document) -> list[Cause]:
    """What may not change: the group and plural ever, the scope and kind once the names are in use.

    What is in use may not lose a bundle that can be read either.
    """
    new_spec, old_spec = obj.get("spec") or {}, old.get("spec") or {}
    fixed = [("group",), ("names", "plural")]
    conditions = (old.get("status") or {}).get("conditions") or ()
    established = any(each.get("type") == "Established" and each.get("status") == "True" for each in conditions)
    if established:
        fixed = [("scope",), ("names", "kind"), *fixed]
    causes = [
        invalid_value(f"spec.{'.'.join(path)}", _at(new_spec, path), IMMUTABLE)
        for path in fixed
        if _at(new_spec, path) != _at(old_spec, path)
    ]
    if established and not _bundle(old_spec):
        causes += _bundle(new_spec)
    return causes


def _bundle(spec: Document) -> list[Cause]:
    config = _at(spec, ("conversion", "webhook", "clientConfig")) or {}
    return ca_bundle(config, "spec.conversion.webhookClientConfig")


def _at(document: Document, path: tuple[str, ...]) -> Any:
    value: Any = document
    for name in path:
        value = (value or {}).get(name)
    return value


def _group(group: str) -> list[Cause]:
    if not group:
        return [required("spec.group")]
    if problem := names.dns_subdomain(group):
        return [invalid_value("spec.group", group, problem)]
    if "." not in group:
        return [invalid_value("spec.group", group, "should be a domain with at least one dot")]
    return []


def _required_choice(value: str | None, field: str, allowed: tuple[str, ...]) -> list[Cause]:
    return choice(value, field, allowed) if value else [required(field)]


_NAMES = ("plural", "singular", "kind", "listKind")


def _names(found: Mapping[str, Any], field: str) -> Iterator[Cause]:
    for name in ("plural", "singular"):
        value = found.get(name)
        if value and (problem := names.dns_1035_label(value)):
            yield invalid_value(f"{field}.{name}", value, problem)
    for name in ("kind", "listKind"):
        value = found.get(name)
        if value and (problem := names.dns_1035_label(value.lower())):
            detail = f"may have mixed case, but should otherwise match: {problem}"
            yield invalid_value(f"{field}.{name}", value, detail)
    for name in ("shortNames", "categories"):
        for index, value in enumerate(found.get(name) or ()):
            if problem := names.dns_1035_label(value):
                yield invalid_value(f"{field}.{name}[{index}]", value, problem)
    if found.get("kind") and found.get("kind") == found.get("listKind"):
        yield invalid_value(f"{field}.listKind", found["listKind"], "kind and listKind may not be the same")


def _versions(spec: Document) -> Iterator[Cause]:
    versions: list[Document] = spec.get("versions") or []
    shared = {word: _shared(versions, word) for word in _SHARED}
    for index, version in enumerate(versions):
        field = f"spec.versions[{index}]"
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            yield required(f"{field}.schema.openAPIV3Schema")
        if problem := names.dns_1035_label(version.get("name") or ""):
            yield invalid_value(f"{field}.name", version.get("name"), problem)
        yield from _deprecation(version, f"{field}.deprecationWarning")
        for word, check in _SHARED.items():
            if not shared[word]:
                yield from check(version, f"{field}.{word}")
    listed = [version.get("name") for version in versions]
    if len(set(listed)) != len(listed):
        yield invalid_value("spec.versions", versions, "must contain unique version names")
    if sum(1 for version in versions if version.get("storage")) != 1:
        yield invalid_value("spec.versions", versions, "must have exactly one version marked as storage version")
    for word, check in _SHARED.items():
        if shared[word]:
            yield from check(versions[0], "spec.validation" if word == "schema" else f"spec.{word}")


def _shared(versions: list[Document], word: str) -> bool:
    """Whether all versions say the same, so that it is reported at the top."""
    return bool(versions) and all(version.get(word) == versions[0].get(word) for version in versions)


def _deprecation(version: Document, field: str) -> Iterator[Cause]:
    warning = version.get("deprecationWarning")
    if warning is None:
        return
    if not version.get("deprecated"):
        yield invalid_value(field, warning, "can only be set for deprecated versions")
        return
    if len(warning.encode()) > 256:
        yield invalid_value(field, warning, "must be <= 256 characters long")
    if not warning:
        yield invalid_value(field, warning, "must not be an empty string")
    for index, letter in enumerate(warning):
        if letter != " " and unicodedata.category(letter)[0] in "CZ":
            at = len(warning[:index].encode())
            detail = f"must only contain printable UTF-8 characters; non-printable character found at index {at}"
            yield invalid_value(field, warning, detail)
            break


def _schema(version: Document, field: str) -> list[Cause]:
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is None:
        return []
    status = (version.get("subresources") or {}).get("status") is not None
    # The same schema comes again with every write of the definition, and its rules take milliseconds to compile.
    return list(_schema_causes(json.dumps(schema), f"{field}.openAPIV3Schema", status=status))


@lru_cache(maxsize=16)
def _schema_causes(raw: str, field: str, *, status: bool) -> tuple[Cause, ...]:
    schema = json.loads(raw)
    causes: list[Cause] = []
    if status:
        causes += _status_root(schema, field)
    if schema.get("nullable"):
        causes.append(forbidden_field(f"{field}.nullable", "nullable cannot be true at the root"))
    found = structural.check(schema, field) or schema_defaults.check(schema, field)
    causes += found
    return (*causes, *openapi_schemas.check(schema, field, rules=not found))


def _status_root(schema: Document, field: str) -> list[Cause]:
    kind = schema.get("type")
    if kind and kind != "object":
        detail = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        return [invalid_value(f"{field}.type", kind, detail)]
    if any(word not in _AT_ROOT for word, value in schema.items() if value not in (None, False, [], {}, "")):
        detail = (
            f"only [{_ROOT_WORDS}] fields are allowed at the root of the schema if the status subresource is enabled"
        )
        return [invalid_value(field, schema, detail)]
    return []


def _subresources(version: Document, field: str) -> Iterator[Cause]:
    scale = (version.get("subresources") or {}).get("scale")
    if scale is None:
        return
    for name, roots in (
        ("specReplicasPath", (".spec.",)),
        ("statusReplicasPath", (".status.",)),
        ("labelSelectorPath", (".spec.", ".status.")),
    ):
        path, place = scale.get(name) or "", f"{field}.scale.{name}"
        if not path:
            if name != "labelSelectorPath":
                yield required(place)
        elif not path.startswith("."):
            yield invalid_value(place, path, "must be a simple json path starting with .")
        elif not path.startswith(roots):
            under = "either .spec or .status" if len(roots) > 1 else roots[0].rstrip(".")
            yield invalid_value(place, path, f"should be a json path under {under}")


def _columns(version: Document, field: str) -> Iterator[Cause]:
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        place = f"{field}[{index}]"
        if not column.get("name"):
            yield required(f"{place}.name")
        kind, form, path = (column.get(name) or "" for name in ("type", "format", "jsonPath"))
        if not kind:
            yield required(f"{place}.type", f"must be one of {_COLUMN_TYPES}")
        elif kind not in _COLUMN_TYPES.split(","):
            yield invalid_value(f"{place}.type", kind, f"must be one of {_COLUMN_TYPES}")
        if form and form not in _COLUMN_FORMATS.split(","):
            yield invalid_value(f"{place}.format", form, f"must be one of {_COLUMN_FORMATS}")
        if not path:
            yield required(f"{place}.JSONPath")
        elif not path.startswith("."):
            yield invalid_value(f"{place}.JSONPath", path, "must be a simple json path starting with .")


def _selectable(version: Document, field: str) -> Iterator[Cause]:
    seen: set[str] = set()
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    for index, selected in enumerate(version.get("selectableFields") or ()):
        place, path = f"{field}[{index}].jsonPath", selected.get("jsonPath") or ""
        if not path:
            yield required(place)
            continue
        try:
            written, found = fieldpaths.resolve(path, schema, brackets=False)
        except ValueError as error:
            yield invalid_value(place, path, f"is an invalid path: {error}")
            continue
        if written.split(".")[0] == "metadata":
            yield invalid_value(place, path, "must not point to fields in metadata")
        if found.get("type") not in ("string", "boolean", "integer"):
            detail = (
                "must point to a field of type string, boolean or integer. Enum string fields and strings with formats "
                "are allowed."
            )
            yield invalid_value(place, path, detail)
        if written in seen:
            yield duplicate(place, path)
        seen.add(written)
    if len(seen) > _MOST_SELECTABLE:
        yield too_many(field, len(seen), _MOST_SELECTABLE)


_SHARED = {
    "schema": _schema,
    "subresources": _subresources,
    "additionalPrinterColumns": _columns,
    "selectableFields": _selectable,
}


def _conversion(conversion: Document | None) -> Iterator[Cause]:
    if conversion is None:
        return
    field, strategy = "spec.conversion", conversion.get("strategy")
    yield from _required_choice(strategy, f"{field}.strategy", ("None", "Webhook"))
    webhook = conversion.get("webhook") or {}
    config, reviews = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    if strategy == "Webhook":
        if config is None:
            yield required(f"{field}.webhookClientConfig", "required when strategy is set to Webhook")
        else:
            yield from client_config(config, f"{field}.webhookClientConfig")
        yield from _reviews(reviews, f"{field}.conversionReviewVersions")
        return
    for name, value in (("webhookClientConfig", config), ("conversionReviewVersions", reviews)):
        if value:
            yield forbidden_field(f"{field}.{name}", "should not be set when strategy is not set to Webhook")


def _reviews(versions: list[str], field: str) -> Iterator[Cause]:
    if not versions:
        yield required(field)
        return
    twice = frozenset(repeats(versions))
    for index, version in enumerate(versions):
        if index in twice:
            yield invalid_value(f"{field}[{index}]", version, "duplicate version")
        elif problem := names.dns_1035_label(version):
            yield invalid_value(f"{field}[{index}]", version, problem)
    if not any(version in _REVIEWS for version in versions):
        yield invalid_value(field, versions, f"must include at least one of {', '.join(_REVIEWS)}")


def _stored(stored: list[str], versions: list[Document]) -> Iterator[Cause]:
    field = "status.storedVersions"
    if not stored:
        yield invalid_value(field, stored, "must have at least one stored version")
        return
    for version in versions:
        if version.get("storage") and version.get("name") not in stored:
            yield invalid_value(field, stored, f"must have the storage version {version.get('name')}")
    known = {version.get("name") for version in versions}
    for index, name in enumerate(stored):
        if name not in known:
            detail = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in "
                f"spec.versions until a storage migration ensures no data remains persisted in {name} and "
                f"removes {name} from "
                "status.storedVersions"
            )
            yield invalid_value(f"{field}[{index}]", name, detail)
