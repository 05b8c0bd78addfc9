"""What a request for logs, exec or attach means: which container, and with which options. Pure.

Source: Kubernetes' registry/core/pod/strategy.go (LogLocation, ExecLocation) and core/validation (PodLogOptions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from k8slite.errors import ApiError, Cause, bad_request, forbidden_field, invalid, invalid_value, not_supported

from ..strategies.base import Document

Query = Mapping[str, Sequence[str]]
"""Query parameters as they came, each with all its values."""

STREAMS = ("stdin", "stdout", "stderr", "tty")
_LOG_STREAMS = ("All", "Stderr", "Stdout")


def container(pod: Document, query: Query) -> str:
    """The container that is meant. Raises ApiError 400 if there is none or more than one to choose from."""
    name, spec = pod["metadata"]["name"], pod.get("spec") or {}
    names = [item["name"] for item in spec.get("containers") or ()]
    init = [item["name"] for item in spec.get("initContainers") or ()]
    ephemeral = [item["name"] for item in spec.get("ephemeralContainers") or ()]
    wanted = first(query, "container")
    if wanted:
        if wanted not in (*names, *init, *ephemeral):
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(names) == 1:
        only: str = names[0]
        return only
    text = f"a container name must be specified for pod {name}"
    if names:
        text += f", choose one of: [{' '.join(names)}]"
    if init:
        text += f" or one of the init containers: [{' '.join(init)}]"
    raise bad_request(text)


def node(pod: Document) -> str:
    """The node that the pod runs on, empty while it has none."""
    name: str = (pod.get("spec") or {}).get("nodeName") or ""
    return name


def exec_query(pod: Document, query: Query, *, command: bool) -> list[tuple[str, str]]:
    """The parameters for the kubelet of exec (`command`) or attach. Raises ApiError 400."""
    name = pod["metadata"]["name"]
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        raise bad_request(f"cannot exec into a container in a completed pod; current phase is {phase}")
    if not node(pod):
        raise bad_request(f"pod {name} does not have a host assigned")
    passed = [(key, "1") for key in STREAMS if boolean(query, key)]
    if not any(key != "tty" for key, _ in passed):
        raise bad_request("you must specify at least 1 of stdin, stdout, stderr")
    if not command:
        return passed
    words = [("command", word) for word in query.get("command", ())]
    if not words:
        raise bad_request("you must specify a command for the container")
    return [*words, *passed]


def forward_query(pod: Document, query: Query) -> list[tuple[str, str]]:
    """The parameters for the kubelet of port forwarding. Raises ApiError 400."""
    if not node(pod):
        raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
    return [("port", text) for text in query.get("ports", ())]


def log_query(pod: Document, query: Query) -> list[tuple[str, str]]:
    """The parameters for the kubelet of a request for logs. Raises ApiError 400 or 422, every fault a cause."""
    causes: list[Cause] = []
    passed = [(key, "true") for key in ("follow", "previous", "timestamps") if boolean(query, key)]
    for key, least, detail in (
        ("tailLines", 0, "must be greater than or equal to 0"),
        ("limitBytes", 1, "must be greater than 0"),
        ("sinceSeconds", 1, "must be greater than 0"),
    ):
        text = first(query, key)
        if not text:
            continue
        number = _integer(key, text)
        if number < least:
            causes.append(invalid_value(key, number, detail))
        passed.append((key, str(number)))
    if stream := first(query, "stream"):
        if stream not in _LOG_STREAMS:
            causes.append(not_supported("stream", stream, _LOG_STREAMS))
        elif stream != "All" and first(query, "tailLines"):
            detail = "`tailLines` and specific `stream` are mutually exclusive for now"
            causes.append(forbidden_field("", detail))
        passed.append(("stream", stream))
    if since := first(query, "sinceTime"):
        try:
            datetime.fromisoformat(since)
        except ValueError:
            raise bad_request(f'sinceTime: cannot read "{since}" as a time') from None
        if first(query, "sinceSeconds"):
            detail = "at most one of `sinceTime` or `sinceSeconds` may be specified"
            causes.append(forbidden_field("", detail))
        passed.append(("sinceTime", since))
    if causes:
        raise invalid("PodLogOptions", pod["metadata"]["name"], causes)
    return passed


def first(query: Query, key: str) -> str:
    """The first value of a parameter, empty if it is absent."""
    values = query.get(key)
    return values[0] if values else ""


def boolean(query: Query, key: str) -> bool:
    """A parameter that is on unless it is absent, `false` or `0`."""
    values = query.get(key)
    return values is not None and values[0].lower() not in ("false", "0")


def _integer(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'{key}: cannot read "{text}" as an integer') from None


def refusal(status: int, body: bytes) -> ApiError:
    """A kubelet's answer that is no success, as the error for the client: its Status, or its text."""
    import orjson

    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if isinstance(document, dict) and document.get("kind") == "Status":
        return ApiError.from_status(status, document)
    text = body.decode("utf-8", "replace").strip() or f"the kubelet answered with status {status}"
    reasons = {400: "BadRequest", 403: "Forbidden", 404: "NotFound", 503: "ServiceUnavailable"}
    return ApiError(status, reasons.get(status, "InternalError"), text)
