"""Options that many verbs share, and the connection that they open."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from .api import Api

_UNITS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "h": 3600.0}


def duration(text: str) -> float:
    """`90`, `90s`, `1m30s` or `2h` as seconds: the type of an option. Raises click.BadParameter."""
    if not re.fullmatch(r"\d+|(\d+(\.\d+)?(ms|s|m|h))+", text):
        raise click.BadParameter(f"{text!r} is no duration as 30s, 5m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)(ms|s|m|h|)", text))


F = TypeVar("F", bound=Callable[..., Any])


def connects(function: Callable[..., None]) -> Callable[..., None]:
    """Add -n, --kubeconfig and --context, and hand the verb an open `Api` as its first argument."""

    @click.option("-n", "--namespace", default="", help="The namespace; default: the kubeconfig's.")
    @click.option("--kubeconfig", type=click.Path(path_type=Path), help="The kubeconfig file.")
    @click.option("--context", default="", help="The context in the kubeconfig.")
    @wraps(function)
    def command(namespace: str, kubeconfig: Path | None, context: str, **arguments: Any) -> None:
        with Api(kubeconfig, context=context, namespace=namespace) as api:
            function(api, **arguments)

    return command


files = click.option(
    "-f", "--filename", "filenames", multiple=True, help="A file, a directory, or - for standard input; repeatable."
)
selector = click.option("-l", "--selector", default="", help="Labels, as app=web,tier!=test.")
