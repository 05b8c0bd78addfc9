"""The programs of the suite by name, and how one is run.

Each component offers `main.py` with `async def serve(config) -> None`, which runs until it is cancelled and cleans up
on the way out. This table is the only place that knows them all; it imports them by name, so that no component depends
on another and a command that needs one program does not load the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import config, logs


@dataclass(frozen=True, slots=True)
class Program:
    """A program: the module that holds `serve`, and the model of its configuration file.

    A program that understands other files too names the module whose `read_settings` makes that model of any of them.
    """

    module: str
    model: type[config.Config]
    settings: str = ""

    def read(self, file: Path) -> config.Config:
        """The program's settings. Raises ConfigError."""
        if not self.settings:
            return config.load(self.model, file)
        settings: config.Config = entry(self.settings, "read_settings")(file)
        return settings

    def load(self) -> Callable[[Any], Awaitable[None]]:
        """Import the program's `serve`."""
        serve: Callable[[Any], Awaitable[None]] = importlib.import_module(self.module).serve
        return serve


PROGRAMS = {
    "apiserver": Program("k8slite.apiserver.main", config.ApiServerConfig),
    "controller-manager": Program("k8slite.controllers.main", config.ControllerManagerConfig),
    "scheduler": Program("k8slite.scheduler.main", config.SchedulerConfig, "k8slite.scheduler.settings"),
    "kubelet": Program("k8slite.kubelet.main", config.KubeletConfig),
    "simulator": Program("k8slite.kubelet.simulated.main", config.SimulatorConfig),
    "proxy": Program("k8slite.proxy.main", config.ProxyConfig),
}


def entry(module: str, name: str) -> Any:
    """A function of a component that another program calls without depending on it (setting up, cleaning up)."""
    return getattr(importlib.import_module(module), name)


def load_shared() -> None:
    """Import what the programs that are clients of the API server have in common, for who forks them: it then lies in
    memory once."""
    for name in _SHARED:
        importlib.import_module(name)


_SHARED = ("k8slite.informer", "k8slite.events", "k8slite.kinds.resources", "k8slite.metrics")

#: When to look for garbage in cycles. Caches of many small objects make Python's own thresholds expensive: filling one
#: with 20,000 pods took 84 µs a pod, 62 of them in the collector; so it takes 22. Almost nothing here makes cycles.
COLLECTION = (20_000, 20, 50)


def run(name: str, config_file: Path, **changes: object) -> None:
    """Run a program until SIGTERM or SIGINT; `changes` are settings that count instead of the file's.

    Raises ConfigError before anything starts.
    """
    run_with(name, PROGRAMS[name].read(config_file).model_copy(update=changes))


def run_with(name: str, settings: config.Config) -> None:
    """The same with settings that are at hand."""
    program = PROGRAMS[name]
    logs.configure()
    serve = program.load()
    gc.freeze()
    gc.set_threshold(*COLLECTION)
    try:
        import uvloop
    except ImportError:
        asyncio.run(_until_signalled(serve(settings)))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_signalled(serve(settings)))


async def _until_signalled(work: Awaitable[None]) -> None:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
