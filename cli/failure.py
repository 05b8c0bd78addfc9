"""How the command fails: one clear line on standard error and exit status 1, never a traceback."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterator

import click

from k8slite.errors import ApiError


class Failure(click.ClickException):
    """Something the user can understand and act on."""

    def show(self, file: object = None) -> None:
        """Print the message on standard error."""
        click.echo(f"error: {self.format_message()}", err=True)


def told(error: ApiError) -> str:
    """An error of the API as kubectl words it."""
    reason = f" ({error.reason})" if error.reason else ""
    return f"Error from server{reason}: {error.message}"


class Refusals:
    """What was refused of many objects: told at once, while the others still go.

    with refusals.noted(): ...
    refusals.finish()
    """

    def __init__(self, *, ignored: Collection[str] = ()) -> None:
        """`ignored` are reasons that are no errors here, as `NotFound`."""
        self._ignored = ignored
        self._any = False

    @contextlib.contextmanager
    def noted(self, place: str = "") -> Iterator[None]:
        """Tell of an error in the block, and where in the user's files its object stands."""
        try:
            yield
        except (ApiError, Failure) as error:
            if isinstance(error, ApiError) and error.reason in self._ignored:
                return
            self._any = True
            message = told(error) if isinstance(error, ApiError) else f"error: {error.message}"
            click.echo(f"{place}: {message}" if place else message, err=True)

    def finish(self) -> None:
        """End the command with status 1 if anything was refused."""
        if self._any:
            sys.exit(1)
