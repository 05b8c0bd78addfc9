from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from k8slite.kubelet.runtime.base import LogOptions, NoSuchContainer, Output, State
from k8slite.kubelet.termination import TerminationMessages, make_message_file

from .builders import container, pod, runs


class Runtime:
    def __init__(self, log: bytes | None) -> None:
        self.log = log

    async def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[Output]:
        if self.log is None:
            raise NoSuchContainer(container_id)
        yield Output("stdout", self.log)


async def said(directory: Path, *, written: str = "", log: bytes | None = b"", **main: object) -> str:
    of = pod(main=main)
    ended = container(of, state=State.EXITED, exit_code=1)
    make_message_file(directory, container="main", attempt=0).write_text(written)
    messages = TerminationMessages(Runtime(log))  # type: ignore[arg-type]
    return (await messages.of(of, runs(ended), directory=directory))["main-0"]


async def test_a_message_comes_from_the_file_or_if_asked_for_from_the_log(tmp_path: Path) -> None:
    fallback = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    assert await said(tmp_path, written="why", log=b"log", **fallback) == "why"
    assert await said(tmp_path, log=b"log") == ""
    assert await said(tmp_path, log=b"x" * 9000 + b"end", **fallback) == "x" * 2045 + "end"
    assert await said(tmp_path, log=None, **fallback) == ""
    assert len(await said(tmp_path, written="y" * 9000)) == 4096


async def test_messages_of_removed_containers_are_forgotten(tmp_path: Path) -> None:
    of = pod()
    messages = TerminationMessages(Runtime(b""))  # type: ignore[arg-type]
    for attempt in range(5):
        ended = container(of, state=State.EXITED, attempt=attempt)
        assert (await messages.of(of, runs(ended), directory=tmp_path)).keys() == {f"main-{attempt}"}
    assert sum(len(kept) for kept in messages._read.values()) == 1
    messages.forget("u1")
    assert not messages._read
