"""Remembering what was made of texts that clients send, without giving them the server's memory to fill.

`lru_cache` bounds how many answers are kept, not how large they are: four thousand label keys of a megabyte are four
gigabytes. What is asked again and again is short; what is long is worked out anew each time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

LONGEST = 512
"""Characters (or bytes) of a text whose answer is kept."""

_TEXTS = (str, bytes)

Key = TypeVar("Key", bound=Hashable)
Rest = ParamSpec("Rest")
Result = TypeVar("Result")
Function = Callable[Concatenate[Key, Rest], Result]


class Recent(dict[Key, Result]):
    """The last `maxsize` things that were kept, for those who work the key out themselves, and see to its length."""

    def __init__(self, maxsize: int) -> None:
        super().__init__()
        self._maxsize = maxsize

    def keep(self, key: Key, value: Result) -> None:
        """Keep one; the oldest makes room."""
        self[key] = value
        if len(self) > self._maxsize:
            del self[next(iter(self))]


def remembered(maxsize: int) -> Callable[[Function[Key, Rest, Result]], Function[Key, Rest, Result]]:
    """Keep the answers of a pure function for the last `maxsize` keys, its first argument, that are no long texts."""

    def decorate(function: Function[Key, Rest, Result]) -> Function[Key, Rest, Result]:
        known: Function[Key, Rest, Result] = lru_cache(maxsize)(function)

        if function.__code__.co_argcount + function.__code__.co_kwonlyargcount == 1:
            # The usual case, many times in each write.
            lean: Function[Key, Rest, Result] = _of_one(function, known)
            return lean

        @wraps(function)
        def answer(key: Key, /, *rest: Rest.args, **options: Rest.kwargs) -> Result:
            if isinstance(key, _TEXTS) and len(key) > LONGEST:
                return function(key, *rest, **options)
            return known(key, *rest, **options)

        return answer

    return decorate


def _of_one(function: Any, known: Any) -> Any:
    @wraps(function)
    def answer(key: Any, /) -> Any:
        return function(key) if type(key) in _TEXTS and len(key) > LONGEST else known(key)

    return answer
