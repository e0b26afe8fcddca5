"""The sandbox as one object: start it, or attach to one that runs; its nodes, accounts, faults and verdict."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from . import accounts, binaries, build
from .api import Api
from .components import ControlPlane
from .credentials import Authority, User, kubeconfig, write_private
from .errors import BadSpec, SandboxError
from .instance import Instance, State
from .journal import Verdict, verdict
from .kubectl import Completed, run
from .nodes import Kind, Node, NodeSpec, Operations, name_nodes, simulator_folder
from .playing import Players, no_hollow_nodes
from .processes import Launch, Processes


@dataclass(frozen=True, slots=True)
class Settings:
    """How a sandbox is started.

    ``parent`` is the folder its own folder is made in (default: the user's state folder). ``attached``: it ends when
    the process that starts it ends, however that ends; else it stays until ``down``. ``also``: components that are to
    be there beside those that run.
    """

    name: str = "default"
    parent: Path | None = None
    scheduler: bool = False
    attached: bool = True
    also: tuple[str, ...] = ()


class Sandbox:
    """A running Kubernetes of one's own. ``async with`` ends it."""

    def __init__(self, instance: Instance, state: State, processes: Processes) -> None:
        self._instance = instance
        self._state = state
        self._processes = processes
        self._players = Players(instance, processes, state, Launch(attached=state.attached))

    # -- life ----------------------------------------------------------------------------------------------------

    @classmethod
    async def start(cls, nodes: Sequence[NodeSpec] = (), settings: Settings | None = None) -> Self:
        """Start a control plane and these nodes; returns when all nodes are ready.

        Raises:
            AlreadyRunning: a sandbox of this name runs.
            SandboxError: hollow nodes were asked for and are impossible here, or a part did not come up; everything
                started so far is ended then.
        """
        settings = settings or Settings()
        _check_hollow(nodes)
        instance = Instance.of(settings.name, settings.parent)
        with instance.locked():
            instance.create()
            try:
                return await cls._start(instance, nodes, settings)
            except BaseException:
                instance.clear()
                raise

    @classmethod
    async def _start(cls, instance: Instance, nodes: Sequence[NodeSpec], settings: Settings) -> Self:
        found = find_components(nodes, settings)
        found.link_into(instance.folder / "bin")
        state = State(
            name=settings.name, binaries=found.origin, created=time.time(), attached=settings.attached, ready=False
        )
        instance.write(state)
        sandbox = cls(instance, state, instance.processes)
        await sandbox._control_plane.start(state)
        if settings.scheduler:
            sandbox._control_plane.start_scheduler(state)
        async with Api(instance.kubeconfig) as api:
            token = await accounts.make_plugin_account(api)
        sandbox._write_kubeconfig(instance.folder / "plugin.kubeconfig", token)
        await sandbox.add(*nodes)
        state.ready = True
        instance.write(state)
        return sandbox

    @classmethod
    def attach(cls, name: str = "default", parent: Path | None = None) -> Self:
        """The running sandbox of this name, whoever started it. Raises NotRunning."""
        instance = Instance.of(name, parent)
        return cls(instance, instance.read(), instance.processes)

    def stop(self) -> None:
        """End it: every process is gone and every file removed when this returns. May be called twice."""
        with self._instance.locked():
            self._processes.end_all()
            self._instance.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- the cluster ---------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Its name."""
        return self._state.name

    @property
    def state(self) -> State:
        """What it is made of."""
        return self._state

    @property
    def folder(self) -> Path:
        """Where all its files are; logs are in ``logs``."""
        return self._instance.folder

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self._instance.kubeconfig

    @property
    def url(self) -> str:
        """The API server, on loopback."""
        return self._state.url

    @property
    def ca_file(self) -> Path:
        """The CA of the API server's certificate, PEM."""
        return self.folder / "ca.crt"

    @property
    def kubectl_path(self) -> Path:
        """The kubectl that belongs to it."""
        return self.folder / "bin" / "kubectl"

    @property
    def kubectl_environment(self) -> dict[str, str]:
        """Ours, with the kubeconfig and a cache of kubectl's own: ports, by which it caches, are used again."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.folder / "kubectl-cache")}

    async def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> Completed:
        """Run kubectl as the administrator. Raises SandboxError, with its words, on failure when ``check`` is set."""
        done = await run(self.kubectl_path, arguments, self.kubectl_environment, stdin)
        if check and done.returncode != 0:
            raise SandboxError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done

    def api(self) -> Api:
        """A small client of the API server as the administrator, to be used with ``async with``."""
        return Api(self.kubeconfig)

    async def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig of a service account with a real token. Raises ApiError when there is no such account."""
        async with self.api() as api:
            token = await accounts.token(api, namespace, name)
        path = self.folder / f"{namespace}.{name}.kubeconfig"
        self._write_kubeconfig(path, token)
        return path

    def user_kubeconfig(self, name: str, *groups: str) -> Path:
        """A kubeconfig of an ordinary user with a client certificate; RBAC decides what it may do."""
        path = self.folder / f"user.{name}.kubeconfig"
        pair = Authority.load(self.folder).client(name, *groups)
        write_private(path, kubeconfig(self.url, self._authority, User(pair=pair)))
        return path

    @property
    def _authority(self) -> str:
        return self.ca_file.read_text(encoding="utf-8")

    def _write_kubeconfig(self, path: Path, token: str) -> None:
        write_private(path, kubeconfig(self.url, self._authority, User(token=token)))

    @property
    def _control_plane(self) -> ControlPlane:
        return ControlPlane(self._instance, self._processes, self.folder / "bin", self._players.how)

    def start_scheduler(self, name: str, config: Path, host: str) -> int:
        """Start one more kube-scheduler by a configuration file, as on a host of this name; its pid."""
        return self._control_plane.start_another_scheduler(name, config, host)

    def spawn(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None, host: str = ""
    ) -> int:
        """Start a companion (operator, webhook) that ends with the sandbox; its pid. Its log is ``logs/NAME.log``.

        ``host``: as on a host of this name (empty: the machine's own).
        """
        return self._processes.start(name, command, replace(self._players.how, host=host), environment)

    def end(self, pid: int) -> None:
        """Kill a companion, as ``kill -9`` would."""
        self._processes.end(pid)

    def ask_to_end(self, pid: int) -> None:
        """Have a companion end in its own way, as the kubelet does."""
        self._processes.ask_to_end(pid)

    def log(self, name: str) -> Path:
        """Where a process writes."""
        return self._processes.log(name)

    # -- nodes ---------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[Node]:
        """All nodes."""
        return [self._handle(state.name) for state in self._state.nodes]

    def node(self, name: str) -> Node:
        """The node of this name. Raises BadSpec, naming those there are."""
        return self._handle(name)

    def _handle(self, name: str) -> Node:
        operations = Operations(self._kill_plugin, self._start_plugin, self._power_off, self._power_on)
        for state in self._state.nodes:
            if state.name == name:
                return Node(state, self._instance, operations)
        known = ", ".join(state.name for state in self._state.nodes) or "none"
        raise BadSpec(f"there is no node {name!r}; there are: {known}")

    async def add(self, *specs: NodeSpec) -> list[Node]:
        """Add nodes; returns when they are ready."""
        _check_hollow(specs)
        made = name_nodes(specs, (node.name for node in self._state.nodes))
        self._state.nodes.extend(made)
        await self._players.start(made)
        self._save()
        nodes = [self._handle(state.name) for state in made]
        await self.ready(*nodes)
        return nodes

    async def ready(self, *nodes: Node) -> None:
        """Wait until these nodes (default: all) are Ready, registered and report all their device ids."""
        async with self.api() as api:
            await self._players.ready(api, nodes or self.nodes)

    async def remove(self, name: str) -> None:
        """Take a node out of the cluster, with its kubelet and plugin."""
        async with self.api() as api:
            await self._players.remove(self._handle(name), api)
        self._state.nodes[:] = [state for state in self._state.nodes if state.name != name]
        self._save()

    async def _kill_plugin(self, name: str) -> None:
        await self._players.kill_plugin(self._handle(name))

    async def _start_plugin(self, name: str) -> None:
        await self._players.revive_plugin(self._handle(name))
        self._save()

    async def _power_off(self, name: str) -> None:
        async with self.api() as api:
            await self._players.power_off(self._handle(name), api)

    async def _power_on(self, name: str) -> None:
        await self._players.power_on(self._handle(name))
        self._save()
        await self.ready(self._handle(name))

    def _save(self) -> None:
        self._instance.write(self._state)

    def verdict(self) -> Verdict:
        """What the plugins' checkers saw since the sandbox began, on nodes taken away as well."""
        journals = [*sorted((self.folder / "nodes").glob("*/journal.jsonl"))]
        journals.append(simulator_folder(self._instance) / "journal.jsonl")
        return verdict([node.name for node in self.nodes], journals)


def find_components(nodes: Sequence[NodeSpec], settings: Settings) -> binaries.Binaries:
    """The components that such a sandbox needs, built if need be (minutes, with progress)."""
    needed = [*binaries.CONTROL_PLANE, *settings.also]
    if settings.scheduler:
        needed.append(binaries.SCHEDULER)
    if any(spec.kind is Kind.HOLLOW for spec in nodes):
        needed.append(binaries.HOLLOW_NODE)
    return binaries.find(needed, build.build)


def _check_hollow(specs: Sequence[NodeSpec]) -> None:
    if any(spec.kind is Kind.HOLLOW for spec in specs) and (why := no_hollow_nodes()) is not None:
        raise SandboxError(f"hollow nodes can't run here, simulated ones can (sim:TYPE:CARDS): {why}")
