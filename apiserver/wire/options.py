"""The query parameters of the resource API, read once per request.

Source: Kubernetes API reference, "Common Parameters" (ListOptions, CreateOptions, UpdateOptions, PatchOptions,
DeleteOptions).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import parse_qsl

from k8slite.errors import (
    Cause,
    bad_request,
    forbidden_field,
    invalid,
    invalid_value,
    not_supported,
    required,
    too_long,
)
from k8slite.remembering import remembered
from k8slite.selectors import (
    EVERYTHING,
    FieldSelector,
    LabelSelector,
    SelectorError,
    parse_field_selector,
    parse_label_selector,
)

Propagation = Literal["", "Background", "Foreground", "Orphan"]
_PROPAGATIONS = ("Foreground", "Background", "Orphan", "nil")
LONGEST_MANAGER = 128
"""Bytes that the name of a field manager may have."""
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_KINDS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}
"""What the parameters of a write are called in answers."""
_META = "meta.k8s.io"
_MATCHES = ("Exact", "NotOlderThan")
_INTEGER = re.compile("[-+]?[0-9]{1,40}")
_DIGITS = 40
"""Digits of a number that are looked at: a longer one is out of range, whatever zeros it begins with."""


@dataclass(frozen=True, slots=True)
class Options:
    """Parsed parameters; `resource_version` is None when absent, "" is as good as absent to most verbs."""

    label_selector: LabelSelector = EVERYTHING
    field_selector: FieldSelector = field(default_factory=FieldSelector)
    limit: int = 0
    continue_token: str = ""
    resource_version: str = ""
    resource_version_match: str = ""
    watch: bool = False
    bookmarks: bool = False
    send_initial_events: bool | None = None
    timeout_seconds: int | None = None
    dry_run: bool = False
    field_validation: str = "Warn"
    field_manager: str = ""
    force: bool = False
    pretty: bool | None = None
    include_object: Literal["None", "Metadata", "Object"] = "Metadata"
    grace_period: int | None = None
    propagation: Propagation = ""
    orphan_dependents: bool | None = None
    """The old way to say Orphan or Background."""
    precondition_uid: str = ""
    precondition_resource_version: str = ""
    query: Mapping[str, list[str]] = field(default_factory=dict)
    """Every parameter as it came, for subresources with parameters of their own. Requests may share it."""


DEFAULT = Options()


def parse(query_string: bytes, method: str) -> Options:
    """Read the query string of a request.

    Raises ApiError: 400 for what cannot be understood, 422 for a value outside its range. Reads do not look at the
    parameters of writes.
    """
    return _parse(query_string, method) if query_string else DEFAULT


@remembered(256)  # clients list, page and patch with the same few parameters
def _parse(query_string: bytes, method: str) -> Options:
    query: dict[str, list[str]] = {}
    try:
        for key, value in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
            query.setdefault(key, []).append(value)
    except ValueError as error:
        raise bad_request(f"cannot read the query: {error}") from error

    def first(key: str) -> str:
        values = query.get(key)
        return values[0] if values else ""

    try:
        labels = parse_label_selector(first("labelSelector"))
        fields = parse_field_selector(first("fieldSelector"))
    except SelectorError as error:
        raise bad_request(str(error)) from error
    orphan, propagation = _boolean(query, "orphanDependents"), first("propagationPolicy")
    _check_write(query, method)
    return Options(
        label_selector=labels,
        field_selector=fields,
        limit=max(_integer(first("limit")) or 0, 0),
        continue_token=first("continue"),
        resource_version=first("resourceVersion"),
        resource_version_match=first("resourceVersionMatch"),
        watch=_boolean(query, "watch") or False,
        bookmarks=_boolean(query, "allowWatchBookmarks") or False,
        send_initial_events=_boolean(query, "sendInitialEvents"),
        timeout_seconds=_integer(first("timeoutSeconds")),
        dry_run="dryRun" in query,
        field_validation=first("fieldValidation") or "Warn",
        field_manager=first("fieldManager"),
        force=_boolean(query, "force") or False,
        pretty=_boolean(query, "pretty") if first("pretty") else None,
        include_object=_include_object(first("includeObject")),
        grace_period=_integer(first("gracePeriodSeconds")),
        propagation=_propagation(propagation, orphan) if method == "DELETE" else "",
        orphan_dependents=orphan,
        query=query,
    )


def _check_write(query: Mapping[str, list[str]], method: str) -> None:
    kind, causes = _KINDS.get(method), []
    if kind is None:
        return
    causes += _dry_run_causes(query.get("dryRun", []))
    validation = query.get("fieldValidation", [""])[0]
    if validation not in _VALIDATIONS and kind != "DeleteOptions":
        causes.append(not_supported("fieldValidation", validation, _VALIDATIONS))
    if causes:
        raise invalid(kind, "", causes, group=_META)


def _dry_run_causes(values: list[str]) -> list[Cause]:
    return [] if all(value == "All" for value in values) else [not_supported("dryRun", values, ["All"])]


def with_delete_body(options: Options, body: Mapping[str, Any]) -> Options:
    """The options of DELETE with those that its body, a valid `DeleteOptions` object, names. Raises ApiError."""
    preconditions = body.get("preconditions") or {}
    dry_run = body.get("dryRun") or []
    if causes := _dry_run_causes(dry_run):
        raise invalid("DeleteOptions", "", causes, group=_META)
    return replace(
        options,
        grace_period=body.get("gracePeriodSeconds", options.grace_period),
        propagation=_propagation(str(body.get("propagationPolicy") or ""), body.get("orphanDependents"))
        or options.propagation,
        orphan_dependents=body.get("orphanDependents", options.orphan_dependents),
        dry_run=options.dry_run or bool(dry_run),
        precondition_uid=preconditions.get("uid") or "",
        precondition_resource_version=preconditions.get("resourceVersion") or "",
    )


def check_list(options: Options, *, watch: bool) -> None:
    """Refuse combinations that make no sense for LIST or WATCH. Raises ApiError 422."""
    causes = _watch_causes(options) if watch else _list_causes(options)
    if causes:
        raise invalid("ListOptions", "", causes, group=_META)


def check_manager(options: Options, kind: str, *, apply: bool = False) -> None:
    """Refuse names of field managers that no entry can hold, and `force` where it means nothing. Raises ApiError 422.

    `kind` is that of the options: CreateOptions, UpdateOptions or PatchOptions.
    """
    name = options.field_manager
    causes: list[Cause] = []
    if apply and not name:
        causes.append(required("fieldManager", "is required for apply patch"))
    if not apply and kind == "PatchOptions" and "force" in options.query:
        causes.append(forbidden_field("force", "may not be specified for non-apply patch"))
    if not name.isascii() or not name.isprintable() or len(name) > LONGEST_MANAGER:
        causes += _manager_causes(name)
    if causes:
        raise invalid(kind, "", causes, group=_META)


def _manager_causes(name: str) -> list[Cause]:
    causes = []
    if len(name.encode()) > LONGEST_MANAGER:
        causes.append(too_long("fieldManager", LONGEST_MANAGER))
    position = 0
    for character in name:
        if not character.isprintable():
            detail = f"invalid character U+{ord(character):04X} (at position {position})"
            causes.append(invalid_value("fieldManager", name, detail))
        position += len(character.encode())
    return causes


def _list_causes(options: Options) -> list[Cause]:
    causes: list[Cause] = []
    match = options.resource_version_match
    if match:
        if not options.resource_version:
            causes.append(_match("resourceVersionMatch is forbidden unless resourceVersion is provided"))
        if options.continue_token:
            causes.append(_match("resourceVersionMatch is forbidden when continue is provided"))
        if match not in _MATCHES:
            causes.append(not_supported("resourceVersionMatch", match, [*_MATCHES, ""]))
        if match == "Exact" and options.resource_version == "0":
            causes.append(_match('resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if options.send_initial_events is not None:
        causes.append(forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return causes


def _watch_causes(options: Options) -> list[Cause]:
    causes: list[Cause] = []
    match, initial = options.resource_version_match, options.send_initial_events is not None
    if initial and match != "NotOlderThan":
        causes.append(_match("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
    if match:
        if not initial:
            causes.append(_match("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
        if match != "NotOlderThan":
            causes.append(not_supported("resourceVersionMatch", match, ["NotOlderThan"]))
        if options.continue_token:
            causes.append(_match("resourceVersionMatch is forbidden when continue is provided"))
    return causes


def _match(detail: str) -> Cause:
    return forbidden_field("resourceVersionMatch", detail)


def revision(text: str) -> int:
    """A resource version as a number, 0 for none. Raises ValueError with what is wrong."""
    if not text:
        return 0
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    if not text.isascii() or not text.isdigit():
        raise ValueError(f'strconv.ParseUint: parsing "{quoted}": invalid syntax')
    if len(text) > _DIGITS or int(text) >= 1 << 64:
        raise ValueError(f'strconv.ParseUint: parsing "{quoted}": value out of range')
    return int(text)


def _include_object(text: str) -> Literal["None", "Metadata", "Object"]:
    match text:
        case "":
            return "Metadata"
        case "None" | "Metadata" | "Object":
            return text
        case _:
            raise bad_request(f"unrecognized includeObject value: {text!r}")


def _integer(text: str) -> int | None:
    if not text:
        return None
    found = _INTEGER.fullmatch(text)
    if found is None or not -(1 << 63) <= int(text) < 1 << 63:
        problem = "value out of range" if found else "invalid syntax"
        raise bad_request(f'strconv.ParseInt: parsing "{text}": {problem}')
    return int(text)


def _boolean(query: Mapping[str, list[str]], name: str) -> bool | None:
    values = query.get(name)
    if values is None:
        return None
    # A parameter without a value is true, as `?watch` is.
    return values[0].lower() not in ("false", "0")


def _propagation(policy: str, orphan: bool | None) -> Propagation:
    match policy:
        case "Background" | "Foreground" | "Orphan":
            if orphan is not None:
                detail = "orphanDependents and deletionPropagation cannot be both set"
                cause = invalid_value("propagationPolicy", policy, detail)
                raise invalid("DeleteOptions", "", [cause], group=_META)
            return policy
        case "":
            if orphan is None:
                return ""
            return "Orphan" if orphan else "Background"
        case _:
            cause = not_supported("propagationPolicy", policy, _PROPAGATIONS, in_order=True)
            raise invalid("DeleteOptions", "", [cause], group=_META)
