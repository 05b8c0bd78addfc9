"""Docs that cannot rot: every kind, command, option, setting and metric stands in its reference page, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from k8slite import config
from k8slite.catalogue import builtin
from k8slite.cli.main import root
from k8slite.controllers.registry import CONTROLLERS
from k8slite.controllers.replicaset.sync import QUEUES

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference"
COMPONENTS = ("apiserver", "scheduler", "controllers", "kubelet", "proxy", "cli")
HEADINGS = {
    config.ApiServerConfig: "API server",
    config.AuditConfig: "Audit (`audit` of the API server)",
    config.AuditLogConfig: "Audit log (`log` of `audit`)",
    config.AuditWebhookConfig: "Audit webhook (`webhook` of `audit`)",
    config.StoreConfig: "Store (`store` of the API server)",
    config.SchedulerConfig: "Scheduler",
    config.ControllerManagerConfig: "Controller manager",
    config.LeaderElectionConfig: "Leader election (`leaderElection`)",
    config.KubeletConfig: "Kubelet",
    config.SimulatorConfig: "Simulator",
    config.ProxyConfig: "Proxy",
    config.DnsConfig: "DNS (`dns` of the proxy)",
}


def sections(page: str) -> dict[str, str]:
    """A page's text by heading of the second level."""
    parts = re.split(r"^## (.+)$", (REFERENCE / page).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def first_cells(text: str) -> list[str]:
    """What stands in backquotes in the first column of the tables."""
    rows = re.findall(r"^\| (`[^|]+`) \|", text, flags=re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by what the user types."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from commands(child, f"{path} {name}")


COMMANDS = dict(commands(root, "k8slite"))
DOCUMENTED = {re.match(r"`([a-z0-9 -]+[a-z])", heading)[1]: text for heading, text in sections("cli.md").items()}  # type: ignore[index]


def options(command: click.Command) -> set[str]:
    """The long names of a command's options, and the short ones."""
    found = (parameter for parameter in command.params if isinstance(parameter, click.Option))
    return {name for option in found for name in (*option.opts, *option.secondary_opts)}


def test_every_command_is_documented() -> None:
    assert set(DOCUMENTED) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    shared = {"-n", "--namespace", "--kubeconfig", "--context"}
    wanted = options(COMMANDS[name])
    if "--kubeconfig" in wanted:
        wanted -= shared
    assert set(first_cells(DOCUMENTED[name])) == wanted
    introduction = (REFERENCE / "cli.md").read_text().partition("##")[0]
    assert all(f"`{option}`" in introduction for option in shared)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_says_what_it_does(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert [p.name for p in command.params if isinstance(p, click.Option) and not p.help] == []


def test_every_model_of_the_configuration_is_documented() -> None:
    models = {value for value in vars(config).values() if isinstance(value, type) and issubclass(value, config.Config)}
    assert models - {config.Config} == set(HEADINGS)


@pytest.mark.parametrize("model", HEADINGS, ids=lambda model: model.__name__)
def test_every_setting_is_documented(model: type[config.Config]) -> None:
    assert first_cells(sections("configuration.md")[HEADINGS[model]]) == [f.alias for f in model.model_fields.values()]


def test_every_setting_is_read_by_a_program() -> None:
    code = "".join(path.read_text() for path in sources() if path != ROOT / "k8slite" / "config.py")
    settings = {name for model in HEADINGS for name in model.model_fields}
    assert [name for name in sorted(settings) if f".{name}" not in code] == []


def sources() -> list[Path]:
    """Every source file of the package, each once."""
    top = list((ROOT / "k8slite").glob("*.py"))
    return top + [
        path for part in (*COMPONENTS, "k8slite/kinds", "k8slite/schema") for path in (ROOT / part).rglob("*.py")
    ]


def metrics() -> Iterator[str]:
    """The names of all metrics that the sources define."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Name(id=kind), args=[ast.Constant(value=str(name)), ast.Constant(value=str()), *_]
                ):
                    kind = kind.removesuffix("MetricFamily")
                    if kind in ("Counter", "Gauge", "Histogram", "Summary", "Unknown"):
                        yield name.removesuffix("_total") + "_total" if kind == "Counter" else name


def test_every_metric_is_documented() -> None:
    assert sorted(first_cells((REFERENCE / "metrics.md").read_text())) == sorted(metrics())


def queues() -> Iterator[str]:
    """The names of all work queues that controllers make."""
    for path in (ROOT / "controllers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="Controller" | "Guard"), args=[ast.Constant(value=str(name)), *_]):
                    yield name
                case ast.Call(func=ast.Name(id="Controller"), args=[ast.Name(id="COMPONENT"), *_]):
                    found = re.search(r'^COMPONENT = "(.*)"$', path.read_text(), re.MULTILINE)
                    yield found[1] if found else path.name
    yield from QUEUES.values()


def test_every_work_queue_is_documented() -> None:
    text = (REFERENCE / "metrics.md").read_text().partition("## Work queues")[2]
    named = set(re.findall(r"`(\w+)`", text)) - {"name"}
    assert sorted(named, key=str.lower) == sorted(queues(), key=str.lower)


def test_every_kind_is_documented() -> None:
    text = (ROOT / "docs" / "kinds.md").read_text().partition("## Every kind")[2]
    documented = {
        (group.strip(), kind, version)
        for group, kinds in re.findall(r"^\| ([\w.]+) \| (.+) \|$", text, flags=re.MULTILINE)
        for kind, versions in re.findall(r"(\w+) \(([\w, ]+)\)", kinds)
        for version in versions.split(", ")
    }
    assert documented == {(row.group or "core", row.kind, row.version) for row in builtin()}


def test_every_controller_is_told_of() -> None:
    text = (ROOT / "docs" / "controllers.md").read_text()
    assert [name for name in CONTROLLERS if f"`{name}`" not in text] == []
