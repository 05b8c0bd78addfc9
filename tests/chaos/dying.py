"""A program that kills itself at a named point: `python -m tests.chaos.dying <place> <moment> <count> <program> …`."""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import os
import signal
import sys
from typing import Any


def plant(place: str, moment: str, count: int) -> None:
    """Let the process die by SIGKILL before or after the `count`th call of a function, or a later one that returns."""
    module, _, path = place.partition(":")
    *outer, name = path.split(".")
    owner: Any = functools.reduce(getattr, outer, importlib.import_module(module))
    original = getattr(owner, name)
    calls = itertools.count(1)

    def die(now: str, number: int) -> None:
        if now == moment and number >= count:
            os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(original)
    def function(*args: Any, **options: Any) -> Any:
        number = next(calls)
        die("before", number)
        result = original(*args, **options)
        die("after", number)
        return result

    @functools.wraps(original)
    async def coroutine(*args: Any, **options: Any) -> Any:
        number = next(calls)
        die("before", number)
        result = await original(*args, **options)
        die("after", number)
        return result

    setattr(owner, name, coroutine if inspect.iscoroutinefunction(original) else function)


if __name__ == "__main__":
    plant(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    sys.argv[:4] = ["k8slite"]
    importlib.import_module("k8slite.cli.main").main()
