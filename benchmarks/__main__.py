"""Choose benchmarks, run them one after the other, print their figures."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from . import (
    api_rates,
    cluster,
    controllers,
    idle,
    kubeconfig,
    many,
    ready,
    replicas,
    report,
    scheduling,
    simulate,
    watch_fanout,
)
from .context import Benchmark, Context, Skipped
from .kube import Kube, Refused

BENCHMARKS: dict[str, Benchmark] = {
    "ready": ready.run,
    "idle": idle.run,
    "api": api_rates.run,
    "watch": watch_fanout.run,
    "many": many.run,
    "schedule": scheduling.run,
    "replicas": replicas.run,
    "controllers": controllers.run,
    "simulate": simulate.run,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(BENCHMARKS)} (all of them)")
    parser.add_argument("--kubeconfig", type=Path, help="measure this cluster instead of one of our own")
    parser.add_argument("--simulate", type=int, default=0, metavar="N", help="our own cluster has N simulated nodes")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each rate is measured (5)")
    parser.add_argument("--image", default="", help="what replicas run (registry.k8s.io/pause:3.10, or a local one)")
    parser.add_argument("--pids", default="", help="the control plane's processes, comma-separated, for idle")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parsed = parser.parse_args()
    if unknown := [name for name in parsed.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return parsed


async def _run(options: argparse.Namespace) -> tuple[list[report.Figure], bool]:
    """The figures, and whether every benchmark came to its end."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    figures: list[report.Figure] = []
    complete = True
    async with AsyncExitStack() as stack:
        path, took = options.kubeconfig, 0.0
        groups: Mapping[str, Sequence[int]] = {}
        pids = tuple(int(pid) for pid in options.pids.split(",") if pid)
        image = options.image or "registry.k8s.io/pause:3.10"
        if path is None:
            own = await stack.enter_async_context(cluster.started(simulate=options.simulate))
            path, took, pids, groups = own.kubeconfig, own.ready, pids or own.pids, own.services
            if not options.simulate and not options.image:
                image = cluster.local_image()
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        kube = await stack.enter_async_context(Kube(kubeconfig.load(path, Path(directory))))
        context = Context(
            kube,
            seconds=options.seconds,
            image=image,
            pids=pids,
            ready=took,
            containers=not options.simulate,
            groups=groups,
            kubeconfig=path,
        )
        for name in options.names or BENCHMARKS:
            print(f"{name} …", file=sys.stderr, flush=True)
            try:
                found = await BENCHMARKS[name](context)
            except Skipped as reason:
                print(f"{name}: left out: {reason}", file=sys.stderr)
                continue
            except (Refused, RuntimeError, OSError) as error:
                print(f"{name}: failed: {error}", file=sys.stderr)
                complete = False
                continue
            figures += found
            if not options.json:
                print(report.table(found), file=sys.stderr, flush=True)
    return figures, complete


def main() -> None:
    """Run from the command line."""
    options = _arguments()
    figures, complete = asyncio.run(_run(options))
    print(report.as_json(figures) if options.json else "\n" + report.table(figures))
    raise SystemExit(not complete)


main()
