"""Docker as the container runtime: the only module that talks to a Docker engine.

The `docker` SDK blocks, so its calls run in a small thread pool of their own. A container's details are asked for once
per state (`ContainerList` has no exit codes or times) and remembered, because a container lives only once.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import platform
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from docker import errors

from k8slite.clock import SystemClock

from . import docker_spec, sandbox_image
from .base import (
    POD_UID_LABEL,
    Container,
    ContainerSpec,
    ExecResult,
    Image,
    ImagePullFault,
    LogOptions,
    NoSuchContainer,
    Output,
    PodState,
    RuntimeEvent,
    RuntimeFault,
    RuntimeUnavailable,
    Sandbox,
    SandboxSpec,
    Session,
    State,
    Version,
    arrange,
)
from .cgroups import Cgroups
from .docker_engine import Connection, Engine, hang_up, kill_process, lowest_oom_score, threaded
from .docker_streams import Frames, Hijacked
from .usage import Usage

_OUTPUT_LIMIT = 10 * 1024
_EVENTS = ["start", "die", "oom", "destroy"]


def _now() -> float:
    return SystemClock().now().timestamp()


class DockerRuntime:
    """ContainerRuntime on a Docker engine. `host` is a Docker URL; empty is the environment's."""

    def __init__(self, *, cluster: str, node: str, host: str = "") -> None:
        self._owner = docker_spec.Owner(cluster, node, lowest_oom_score=lowest_oom_score())
        self._connection = Connection(host)
        self._call = self._connection.call
        self._known: dict[str, tuple[str, Container | Sandbox]] = {}
        self._terminals: dict[str, bool] = {}
        self._cgroups = Cgroups()
        self._sandbox_image = ""

    async def version(self) -> Version:
        """Docker's version and that of the kernel."""
        answer = await self._call(lambda engine: engine.version())
        return Version(
            "docker", answer["Version"], answer.get("Os", "linux"), answer.get("KernelVersion", platform.release())
        )

    async def prepare(self) -> None:
        """Import the sandbox's image, unless it is there."""
        machine = platform.machine()
        tag = sandbox_image.tag(machine)
        reference = f"{sandbox_image.REPOSITORY}:{tag}"
        if await self.image(reference) is None:
            layer = sandbox_image.archive(machine)
            changes = ['ENTRYPOINT ["/sandbox"]']
            await self._call(
                lambda engine: engine.import_image_from_data(
                    layer, repository=sandbox_image.REPOSITORY, tag=tag, changes=changes
                )
            )
        self._sandbox_image = reference

    async def image(self, reference: str) -> Image | None:
        """The image if it is present."""
        try:
            found = await self._call(lambda engine: engine.inspect_image(reference))
        except NoSuchContainer:
            return None
        return Image(found["Id"], (found.get("Config") or {}).get("User") or "", found.get("Size", 0))

    async def pull(self, reference: str, *, auth: Mapping[str, str] | None = None) -> Image:
        """Pull from the registry that the reference names."""

        credentials = dict(auth) if auth else None
        named = "@" in reference or ":" in reference.rpartition("/")[2]
        whole = reference if named else f"{reference}:latest"
        try:
            lines = await self._call(
                lambda engine: engine.pull(whole, stream=True, decode=True, auth_config=credentials)
            )
            # A pull may take minutes: it gets a thread of its own, which nobody waits for at the end.
            async for line in threaded(iter(lines), close=lines.close):
                if "error" in line:
                    raise ImagePullFault(str(line["error"]))
        except RuntimeFault as error:
            if isinstance(error, RuntimeUnavailable | ImagePullFault):
                raise
            raise ImagePullFault(str(error)) from error
        image = await self.image(reference)
        if image is None:
            raise ImagePullFault(f"pulled {reference}, but it is not there")
        return image

    async def create_sandbox(self, spec: SandboxSpec) -> str:
        """Create the sandbox's container."""
        if not self._sandbox_image:
            await self.prepare()
        name = docker_spec.name_of(spec.pod, container=docker_spec.SANDBOX, attempt=spec.attempt)
        config = docker_spec.sandbox_config(spec, owner=self._owner, image=self._sandbox_image)
        try:
            return await self._create(config, name)
        except NoSuchContainer:
            # While no pod used it, `docker image prune` has taken the image away.
            await self.prepare()
            return await self._create({**config, "Image": self._sandbox_image}, name)

    async def _create(self, config: dict[str, Any], name: str) -> str:
        def create(engine: Engine) -> str:
            try:
                return str(engine.create_container_from_config(config, name)["Id"])
            except errors.APIError as error:
                if error.status_code != 409:
                    raise
            # Left over from a create whose answer never came.
            engine.remove_container(name, force=True, v=True)
            return str(engine.create_container_from_config(config, name)["Id"])

        return await self._call(create)

    async def start_sandbox(self, sandbox_id: str) -> int:
        """Start the sandbox and ask for its process id, in one turn of the pool."""

        def start(engine: Engine) -> int:
            engine.start(sandbox_id)
            return int(engine.inspect_container(sandbox_id)["State"]["Pid"])

        return await self._call(start)

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill the sandbox: nothing of the user's runs in it."""
        await self.signal(sandbox_id, "SIGKILL")

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Remove the sandbox's container."""
        await self.remove_container(sandbox_id)

    async def create_container(self, spec: ContainerSpec, *, sandbox_id: str) -> str:
        """Create a container that joins the sandbox."""
        config = docker_spec.container_config(spec, owner=self._owner, sandbox_id=sandbox_id)
        name = docker_spec.name_of(spec.pod, container=spec.name, attempt=spec.attempt)
        return await self._create(config, name)

    async def start_container(self, container_id: str) -> None:
        """Start it."""
        await self._call(lambda engine: engine.start(container_id))

    async def signal(self, container_id: str, signal: str) -> None:
        """Send a signal to the first process."""

        def kill(engine: Engine) -> None:
            try:
                engine.kill(container_id, signal)
            except errors.APIError as error:
                if error.status_code not in (404, 409):
                    raise

        await self._call(kill)

    async def remove_container(self, container_id: str) -> None:
        """Remove it with its anonymous volumes."""

        def remove(engine: Engine) -> None:
            try:
                engine.remove_container(container_id, force=True, v=True)
            except errors.APIError as error:
                # 409: another removal is under way.
                if error.status_code not in (404, 409):
                    raise

        await self._call(remove)
        self._known.pop(container_id, None)
        self._terminals.pop(container_id, None)

    async def list(self, *, pod_uid: str = "") -> dict[str, PodState]:
        """All containers of this node by labels, details from memory where nothing moved."""

        def details(engine: Engine) -> list[Container | Sandbox]:
            wanted = [f"{name}={value}" for name, value in self._owner.labels().items()]
            if pod_uid:
                wanted.append(f"{POD_UID_LABEL}={pod_uid}")
            rows = engine.containers(all=True, filters={"label": wanted})
            if not pod_uid:
                present = {row["Id"] for row in rows}
                # A copy, made in one step: other threads of the pool add to it meanwhile.
                for gone in self._known.copy().keys() - present:
                    self._known.pop(gone, None)
            ours = [row for row in rows if docker_spec.is_ours(row["Labels"])]
            return [item for row in ours if (item := self._details(engine, row)) is not None]

        found = await self._call(details)
        return arrange(
            [item for item in found if isinstance(item, Sandbox)],
            [item for item in found if isinstance(item, Container)],
        )

    def _details(self, engine: Engine, row: Mapping[str, Any]) -> Container | Sandbox | None:
        key, state = row["Id"], row["State"]
        known = self._known.get(key)
        if known is not None and known[0] == state:
            return known[1]
        try:
            inspected = engine.inspect_container(key)
        except errors.NotFound:
            return None
        item: Container | Sandbox
        if docker_spec.is_sandbox(row["Labels"]):
            item = docker_spec.sandbox_of(inspected)
            settled = inspected["State"]["Status"] == state
        else:
            item = docker_spec.container_of(inspected)
            settled = inspected["State"]["Status"] == state and item.state is not State.CREATED
        if settled and state != "created":
            self._known[key] = (state, item)
        return item

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        """Docker's events about this node's containers."""
        labels = [f"{name}={value}" for name, value in self._owner.labels().items()]
        stream = await self._call(
            lambda engine: engine.events(
                decode=True, filters={"type": ["container"], "event": _EVENTS, "label": labels}
            )
        )
        async for event in threaded(iter(stream), close=stream.close):
            actor = event.get("Actor", {})
            attributes = actor.get("Attributes", {})
            # Docker tells of an end before its list shows it; only a fresh inspection is right now.
            self._known.pop(actor.get("ID", ""), None)
            yield RuntimeEvent(attributes.get(POD_UID_LABEL, ""), event.get("Action", ""))

    async def _terminal(self, container_id: str) -> bool:
        if container_id not in self._terminals:
            inspected = await self._call(lambda engine: engine.inspect_container(container_id))
            self._terminals[container_id] = bool(inspected["Config"].get("Tty"))
        return self._terminals[container_id]

    async def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[Output]:
        """A container's log from Docker's json-file driver."""
        tty = await self._terminal(container_id)
        params = {
            "stdout": int(options.stdout),
            "stderr": int(options.stderr and not tty),
            "follow": int(options.follow),
            "timestamps": int(options.timestamps),
            "tail": "all" if options.tail < 0 else str(options.tail),
            "since": f"{options.since:.9f}" if options.since else "0",
        }
        response = await self._call(lambda engine: engine.open_logs(container_id, params))
        frames = Frames(tty=tty)
        async for data in threaded(response.iter_content(chunk_size=None), close=functools.partial(hang_up, response)):
            for item in frames.feed(data):
                yield item

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> Session:
        """Run a command, its streams on one hijacked connection."""
        return (await self._exec(container_id, command, stdin=stdin, stdout=stdout, stderr=stderr, tty=tty))[1]

    async def _exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> tuple[str, Session]:
        def start(engine: Engine) -> tuple[str, Any]:
            made = engine.exec_create(
                container_id, list(command), stdin=stdin, stdout=stdout or tty, stderr=stderr and not tty, tty=tty
            )
            return made["Id"], engine.exec_start(made["Id"], tty=tty, socket=True)

        exec_id, raw = await self._call(start)

        async def resize(width: int, height: int) -> None:
            with contextlib.suppress(RuntimeFault):
                await self._call(lambda engine: engine.exec_resize(exec_id, height=height, width=width))

        async def exit_code() -> int | None:
            # The stream may end a moment before Docker has noted the exit, or long before if the command closed it.
            for turn in itertools.count():
                answer = await self._call(lambda engine: engine.exec_inspect(exec_id))
                if not answer.get("Running") and answer.get("ExitCode") is not None:
                    break
                await asyncio.sleep(0.01 if turn < 100 else 0.25)
            return int(answer["ExitCode"])

        return exec_id, Hijacked(raw, tty=tty, resize=resize, exit_code=exit_code)

    async def exec_sync(self, container_id: str, command: Sequence[str], *, timeout: float) -> ExecResult:
        """Run a command to its end; one that takes too long is killed, where its process can be told for certain."""
        exec_id, session = "", None
        output = b""
        try:
            async with asyncio.timeout(timeout):
                exec_id, session = await self._exec(
                    container_id, command, stdin=False, stdout=True, stderr=True, tty=False
                )
                async for item in session.output():
                    output = (output + item.data)[:_OUTPUT_LIMIT]
                code = await session.exit_code()
        except TimeoutError:
            if exec_id:
                await self._call(lambda engine: kill_process(engine.exec_inspect(exec_id).get("Pid", 0), container_id))
            return ExecResult(-1, output, timed_out=True)
        finally:
            if session is not None:
                await session.close()
        return ExecResult(-1 if code is None else code, output)

    async def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool) -> Session:
        """Join the streams of the container's first process."""
        tty = await self._terminal(container_id)
        params = {"stdin": int(stdin), "stdout": int(stdout), "stderr": int(stderr and not tty), "stream": 1}
        raw = await self._call(lambda engine: engine.attach_socket(container_id, params=params))
        found = await self._call(lambda engine: engine.inspect_container(container_id))
        if not found["State"]["Running"]:
            # The engine would keep a connection to streams that nobody ends any more.
            raw._response.close()
            raise RuntimeFault(f"container {found['Name'].lstrip('/')} is not running")

        async def resize(width: int, height: int) -> None:
            with contextlib.suppress(RuntimeFault):
                await self._call(lambda engine: engine.resize(container_id, height=height, width=width))

        async def exit_code() -> int | None:
            return None

        return Hijacked(raw, tty=tty, resize=resize, exit_code=exit_code)

    async def usage(self, container_ids: Collection[str]) -> Mapping[str, Usage]:
        """Readings of control groups; the engine is asked for the processes of those that no list has shown yet."""
        wanted = tuple(container_ids)

        def pid(engine: Engine, key: str) -> int:
            if (known := self._known.get(key)) is not None and known[1].pid:
                return known[1].pid
            try:
                return int(engine.inspect_container(key)["State"]["Pid"])
            except errors.NotFound:
                return 0

        return await self._call(
            lambda engine: self._cgroups.measure(wanted, pid_of=functools.partial(pid, engine), now=_now)
        )

    async def close(self) -> None:
        """Close the connections; threads that wait on one end with it."""
        await self._connection.close()
