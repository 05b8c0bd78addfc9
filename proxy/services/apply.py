"""The only module that runs `nft`, `iptables` and `conntrack`: scripts in, success or an error out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterable

from .flows import StaleFlow

log = logging.getLogger(__name__)


PATIENCE = 60.0
"""Seconds that a command may take; `iptables -w` waits for a lock that others may hold."""


class NftError(Exception):
    """nft refused a transaction; nothing of it took effect."""


async def transact(script: str) -> None:
    """Run a script as one transaction. Raises NftError with nft's first complaint."""
    code, _, errors = await _run("nft", "-f", "-", script=script)
    if code != 0:
        raise NftError(errors.strip().split("\n")[0] or f"nft ended with {code}")


async def table_exists(name: str) -> bool:
    """Whether the table is there; whoever flushes the machine's rules takes it along."""
    code, _, _ = await _run("nft", "-t", "list", "chain", "ip", name, "dispatch")
    return code == 0


async def accept_forwarding(bridge: str) -> None:
    """Let Docker, which drops forwarded packets by default, pass those of the bridge; where it asks to be told so.

    Best effort: a machine without that chain forwards anyway, or has an owner who set it up otherwise.
    """
    for direction, flag in (("iifname", "-i"), ("oifname", "-o")):
        if (rules := await _docker_user_rules()) is not None:
            if not any(_matches(rule, direction, bridge) for rule in rules):
                await _docker_user(f'insert rule ip filter DOCKER-USER {direction} "{bridge}" counter accept\n')
        elif shutil.which("iptables") and (await _run("iptables", "-w", "-n", "-L", "DOCKER-USER"))[0] == 0:
            rule = ("DOCKER-USER", flag, bridge, "-j", "ACCEPT")
            if (await _run("iptables", "-w", "-C", *rule))[0] != 0:
                await _run("iptables", "-w", "-I", *rule)


async def remove_forwarding(bridge: str) -> None:
    """Take back what `accept_forwarding` added."""
    for direction, flag in (("iifname", "-i"), ("oifname", "-o")):
        rules = await _docker_user_rules()
        for rule in rules or ():
            if _matches(rule, direction, bridge):
                await _docker_user(f"delete rule ip filter DOCKER-USER handle {rule['handle']}\n")
        if rules is None and shutil.which("iptables"):
            await _run("iptables", "-w", "-D", "DOCKER-USER", flag, bridge, "-j", "ACCEPT")


async def forget_flows(flows: Iterable[StaleFlow]) -> None:
    """Make the kernel forget datagram flows to endpoints that are gone; their clients would send there for ever."""
    for flow in flows:
        where = ("--orig-dst", flow.address) if flow.address else ()
        await _run("conntrack", "-D", "-p", "udp", *where, "--dport", str(flow.port), "--reply-src", flow.endpoint)


async def _docker_user(script: str) -> None:
    try:
        await transact(script)
    except NftError as error:
        log.warning("chain DOCKER-USER: %s", error)


async def _docker_user_rules() -> list[dict[str, object]] | None:
    """The rules of Docker's chain for users; None if nftables does not have it."""
    code, output, _ = await _run("nft", "-j", "-a", "list", "chain", "ip", "filter", "DOCKER-USER")
    if code != 0:
        return None
    return [item["rule"] for item in json.loads(output)["nftables"] if "rule" in item]


def _matches(rule: dict[str, object], direction: str, bridge: str) -> bool:
    want = {"match": {"op": "==", "left": {"meta": {"key": direction}}, "right": bridge}}
    expressions = rule.get("expr")
    return (
        isinstance(expressions, list)
        and len(expressions) <= 3
        and want in expressions
        and {"accept": None} in expressions
    )


async def _run(*command: str, script: str = "") -> tuple[int, str, str]:
    # The script is handed over as a file: a program that ends before it has read everything breaks no pipe.
    with tempfile.TemporaryFile() as standard_input:
        standard_input.write(script.encode())
        standard_input.seek(0)
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=standard_input, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
        except FileNotFoundError:
            return 127, "", f"{command[0]} is not installed"
    try:
        async with asyncio.timeout(PATIENCE):
            output, errors = await process.communicate()
    except (asyncio.CancelledError, TimeoutError) as error:
        # A transaction is the kernel's in one piece or not at all, so that nothing is left half done.
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            return 124, "", f"{command[0]} took longer than {PATIENCE:.0f} s"
        raise
    return process.returncode or 0, output.decode(), errors.decode()
