"""Starting and ending the processes that play nodes."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import control, launch
from .api import STRATEGIC, Api, node_path
from .components import check_component
from .configs import PluginConfig, SimulatorConfig
from .credentials import Authority, User, kubeconfig, write_private
from .errors import ApiError, SandboxError
from .faults import Faults
from .instance import Instance, NodeState, State
from .nodes import Kind, Node, node_folder, simulator_folder
from .podstatus import ready_condition
from .podview import annotations_of
from .processes import Launch, Processes
from .waiting import ASK_S, until

#: Seconds for a process to open its endpoint, and for a node to be ready.
OPEN_S = 30.0
READY_S = 60.0

#: A list of all nodes costs the API server about a millisecond a node: ask for long ones less often.
_ASK_PER_NODE_S = 0.003

SIMULATOR = "simulator"


@functools.cache
def no_hollow_nodes() -> str | None:
    """Why this machine can't run hollow nodes: None when it can (as root, or in a user namespace)."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "kubelet")  # what stands beside it goes with the folder as well
        root.mkdir()
        command = [sys.executable, "-I", "-S", launch.__file__, "--kubelet-root", str(root), "--", "true"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if result.returncode == 0 else (result.stderr.strip() or f"status {result.returncode}")


@dataclass(frozen=True, slots=True)
class Players:
    """Starts and ends what plays the nodes of one instance. ``state`` is kept up to date, but not written here."""

    instance: Instance
    processes: Processes
    state: State
    how: Launch

    # -- beginning -----------------------------------------------------------------------------------------------

    async def start(self, nodes: Sequence[NodeState]) -> None:
        """Start these nodes; they are not ready yet when this returns."""
        hollow = [node for node in nodes if node.kind == Kind.HOLLOW]
        if hollow:
            check_component(self.instance.folder / "bin" / "hollow-node")
            authority = Authority.load(self.instance.folder)
            for node in hollow:
                self._start_kubelet(node, authority)
            for node in hollow:
                await self.start_plugin(node)
        simulated = [node for node in nodes if node.kind == Kind.SIMULATED]
        if simulated:
            address = await self._simulator()
            wanted = [{k: getattr(node, k) for k in ("name", "card", "cards", "release")} for node in simulated]
            await control.call(address, "POST", "/nodes", json=wanted, timeout=None)

    def _start_kubelet(self, node: NodeState, authority: Authority) -> None:
        folder = node_folder(self.instance, node.name)
        root = folder / "kubelet"
        root.mkdir(parents=True, exist_ok=True)
        (folder / "runtime.address").unlink(missing_ok=True)
        config = folder / "kubeconfig"
        user = User(pair=authority.client(f"system:node:{node.name}", "system:nodes"))
        write_private(config, kubeconfig(self.state.url, authority.certificate, user))
        command = [
            str(self.instance.folder / "bin" / "hollow-node"),
            f"--name={node.name}",
            f"--kubeconfig={config}",
            f"--address-file={folder / 'runtime.address'}",
        ]
        node.kubelet_pid = self.processes.start(
            f"kubelet-{node.name}", command, Launch(kubelet_root=root, attached=self.how.attached)
        )

    async def start_plugin(self, node: NodeState) -> None:
        """Start the plugin of a hollow node inside the node's mount namespace."""
        folder = node_folder(self.instance, node.name)
        await self._opened(folder / "runtime.address", f"kubelet-{node.name}")
        (folder / "plugin.address").unlink(missing_ok=True)
        config = PluginConfig(
            node=node.name,
            card=node.card,
            cards=node.cards,
            release=node.release,
            kubeconfig=str(self.instance.folder / "plugin.kubeconfig"),
            journal=str(folder / "journal.jsonl"),
            address_file=str(folder / "plugin.address"),
        )
        config.write(folder / "plugin.json")
        command = [sys.executable, "-m", "hami_operator.sandbox.plugin", str(folder / "plugin.json")]
        node.plugin_pid = self.processes.start(
            f"plugin-{node.name}", command, Launch(join=node.kubelet_pid, attached=self.how.attached)
        )

    async def _simulator(self) -> str:
        folder = simulator_folder(self.instance)
        if not folder.exists():
            folder.mkdir()
            config = SimulatorConfig(
                kubeconfig=str(self.instance.kubeconfig),
                journal=str(folder / "journal.jsonl"),
                address_file=str(folder / "address"),
            )
            config.write(folder / "config.json")
            command = [sys.executable, "-m", "hami_operator.sandbox.simulator", str(folder / "config.json")]
            self.processes.start(SIMULATOR, command, self.how)
        return await self._opened(folder / "address", SIMULATOR)

    async def _opened(self, file: Path, process: str) -> str:
        async def look() -> str | None:
            self.processes.check(process)
            return _content(file)

        return await until(f"{process} opens its endpoint", look, OPEN_S)

    async def ready(self, api: Api, nodes: Sequence[Node]) -> None:
        """Wait until these nodes are Ready, untainted, registered, and report all their device ids."""
        missing = {node.name: node for node in nodes}

        async def all_ready() -> bool | None:
            for name in missing:
                self.processes.check(f"kubelet-{name}")
                self.processes.check(f"plugin-{name}")
            if missing:
                for found in (await api.get("/api/v1/nodes"))["items"]:
                    name = found["metadata"]["name"]
                    if name in missing and _is_ready(found, missing[name]):
                        del missing[name]
            return None if missing else True

        every = max(ASK_S, len(nodes) * _ASK_PER_NODE_S)
        await until("all nodes are ready", all_ready, READY_S + 0.1 * len(nodes), every)

    # -- disturbing ----------------------------------------------------------------------------------------------

    async def kill_plugin(self, node: Node) -> None:
        """The plugin is gone at once."""
        if node.kind is Kind.HOLLOW:
            self.processes.end(node.state.plugin_pid)
        else:
            await node.set_faults(Faults(dead=True))

    async def revive_plugin(self, node: Node) -> None:
        """The plugin is there again, without faults. Raises SandboxError when it is running."""
        if node.kind is Kind.SIMULATED:
            await node.well()
            return
        if self.processes.runs(node.state.plugin_pid):
            raise SandboxError(f"the plugin of node {node.name} is running")
        await self.start_plugin(node.state)
        await self._opened(node_folder(self.instance, node.name) / "plugin.address", f"plugin-{node.name}")

    async def power_off(self, node: Node, api: Api) -> None:
        """The machine is gone, and the node is reported as the node controller does when it misses one."""
        if node.kind is Kind.HOLLOW:
            self.processes.end(node.state.plugin_pid)
            self.processes.end(node.state.kubelet_pid)
        else:
            await control.call(await self._simulator(), "POST", f"/nodes/{node.name}/power?state=off")
        condition = {"status": {"conditions": [ready_condition("Unknown", time.time())]}}
        await api.patch(f"{node_path(node.name)}/status", condition, STRATEGIC)

    async def power_on(self, node: Node) -> None:
        """The machine is there again, without faults."""
        if node.kind is Kind.HOLLOW:
            await self.start([node.state])
        else:
            await node.well()
            await control.call(await self._simulator(), "POST", f"/nodes/{node.name}/power?state=on")

    async def remove(self, node: Node, api: Api) -> None:
        """The node is taken out of the cluster; its journal stays for the verdict."""
        if node.kind is Kind.SIMULATED:
            await control.call(await self._simulator(), "DELETE", f"/nodes/{node.name}")
            return
        self.processes.end(node.state.plugin_pid)
        self.processes.end(node.state.kubelet_pid)
        shutil.rmtree(node_folder(self.instance, node.name) / "kubelet")
        try:
            await api.delete(node_path(node.name))
        except ApiError as error:
            if error.status != 404:
                raise


def _content(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.exists() else None


def _is_ready(found: dict[str, Any], node: Node) -> bool:
    status, spec = found["status"], found["spec"]
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))
    tainted = any(taint["key"].startswith("node.kubernetes.io/") for taint in spec.get("taints", ()))
    allocatable = status.get("allocatable", {})
    reported = all(int(allocatable.get(name, 0)) == count for name, count in node.amounts.items())
    return ready and not tainted and reported and node.published <= annotations_of(found).keys()
