"""The answer to a request that is refused because too many others are served or wait.

Source: Kubernetes' apiserver, server/filters/priority-and-fairness.go.
"""

from __future__ import annotations

from k8slite.errors import ApiError

from ..calls import Answer

ANSWER = Answer(b"Too many requests, please try again later.\n", 429, b"text/plain; charset=utf-8")
"""What clients are sent, which is no Status object."""


class Refused(ApiError):
    """429: come again after so many seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            429,
            "TooManyRequests",
            "Too many requests, please try again later.",
            details={"retryAfterSeconds": retry_after},
        )
