"""What a container, a pod or a machine has used and uses, as one reading."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """What something has used and uses: processor time in nanoseconds since its start, memory in bytes.

    `at` is the Unix time of the reading. A limit of 0 is none.
    """

    at: float
    cpu: int
    memory: int
    working_set: int
    """Memory that cannot be taken back at once: all but the file pages that nobody has used for some time."""
    rss: int = 0
    page_faults: int = 0
    major_page_faults: int = 0
    memory_limit: int = 0
    swap: int = 0
