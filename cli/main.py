"""The `k8slite` command. Each subcommand's module is imported only when that subcommand runs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping

import click

from k8slite import KUBERNETES_VERSION, __version__
from k8slite.errors import ApiError

from .failure import Failure, told

#: Subcommand -> module and attribute, in the order of the help text.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "up": (".cluster.commands", "up"),
    "status": (".cluster.commands", "show_status"),
    "check": (".cluster.hardening.command", "check"),
    "down": (".cluster.commands", "down"),
    "cluster": (".cluster.commands", "cluster"),
    "simulate": (".simulate", "simulate"),
    "kubeconfig": (".cluster.commands", "show_kubeconfig"),
    "get": (".verbs.get", "get"),
    "describe": (".verbs.describe", "describe"),
    "apply": (".verbs.apply", "apply"),
    "create": (".verbs.create", "create"),
    "delete": (".verbs.delete", "delete"),
    "logs": (".verbs.logs", "logs"),
    "exec": (".verbs.exec", "execute"),
    "scale": (".verbs.scale", "scale"),
    "rollout": (".verbs.rollout", "rollout"),
    "why": (".verbs.why", "why"),
    "apiserver": (".run", "apiserver"),
    "controller-manager": (".run", "controller_manager"),
    "scheduler": (".run", "scheduler"),
    "kubelet": (".run", "kubelet"),
    "simulator": (".run", "simulator"),
    "proxy": (".run", "proxy"),
}


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The subcommands' names."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The subcommand, imported."""
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name]
        command: click.Command = getattr(importlib.import_module(module, __package__), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(f"{__version__} (Kubernetes {KUBERNETES_VERSION})", prog_name="k8slite")
def root() -> None:
    """A container orchestrator that speaks the Kubernetes API."""


def main() -> None:
    """Run the command; an error of the API or of the user ends it with one line and status 1.

    A reader (head, less) that had enough ends it quietly, as click sees to, with status 1 too.
    """
    try:
        root(standalone_mode=False)
    except ApiError as error:
        click.echo(told(error), err=True)
        sys.exit(1)
    except Failure as error:
        error.show()
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except OSError as error:  # the machine refuses: a full disk, a file that is somebody else's
        Failure(str(error)).show()
        sys.exit(1)
