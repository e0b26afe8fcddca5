"""Nodes as users ask for them, ``TYPE:CARDS[xNODES]``, and a handle on one that runs."""

from __future__ import annotations

import enum
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hami_operator.core.model import Device

from . import control
from .cards import CardType, card_type, cards_of
from .errors import BadSpec, SandboxError
from .faults import Faults
from .instance import Instance, NodeState
from .plugins import Desk

Json = dict[str, Any]

_SPEC = re.compile(r"(?:(?P<sim>sim):)?(?P<type>[^:]+):(?P<cards>[0-9]+)(?:x(?P<nodes>[0-9]+))?")

MAX_CARDS, MAX_NODES = 64, 2000


class Kind(enum.StrEnum):
    """Who plays the kubelet: its own code and device manager, or a few lines of Python."""

    HOLLOW = "hollow"
    SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """So many equal nodes: card type, cards each, nodes, kind, and the release of HAMi whose plugin they run."""

    type: str
    cards: int = 1
    count: int = 1
    kind: Kind = Kind.HOLLOW
    release: str = "2.7"

    def __post_init__(self) -> None:
        releases = card_type(self.type).habits.releases
        if self.release not in releases:
            raise BadSpec(f"plugin release {self.release!r} is not known; known are {', '.join(releases)}")
        if self.kind is Kind.HOLLOW and not card_type(self.type).habits.hollow:
            raise BadSpec(f"cards of type {self.type} can be had on simulated nodes alone: sim:{self.type}:...")
        for what, value, most in (("cards", self.cards, MAX_CARDS), ("nodes", self.count, MAX_NODES)):
            if not 1 <= value <= most:
                raise BadSpec(f"{what} {value} is not allowed: 1 to {most}")

    @classmethod
    def parse(cls, text: str, kind: Kind = Kind.HOLLOW, release: str = "2.7") -> NodeSpec:
        """Read ``TYPE:CARDS[xNODES]``; ``sim:`` in front makes the nodes simulated. Raises BadSpec."""
        found = _SPEC.fullmatch(text.strip())
        if found is None:
            raise BadSpec(
                f"node {text!r} is not of the form TYPE:CARDS[xNODES], such as a100-80:8x2 (sim:TYPE:... for simulated)"
            )
        try:
            return cls(
                type=found["type"],
                cards=int(found["cards"]),
                count=int(found["nodes"] or 1),
                kind=Kind.SIMULATED if found["sim"] else kind,
                release=release,
            )
        except BadSpec as error:
            raise BadSpec(f"node {text!r}: {error}") from None


def name_nodes(specs: Iterable[NodeSpec], taken: Iterable[str]) -> list[NodeState]:
    """The nodes of these specs, called ``TYPE-0``, ``TYPE-1``, ... with the first numbers that are free."""
    names = set(taken)
    made = []
    for spec in specs:
        number = 0
        for _ in range(spec.count):
            while (name := f"{spec.type}-{number}") in names:
                number += 1
            names.add(name)
            made.append(NodeState(name, spec.type, spec.cards, spec.kind.value, spec.release))
    return made


def node_folder(instance: Instance, name: str) -> Path:
    """Where a hollow node keeps its files."""
    return instance.folder / "nodes" / name


def simulator_folder(instance: Instance) -> Path:
    """Where the simulator keeps its files."""
    return instance.folder / "simulator"


#: Something that is done to the node of this name.
ByName = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Operations:
    """What only the sandbox as a whole can do to a node, by the node's name."""

    kill_plugin: ByName
    start_plugin: ByName
    power_off: ByName
    power_on: ByName


@dataclass(frozen=True, slots=True)
class Node:
    """A node that runs. All faults stay on until ``well``."""

    state: NodeState
    _instance: Instance
    _operations: Operations

    @property
    def name(self) -> str:
        """Its name."""
        return self.state.name

    @property
    def kind(self) -> Kind:
        """Hollow or simulated."""
        return Kind(self.state.kind)

    @property
    def type(self) -> CardType:
        """The type of its cards."""
        return card_type(self.state.card)

    @property
    def cards(self) -> tuple[Device, ...]:
        """Its cards as its plugin registers them when all are well."""
        return cards_of(self.name, self.type, self.state.cards, self.type.habits.releases[self.state.release])

    @property
    def amounts(self) -> Mapping[str, int]:
        """What the kubelet reports of each resource when all cards are well."""
        habits = self.type.habits
        return habits.amounts(habits, self.cards)

    @property
    def published(self) -> frozenset[str]:
        """The annotations by which its plugin tells of the cards."""
        habits = self.type.habits
        return frozenset(habits.publish(Desk(self.name, habits, habits.releases[self.state.release], self.cards)))

    # -- what runs on it -----------------------------------------------------------------------------------------

    async def containers(self) -> list[Json]:
        """Each container with ``Pod`` (namespace/name), ``PodUID``, ``Name``, ``State`` and ``Config``.

        ``Config`` is what the container was created with: ``envs`` (key, value), ``mounts``, ``devices``, ...
        """
        found: list[Json] = await self._runtime("GET", "containers")
        return found

    async def environment(self, pod: str, container: str) -> Mapping[str, str]:
        """What a container of ``namespace/name`` was created with. Raises SandboxError for an unknown one."""
        for found in await self.containers():
            if found["Pod"] == pod and found["Name"] == container:
                return {entry["key"]: entry.get("value", "") for entry in found["Config"].get("envs", ())}
        raise SandboxError(f"node {self.name} has no container {container!r} of pod {pod}")

    async def exit(self, pod: str, container: str, code: int = 0) -> None:
        """End a running container of ``namespace/name``. Raises SandboxError when there is none."""
        await self._runtime("POST", "exit", params={"pod": pod, "container": container, "code": str(code)})

    async def _runtime(self, method: str, what: str, **arguments: Any) -> Any:
        if self.kind is Kind.HOLLOW:
            address = _address(node_folder(self._instance, self.name) / "runtime.address")
            return await control.call(address, method, f"/{what}", **arguments)
        return await control.call(self._control, method, f"/nodes/{self.name}/{what}", **arguments)

    # -- faults --------------------------------------------------------------------------------------------------

    @property
    def _control(self) -> str:
        if self.kind is Kind.HOLLOW:
            return _address(node_folder(self._instance, self.name) / "plugin.address")
        return _address(simulator_folder(self._instance) / "address")

    async def faults(self) -> Faults:
        """What is wrong with its plugin now."""
        return Faults.from_json(await control.call(self._control, "GET", f"/nodes/{self.name}/faults"))

    async def set_faults(self, faults: Faults) -> None:
        """Replace what is wrong with its plugin."""
        await control.call(self._control, "POST", f"/nodes/{self.name}/faults", json=faults.to_json())

    async def slow(self, seconds: float) -> None:
        """Every Allocate waits so long first; 0 ends it."""
        await self.set_faults(replace(await self.faults(), slow_s=seconds))

    async def fail_allocate(self, times: int = -1) -> None:
        """The next Allocate calls fail after their pod was found; -1 is all of them, 0 none."""
        await self.set_faults(replace(await self.faults(), failing=times))

    async def card_unhealthy(self, index: int) -> None:
        """A card falls ill: the kubelet and the register annotation are told at once."""
        await self.set_faults((await self.faults()).with_card(self._checked(index), healthy=False))

    async def card_healthy(self, index: int) -> None:
        """A card is well again."""
        await self.set_faults((await self.faults()).with_card(self._checked(index), healthy=True))

    def _checked(self, index: int) -> int:
        if not 0 <= index < self.state.cards:
            raise BadSpec(f"card {index} of node {self.name} does not exist: 0 to {self.state.cards - 1}")
        return index

    async def well(self) -> None:
        """No fault is left, but for a plugin or node that is gone."""
        await self.set_faults(Faults())

    async def kill_plugin(self) -> None:
        """The plugin dies (SIGKILL)."""
        await self._operations.kill_plugin(self.name)

    async def start_plugin(self) -> None:
        """A plugin that died is started again, without faults."""
        await self._operations.start_plugin(self.name)

    async def restart_plugin(self) -> None:
        """The plugin dies and is started again."""
        await self.kill_plugin()
        await self.start_plugin()

    async def gone(self) -> None:
        """The machine stops: kubelet and plugin at once, and the node is reported as not ready."""
        await self._operations.power_off(self.name)

    async def back(self) -> None:
        """The machine is there again, without faults; returns when it is ready. Pods bound meanwhile may be refused:
        a kubelet that starts does not wait for its plugins."""
        await self._operations.power_on(self.name)


def _address(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SandboxError(f"nothing runs that would have written {file.name} of {file.parent.name}") from None
