"""Starting and recognising processes: the few system calls that the supervisor stands on.

Nothing here knows of clusters. Linux only (`/proc`, `prctl`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP)


def fork(work: Callable[[], None], *, log: Path) -> int:
    """Run `work` in a forked child whose output goes to `log`; returns its pid.

    The child shares the parent's imported modules (copy on write), dies with the parent (SIGTERM) and never returns
    into the parent's code.
    """
    parent = os.getpid()
    # A signal between the fork and `_prepare` would run the parent's handlers, and wake the parent, in the child.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        pid = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return pid
    code = 1
    try:
        _prepare(log, parent=parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        work()
        code = 0
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def execute(command: Sequence[str]) -> None:
    """Become another command; to be called inside `fork`."""
    os.execvp(command[0], list(command))


def _prepare(log: Path, *, parent: int) -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # the parent died before prctl took effect
        os._exit(1)
    redirect(log)


def redirect(log: Path) -> None:
    """Send standard output and error to a file of mode 0600, and take input from nowhere."""
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((null, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(out)


def daemonize(work: Callable[[], None], *, log: Path) -> None:
    """Run `work` in a process of its own session that outlives this one; returns at once in the caller.

    A Ctrl-C meanwhile is the caller's, afterwards: one that fell into Python's own hooks around a fork would be lost.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return
    code = 1
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # forgets one that came before the new session
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.chdir("/")
        os.umask(0o077)
        redirect(log)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        work()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def started_at(pid: int) -> int | None:
    """When a process started, in clock ticks since boot: with the pid, its identity. None if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def memory(pid: int) -> int | None:
    """Proportional set size in bytes: shared pages count in parts. None if it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return None
