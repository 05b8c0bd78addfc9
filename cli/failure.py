"""How the command fails: one clear line on standard error and exit status 1, never a traceback."""

from __future__ import annotations

import click


class Failure(click.ClickException):
    """Something the user can understand and act on."""

    def show(self, file: object = None) -> None:
        """Print the message on standard error."""
        click.echo(f"error: {self.format_message()}", err=True)
