from __future__ import annotations

import platform
import signal
import struct
import subprocess
from pathlib import Path

import pytest

from k8slite.kubelet.runtime import sandbox_image


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no program for this machine")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_waits_and_ends_cleanly_when_told(tmp_path: Path, number: signal.Signals) -> None:
    program = tmp_path / "sandbox"
    program.write_bytes(sandbox_image.executable(platform.machine()))
    program.chmod(0o755)
    with subprocess.Popen([program]) as process:
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGCONT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
        process.send_signal(number)
        assert process.wait(5) == 0


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_both_executables_are_whole(machine: str, number: int) -> None:
    program = sandbox_image.executable(machine)
    assert program[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", program, 18) == (number,)
    assert struct.unpack_from("<Q", program, 64 + 32) == (len(program),)


def test_the_arm_program_is_these_instructions() -> None:
    text = sandbox_image.executable("aarch64")[120:]
    words = struct.unpack_from("<22I", text)
    assert [f"{word:08x}" for word in words[:6]] == [
        "d2800000",  # mov x0, #0
        "100002a1",  # adr x1, .+84: the signals
        "d2800002",  # mov x2, #0
        "d2800103",  # mov x3, #8
        "d28010e8",  # mov x8, #135
        "d4000001",  # svc #0
    ]
    assert f"{words[18]:08x}" == "b7ffff40"  # tbnz x0, #63, .-24


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(sandbox_image.UnsupportedMachine):
        sandbox_image.executable("s390x")


def test_the_tag_is_the_same_every_time() -> None:
    assert sandbox_image.tag("x86_64") == sandbox_image.tag("x86_64") != sandbox_image.tag("aarch64")
