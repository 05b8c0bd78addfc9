"""Several effects at once, with no loose ends: a failure is raised when all of them have ended.

After `asyncio.gather` the others would go on behind the failure, and meet their own repetition in the next round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def all_of(*work: Awaitable[T]) -> list[T]:
    """What each gives, in order. Raises the first failure in that order."""
    found = await asyncio.gather(*work, return_exceptions=True)
    results: list[T] = []
    for item in found:
        if isinstance(item, BaseException):
            raise item
        results.append(item)
    return results
