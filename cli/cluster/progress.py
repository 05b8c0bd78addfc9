"""Progress of long steps: a spinner on a terminal, a plain line elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

import click


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Show that `text` is under way, then how long it took. A step that fails is marked and its error goes on."""
    began = time.monotonic()
    try:
        with _spinner(text):
            yield
    except BaseException:
        click.echo(f"  {click.style('✗', fg='red')} {text}")
        raise
    click.echo(f"  {click.style('✓', fg='green')} {text} ({time.monotonic() - began:.1f} s)")


@contextlib.contextmanager
def _spinner(text: str) -> Iterator[None]:
    if not sys.stdout.isatty():
        yield
        return
    from rich.console import Console

    with Console().status(f"{text} …"):
        yield
