"""Choose cases and sizes, run them one after the other, print their figures."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from .. import cluster, kubeconfig, report
from ..context import Context
from ..kube import Kube, Refused
from . import measure
from .cases import CASES


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.scheduler", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"which of {', '.join(CASES)} (all of them)")
    parser.add_argument("--kubeconfig", type=Path, help="measure this cluster instead of one of our own")
    parser.add_argument("--nodes", default="1000,5000", help="numbers of nodes, comma-separated (1000,5000)")
    parser.add_argument("--pods", type=int, default=10000, help="pods of each case (10000)")
    parser.add_argument("--alone", action="store_true", help="decisions alone, without an API server")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parsed = parser.parse_args()
    parsed.sizes = [int(number) for number in parsed.nodes.split(",")]
    if unknown := [name for name in parsed.cases if name not in CASES]:
        parser.error(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    return parsed


def _alone(options: argparse.Namespace) -> list[report.Figure]:
    from . import alone  # only ours can be measured so: a foreign cluster needs none of it installed

    return [
        alone.run(name, node_count=size, pod_count=options.pods)
        for size in options.sizes
        for name in options.cases or CASES
    ]


async def _through_the_api(options: argparse.Namespace) -> tuple[list[report.Figure], bool]:
    """The figures, and whether every case came to its end."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    figures, complete = [], True
    async with AsyncExitStack() as stack:
        path, groups = options.kubeconfig, {}
        if path is None:
            own = await stack.enter_async_context(cluster.started(simulate=1))
            path = own.kubeconfig
            groups = {name: own.services[name] for name in ("scheduler", "apiserver")}
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        kube = await stack.enter_async_context(Kube(kubeconfig.load(path, Path(directory))))
        for size in options.sizes:
            for name in options.cases or CASES:
                print(f"{name} at {size} nodes …", file=sys.stderr, flush=True)
                context = Context(kube, seconds=0.0, image="", groups=groups)
                try:
                    figure = await measure.run(context, name, node_count=size, pod_count=options.pods)
                except (Refused, RuntimeError, OSError) as error:
                    print(f"{name}: failed: {error}", file=sys.stderr)
                    complete = False
                    continue
                figures.append(figure)
                if not options.json:
                    print(report.table([figure]), file=sys.stderr, flush=True)
    return figures, complete


def main() -> None:
    """Run from the command line."""
    options = _arguments()
    figures, complete = (_alone(options), True) if options.alone else asyncio.run(_through_the_api(options))
    print(report.as_json(figures) if options.json else "\n" + report.table(figures))
    raise SystemExit(not complete)


main()
