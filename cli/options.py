"""Options that many verbs share, and the connection that they open."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from .api import Api

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
