"""Running one program of the suite in the foreground, for systemd and for containers."""

from __future__ import annotations

from pathlib import Path

import click

from k8slite import programs
from k8slite.config import ConfigError

from .failure import Failure


def _command(name: str) -> click.Command:
    @click.command(name, help=f"Run the {name} in the foreground.")
    @click.option("--config", "file", type=click.Path(path_type=Path), required=True, help="Its configuration (YAML).")
    def run(file: Path, **settings: object) -> None:
        try:
            programs.run(name, file, **{key: value for key, value in settings.items() if value is not None})
        except ConfigError as error:
            raise Failure(str(error)) from error

    return run


def _names(context: click.Context, option: click.Parameter, value: str | None) -> list[str] | None:
    return None if value is None else [name.strip() for name in value.split(",")]


apiserver = _command("apiserver")
controller_manager = click.option(
    "--controllers", callback=_names, help="Which to run, as '*,-cronjob-controller', instead of what the file says."
)(_command("controller-manager"))
scheduler = _command("scheduler")
kubelet = _command("kubelet")
simulator = _command("simulator")
proxy = _command("proxy")
