"""Errors as the Kubernetes API words them: a `Status` object with code, reason, message and causes.

The API server raises `ApiError` and writes it to the wire; the client reads it from the wire and raises it again, so
that one `except ApiError as error: if error.reason == "NotFound"` serves on both sides.

Source: Kubernetes API conventions, "Response Status Kind".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason why an object was refused.

    `reason` is Kubernetes' machine word (`FieldValueRequired`, `FieldValueInvalid` …), `message` the human text without
    the field, `field` a path such as `spec.containers[0].name`.
    """

    reason: str
    message: str
    field: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


MOST_CAUSES = 1000
"""A refusal names no more: whoever sends a hundred thousand errors does not read them."""


def required(field: str, detail: str = "") -> Cause:
    """The cause for a field that must be set and is not."""
    return Cause("FieldValueRequired", "Required value" + (f": {detail}" if detail else ""), field)


def invalid_value(field: str, value: object, detail: str) -> Cause:
    """The cause for a value of the right type that breaks a rule."""
    return Cause("FieldValueInvalid", f"Invalid value: {_quoted(value)}: {detail}", field)


def type_invalid(field: str, value: object, detail: str) -> Cause:
    """The cause for a value of the wrong type."""
    return Cause("FieldValueTypeInvalid", f"Invalid value: {_quoted(value)}: {detail}", field)


def not_supported(field: str, value: object, allowed: Sequence[str], *, in_order: bool = False) -> Cause:
    """The cause for a value outside an enumeration, which is told sorted, or in its own order."""
    listed = ", ".join(f'"{item}"' for item in (allowed if in_order else sorted(allowed)))
    return Cause("FieldValueNotSupported", f"Unsupported value: {_quoted(value)}: supported values: {listed}", field)


def not_found_value(field: str, value: object, detail: str = "") -> Cause:
    """The cause for a value that names nothing that is there."""
    return Cause("FieldValueNotFound", f"Not found: {_quoted(value)}" + (f": {detail}" if detail else ""), field)


def duplicate(field: str, value: object) -> Cause:
    """The cause for a value that must be unique in its list."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {_quoted(value)}", field)


def forbidden_field(field: str, detail: str) -> Cause:
    """The cause for a field that may not be set, or not be changed, here."""
    return Cause("FieldValueForbidden", f"Forbidden: {detail}", field)


def too_long(field: str, limit: int) -> Cause:
    """The cause for a string longer than `limit` bytes."""
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", field)


def too_many(field: str, actual: int, limit: int) -> Cause:
    """The cause for a list of more than `limit` items."""
    items = "item" if limit == 1 else "items"
    return Cause("FieldValueTooMany", f"Too many: {actual}: must have at most {limit} {items}", field)


def invalid_field(field: str, detail: str) -> Cause:
    """The cause for a value that breaks a rule and is better not repeated."""
    return Cause("FieldValueInvalid", f"Invalid value: {detail}", field)


def _quoted(value: object) -> str:
    match value:
        case str():
            return in_quotes(value)
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case dict() | list():
            import orjson

            return orjson.dumps(value).decode()
        case _:
            return str(value)


def in_quotes(text: str) -> str:
    """A text as Go's `%q` shows it."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"' if plain.isprintable() else f'"{"".join(_escaped(one) for one in plain)}"'


def _escaped(character: str) -> str:
    """A character as Go's `%q` shows it."""
    if character.isprintable():
        return character
    code = ord(character)
    named = _ESCAPES.get(character)
    return named or (f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


class ApiError(Exception):
    """A request that ended in a `Status` of `Failure`.

    Attributes: `code` (HTTP status), `reason` (machine word, may be empty), `message`, `details` (may be None).
    """

    def __init__(self, code: int, reason: str, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> dict[str, Any]:
        """The `v1.Status` object for the wire."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details:
            status["details"] = dict(self.details)
        status["code"] = self.code
        return status

    @property
    def namespace_goes(self) -> bool:
        """Whether the namespace is being deleted, so that nothing can be made in it any more."""
        return self.has_cause("NamespaceTerminating")

    def has_cause(self, reason: str) -> bool:
        """Whether one of the causes has this machine word."""
        return any(cause.get("reason") == reason for cause in (self.details or {}).get("causes") or ())

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before a retry, if the server named them."""
        seconds = (self.details or {}).get("retryAfterSeconds")
        return float(seconds) if seconds else None

    @classmethod
    def from_status(cls, code: int, status: Mapping[str, Any]) -> ApiError:
        """Read a `Status` object (or anything else that a proxy answered) back into an error."""
        return cls(
            int(status.get("code") or code),
            str(status.get("reason") or ""),
            str(status.get("message") or f"the server answered with status {code}"),
            details=status.get("details"),
        )


class DecodeError(ApiError):
    """400: a document that cannot be read as an object of its kind; `detail` says why."""

    def __init__(self, kind: str, version: str, detail: str, *, given: str = "") -> None:
        what = f'{given or kind} in version "{version}" cannot be handled as a {kind}'
        super().__init__(400, "BadRequest", f"{what}: {detail}")
        self.detail = detail


def _details(resource: str, group: str, name: str) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if resource:
        details["kind"] = resource
    return details


def _qualified(resource: str, group: str) -> str:
    return f"{resource}.{group}" if group else resource


def not_found(resource: str, name: str, *, group: str = "") -> ApiError:
    """404: no such object. `resource` is the plural."""
    message = f'{_qualified(resource, group)} "{name}" not found'
    return ApiError(404, "NotFound", message, details=_details(resource, group, name))


def no_such_path() -> ApiError:
    """404: no such resource or path."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(resource: str, name: str, *, group: str = "", deleting: bool = False) -> ApiError:
    """409: an object of that name is there, or still there and `deleting`."""
    message = f'{_qualified(resource, group)} "{name}" already exists'
    if deleting:
        message = f"object is being deleted: {message}"
    return ApiError(409, "AlreadyExists", message, details=_details(resource, group, name))


def no_unique_name(resource: str, name: str, *, group: str = "") -> ApiError:
    """409: every name that was generated was taken; `name` was the last."""
    why = "already exists, the server was not able to generate a unique name for the object"
    details = {**_details(resource, group, name), "retryAfterSeconds": 1}
    return ApiError(409, "AlreadyExists", f'{_qualified(resource, group)} "{name}" {why}', details=details)


def conflict(resource: str, name: str, detail: str = "", *, group: str = "") -> ApiError:
    """409: the object changed since it was read, or a precondition failed."""
    detail = detail or ("the object has been modified; please apply your changes to the latest version and try again")
    message = f'Operation cannot be fulfilled on {_qualified(resource, group)} "{name}": {detail}'
    return ApiError(409, "Conflict", message, details=_details(resource, group, name))


def invalid(kind: str, name: str, causes: Sequence[Cause], *, group: str = "") -> ApiError:
    """422: the object breaks rules; every one of them is a cause, up to a thousand. `kind` is not the plural."""
    left_out, causes = len(causes) - MOST_CAUSES, causes[:MOST_CAUSES]
    texts = list(dict.fromkeys(str(cause) for cause in causes))
    if left_out > 0:
        texts.append(f"and {left_out} more")
    body = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = _details(kind, group, name)
    details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
    return ApiError(422, "Invalid", f'{_qualified(kind, group)} "{name}" is invalid: {body}', details=details)


def rejected_patch(value: str, detail: str) -> ApiError:
    """422: a patch whose outcome, `value`, cannot be read as an object of its kind."""
    return invalid("", "", [invalid_value("patch", value, detail)])


def bad_request(message: str) -> ApiError:
    """400: the request cannot be understood."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """401: the credentials are missing or wrong."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(resource: str, name: str, detail: str, *, group: str = "") -> ApiError:
    """403: known, but not allowed."""
    subject = f'{_qualified(resource, group)} "{name}"' if name else _qualified(resource, group)
    message = f"{subject} is forbidden: {detail}" if resource else f"forbidden: {detail}"
    return ApiError(403, "Forbidden", message, details=_details(resource, group, name))


def method_not_allowed(resource: str, verb: str, *, group: str = "", detail: str = "") -> ApiError:
    """405: the resource does not know the verb, or not now: `detail` says why."""
    return ApiError(
        405,
        "MethodNotAllowed",
        detail or f'{verb} is not supported on resources of kind "{_qualified(resource, group)}"',
        details=_details(resource, group, ""),
    )


def not_acceptable(offered: Sequence[str]) -> ApiError:
    """406: none of the media types that the client accepts can be given."""
    return ApiError(406, "NotAcceptable", "only the following media types are accepted: " + ", ".join(offered))


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """415: the body's media type is not understood."""
    message = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(accepted)
    return ApiError(415, "UnsupportedMediaType", message)


def expired(message: str = "The resourceVersion for the provided list is too old.") -> ApiError:
    """410: the wanted revision is compacted."""
    return ApiError(410, "Expired", message)


def too_old(requested: int, oldest: int) -> ApiError:
    """410: a watch wants changes after `requested`, which are compacted; those after `oldest` are there."""
    return expired(f"too old resource version: {requested} ({oldest})")


def too_large_resource_version(requested: int, current: int) -> ApiError:
    """504: the client asks for a revision that has not been reached."""
    return ApiError(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {requested}, current: {current}",
        details={
            "retryAfterSeconds": 1,
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        },
    )


def request_entity_too_large(detail: str) -> ApiError:
    """413: the body is larger than what is taken."""
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {detail}")


def object_too_large() -> ApiError:
    """500 without a reason: no store takes the object; etcd's own words, which clients may know."""
    return ApiError(500, "", "etcdserver: request is too large")


def wrong_method() -> ApiError:
    """405: the path knows other methods than this one."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, details={})


def too_many_requests(message: str, *, retry_after: int = 1, causes: Sequence[Cause] = ()) -> ApiError:
    """429: refused for now."""
    details: dict[str, Any] = {"retryAfterSeconds": retry_after}
    if causes:
        details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
    return ApiError(429, "TooManyRequests", message, details=details)


def service_unavailable(message: str, *, retry_after: int = 0) -> ApiError:
    """503: the server, or something behind it, is not ready; most clients try again if they are told when."""
    details = {"retryAfterSeconds": retry_after} if retry_after else None
    return ApiError(503, "ServiceUnavailable", message, details=details)


def internal(message: str) -> ApiError:
    """500: a fault of the server."""
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")
