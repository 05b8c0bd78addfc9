"""The sandbox's image, made here from bytes: one static ELF executable, no compiler, no registry.

A sandbox holds namespaces open and does nothing else. Its program is four system calls:

1. `rt_sigprocmask`: block SIGINT and SIGTERM. The kernel drops signals of default disposition that are sent to the
   first process of a PID namespace, except those that are blocked: these stay pending.
2. `rt_sigaction`: ignore SIGCHLD, so that orphans of a shared PID namespace are reaped by the kernel.
3. `rt_sigtimedwait`: sleep until one of the two arrives.
4. `exit_group(0)`.

No signal handler is needed, so there is no stack frame, no restorer and no writable memory.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile

REPOSITORY = "k8slite/sandbox"
_BASE = 0x400000
_HEADERS = 64 + 56
_SIGNALS = 1 << (2 - 1) | 1 << (15 - 1)
# The mask of SIGINT and SIGTERM, then a struct sigaction: SIG_IGN, no flags, no restorer, empty mask.
_DATA = struct.pack("<5Q", _SIGNALS, 1, 0, 0, 0)


class UnsupportedMachine(Exception):
    """No program is known for this machine's instruction set."""


def _x86_64() -> bytes:
    """The program, followed by its data."""

    def call(number: int, first: bytes, second: bytes) -> bytes:
        # mov eax, number; <first>; <second>; xor edx, edx; mov r10d, 8; syscall
        return b"\xb8" + struct.pack("<I", number) + first + second + b"\x31\xd2\x41\xba\x08\x00\x00\x00\x0f\x05"

    def build(size: int) -> bytes:
        code = b""

        def rip(register: bytes, offset: int, before: int) -> bytes:
            # lea register, [rip + distance to the data]; `before` is the number of bytes of this call ahead of it
            end = len(code) + before + 7
            return register + struct.pack("<i", size + offset - end)

        code += call(14, b"\x31\xff", rip(b"\x48\x8d\x35", 0, 7))  # xor edi, edi (SIG_BLOCK); lea rsi, [set]
        code += call(13, b"\xbf\x11\x00\x00\x00", rip(b"\x48\x8d\x35", 8, 10))  # mov edi, SIGCHLD; lea rsi, [action]
        wait = len(code)
        code += call(128, rip(b"\x48\x8d\x3d", 0, 5), b"\x31\xf6")  # lea rdi, [set]; xor esi, esi
        code += b"\x85\xc0\x78"  # test eax, eax; js wait (EINTR)
        code += struct.pack("<b", wait - (len(code) + 1))
        code += b"\xb8\xe7\x00\x00\x00\x31\xff\x0f\x05"  # mov eax, exit_group; xor edi, edi; syscall
        return code

    size = -(-len(build(0)) // 8) * 8
    return build(size).ljust(size, b"\x90") + _DATA


def _aarch64() -> bytes:
    """The program, followed by its data."""
    svc = 0xD4000001

    def movz(register: int, value: int) -> int:
        return 0xD2800000 | value << 5 | register

    def adr(register: int, distance: int) -> int:
        return 0x10000000 | (distance & 3) << 29 | (distance >> 2 & 0x7FFFF) << 5 | register

    def build(size: int) -> list[int]:
        words = [movz(0, 0), adr(1, size - 4), movz(2, 0), movz(3, 8), movz(8, 135), svc]
        words += [movz(0, 17), adr(1, size + 8 - (len(words) + 1) * 4), movz(2, 0), movz(3, 8), movz(8, 134), svc]
        wait = len(words)
        words += [adr(0, size - wait * 4), movz(1, 0), movz(2, 0), movz(3, 8), movz(8, 137), svc]
        words += [0xB7F80000 | ((wait - len(words)) & 0x3FFF) << 5]  # tbnz x0, #63, wait (EINTR)
        words += [movz(0, 0), movz(8, 94), svc]
        return words

    size = -(-len(build(0)) * 4 // 8) * 8
    return struct.pack(f"<{len(build(0))}I", *build(size)).ljust(size, b"\0") + _DATA


# Instruction set as Docker calls it: ELF machine number and program.
_MACHINES = {"x86_64": (62, _x86_64), "amd64": (62, _x86_64), "aarch64": (183, _aarch64), "arm64": (183, _aarch64)}


def executable(machine: str) -> bytes:
    """The static executable for `machine` (`x86_64`, `aarch64`). Raises UnsupportedMachine."""
    if machine not in _MACHINES:
        raise UnsupportedMachine(f"no sandbox program for {machine!r}: known are x86_64 and aarch64")
    number, program = _MACHINES[machine]
    text = program()
    size = _HEADERS + len(text)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = identity + struct.pack("<HHIQQQIHHHHHH", 2, number, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    # One segment, readable and executable, that maps the whole file.
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x10000)
    return header + segment + text


def archive(machine: str) -> bytes:
    """The image's only layer as a tar stream: the same bytes every time."""
    program = executable(machine)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("sandbox")
        entry.size, entry.mode = len(program), 0o755
        tar.addfile(entry, io.BytesIO(program))
    return buffer.getvalue()


def tag(machine: str) -> str:
    """The image's tag: it changes whenever its bytes do."""
    return hashlib.sha256(archive(machine)).hexdigest()[:12]
