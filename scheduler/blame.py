"""Whose fault it was: which plugin raised, and while it was asked what, read off the traceback.

Nothing is noted while plugins are asked, so that those that work cost nothing.

Source: kube-scheduler's framework for the words.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

#: What a user is told, by the method that was running.
_WORDS = {
    "admits": 'running PreEnqueue plugin "{}"',
    "sort_key": 'running QueueSort plugin "{}"',
    "helps": 'running queueing hint of plugin "{}"',
    "pre_filter": 'running PreFilter plugin "{}"',
    "concerns": 'running "{}" filter plugin',
    "concerns_pod": 'running "{}" filter plugin',
    "filter": 'running "{}" filter plugin',
    "filter_pod": 'running "{}" filter plugin',
    "explain": 'running "{}" filter plugin',
    "explain_pod": 'running "{}" filter plugin',
    "post_filter": 'running PostFilter plugin "{}"',
    "pre_score": 'running PreScore plugin "{}"',
    "score": 'running Score plugins: plugin "{}" failed with',
    "concerned": 'running Score plugins: plugin "{}" failed with',
    "compare": 'running Score plugins: plugin "{}" failed with',
    "reserve": 'running Reserve plugin "{}"',
    "unreserve": 'running Reserve plugin "{}"',
    "permit": 'running Permit plugin "{}"',
    "prepares": 'running PreBind plugin "{}"',
    "pre_bind": 'running PreBind plugin "{}"',
    "bind": 'running Bind plugin "{}"',
    "post_bind": 'running PostBind plugin "{}"',
}


class Complaint(Exception):
    """A failure that is nobody's mistake here, with words of its own."""


def blame(error: BaseException, said: str = "") -> str:
    """What to tell of an exception: the outermost plugin that it came through, and what it says, or `said`."""
    said = said or f"{type(error).__name__}: {error}"
    for frame, _ in traceback.walk_tb(error.__traceback__):
        words = _WORDS.get(frame.f_code.co_name)
        name = getattr(frame.f_locals.get("self"), "name", None)
        if words and isinstance(name, str):
            return f"{words.format(name)}: {said}"
    return said


def told(error: Exception) -> str:
    """The same, and all of it in the log."""
    if isinstance(error, Complaint):
        log.warning("%s", error)
        return str(error)
    message = blame(error)
    log.error("%s", message, exc_info=error)
    return message


@contextmanager
def survived() -> Iterator[None]:
    """Whatever breaks in the block is told in the log, and nothing more comes of it."""
    try:
        yield
    except Exception as error:
        told(error)
