"""``demo``: a Kubernetes of its own, the manifests, real pods, and a table of who holds what."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from hami_operator.config import load
from hami_operator.sandbox import NodeSpec, Sandbox, SandboxError, Settings, families
from hami_operator.sandbox.binaries import SCHEDULER
from hami_operator.sandbox.installation import Installation, manifests
from hami_operator.sandbox.waiting import until

from .cards import CardRow, card_table, read_cards
from .families import FAMILIES, family_table, pod_name

NODES = (NodeSpec("a100-80", cards=1), NodeSpec("a30", cards=2), NodeSpec("t4", cards=1))
NAME = "demo"
PATIENCE_SECONDS = 20.0

_SHOWN_VARIABLES = ("NVIDIA_VISIBLE_DEVICES", "CUDA_DEVICE_")


@click.command()
@click.option("--keep", is_flag=True, help="Leave everything running and say what to try.")
def demo(*, keep: bool) -> None:
    """Start a Kubernetes on this machine and show pods sharing cards in it. No hardware is needed.

    \b
    Example:
      hami-operator demo --keep
    """
    console = Console(highlight=False)
    try:
        status = asyncio.run(_run(console, keep=keep))
    except SandboxError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(status)


async def _run(console: Console, *, keep: bool) -> int:
    begin = time.monotonic()
    await _step_aside()
    with console.status("etcd, API server, controllers and three nodes"):
        sandbox = await Sandbox.start(NODES, Settings(name=NAME, attached=not keep, also=(SCHEDULER,)))
    try:
        with console.status("manifests, webhook and operator"):
            types = [family.card for family in FAMILIES]
            config = families.settings(manifests() / "base" / "config.yaml", types, sandbox.folder)
            installation = await Installation.install(sandbox, config, lease={})
        took = time.monotonic() - begin
        console.print(f"A Kubernetes with three accelerator nodes, webhook and operator: up in {took:.0f} s")
        show = Show(installation, console, config)
        await show.all()
        verdict = sandbox.verdict()
        console.print(f"\nThe device plugins' verdict: {verdict}", style="green" if verdict.ok else "red")
        console.print(f"The demo took {time.monotonic() - begin:.0f} s.", style="dim")
        if keep:
            _say_what_to_try(console, sandbox, installation.operators[0].url)
        return 0 if verdict.ok else 1
    finally:
        if not keep:
            sandbox.stop()


async def _step_aside() -> None:
    """End a demo that was kept."""
    try:
        Sandbox.attach(NAME).stop()
    except SandboxError:
        return


@dataclass(frozen=True, slots=True)
class Show:
    """The scenes, each a real ``kubectl apply`` and what became of it. A scene that fails ends the demo."""

    installation: Installation
    console: Console
    config: Path

    @property
    def sandbox(self) -> Sandbox:
        """Where it happens."""
        return self.installation.sandbox

    async def all(self) -> None:
        """One scene after the other."""
        await self._runs("Two pods share a card", "share-memory.yaml", "share-small", "share-large")
        await self._runs("Half of a card, whatever its size", "memory-percentage.yaml", "half-a-card")
        await self._runs("Two cards for one container", "two-cards.yaml", "two-cards")
        await self._refused("The webhook refuses what can never work", "refused-binary-suffix.yaml")
        await self._waits_and_starts()
        await self._quota()
        await self._environment("share-small", "main")
        await self._table()
        families = await self._place_every_family()
        await self._other_driver()
        await self._family_table(families)

    async def _runs(self, title: str, file: str, *pods: str) -> None:
        await self._apply(title, file)
        for pod in pods:
            found = await self._running(pod)
            self._line("green", pod, f"runs on {found['spec']['nodeName']}: {_cards(found)}")

    async def _refused(self, title: str, file: str) -> None:
        self._title(title, file)
        answer = await self.sandbox.kubectl("apply", "-f", str(_example(file)), check=False)
        if answer.returncode == 0:
            raise SandboxError(f"{file} was admitted and should not have been")
        _, _, sentence = answer.stderr.partition("denied the request: ")
        self._line("red", "denied", sentence.strip() or answer.stderr.strip())

    async def _waits_and_starts(self) -> None:
        await self._apply("A pod waits for room, and is told why", "trainer.yaml")
        trainer = await self._running("trainer")
        self._line("green", "trainer", f"runs on {trainer['spec']['nodeName']}: {_cards(trainer)}")
        waiting = await self._until("waits-for-room", _unschedulable)
        self._line("yellow", "waits-for-room", str(_unschedulable(waiting)))
        await self.sandbox.node(trainer["spec"]["nodeName"]).exit("default/trainer", "main")
        await self._until("trainer", lambda obj: obj["status"]["phase"] == "Succeeded")
        self._line("blue", "trainer", "has ended; its memory comes back, nothing else is touched")
        started = await self._running("waits-for-room")
        self._line("green", "waits-for-room", f"runs on {started['spec']['nodeName']}: {_cards(started)}")

    async def _quota(self) -> None:
        """A pod waits for its namespace's quota and goes as soon as that is raised."""
        self._title("A quota holds a pod back and lets it go when it is raised", "")
        team = ("-n", "team-a")
        await self.sandbox.kubectl("apply", "-f", str(manifests() / "examples" / "quota" / "team.yaml"))
        third = await self._until("quota-3", _unschedulable, *team)
        self._line("yellow", "quota-3", str(_unschedulable(third)))
        told = "--for=jsonpath={.status.pending}=1"
        await self.sandbox.kubectl("wait", "erq/team-a", *team, told, f"--timeout={PATIENCE_SECONDS:.0f}s")
        shown = await self.sandbox.kubectl("get", "erq", "team-a", *team, "-o", "jsonpath={.status.summary}")
        self._line("blue", "kubectl get erq", shown.stdout)
        patch = '{"spec":{"hard":{"limits.nvidia.com/gpumem":3000}}}'
        await self.sandbox.kubectl("patch", "erq", "team-a", *team, "--type=merge", f"--patch={patch}")
        started = await self._until("quota-3", lambda obj: obj["status"]["phase"] == "Running", *team)
        self._line("green", "quota-3", f"runs on {started['spec']['nodeName']}: {_cards(started)}")

    async def _environment(self, pod: str, container: str) -> None:
        self._title(f"What the kubelet gave the container of {pod}", "")
        node = (await self._get(pod))["spec"]["nodeName"]
        environment = await self.sandbox.node(node).environment(f"default/{pod}", container)
        for name in sorted(environment):
            if name.startswith(_SHOWN_VARIABLES):
                self.console.print(Text(f"  {name}={environment[name]}"), overflow="ellipsis", no_wrap=True)

    async def _table(self) -> None:
        self._title("Who holds what", "")
        self.console.print(card_table(await self._cards(), colours=self.console.color_system is not None))

    async def _place_every_family(self) -> list[dict[str, Any]]:
        """A pod of each family, running, in their order."""
        with self.console.status(f"{len(FAMILIES)} nodes"):
            await self.sandbox.add(*(family.node for family in FAMILIES))
        examples = [manifests() / "examples" / family.example for family in FAMILIES]
        await self.sandbox.kubectl("apply", *(f"--filename={example}" for example in examples))
        with self.console.status("placing"):
            return [await self._running(pod_name(example)) for example in examples]

    async def _family_table(self, running: list[dict[str, Any]]) -> None:
        self._title("A pod of each family, each on simulated cards whose plugin checks what it is told", "")
        self.console.print(family_table(zip(FAMILIES, running, strict=True), await self._cards()))

    async def _other_driver(self) -> None:
        """What the direct driver does not judge, kube-scheduler does, and asks us about cards."""
        pods = ("spread-one", "spread-two")
        await self._apply("A rule that is kube-scheduler's: pods on different hosts", "spread-over-hosts.yaml")
        for pod in pods:
            self._line("yellow", pod, str(_unschedulable(await self._until(pod, _unschedulable))))
        self.console.print(Text("  $ kubectl apply -k manifests/overlays/extender", style="dim"))
        with self.console.status("kube-scheduler, and an operator that it asks"):
            await self.installation.change_driver("extender")
            running = [await self._running(pod) for pod in pods]
        for found in running:
            self._line("green", found["metadata"]["name"], f"runs on {found['spec']['nodeName']}: {_cards(found)}")

    async def _cards(self) -> list[CardRow]:
        async with self.sandbox.api() as api:
            nodes = await api.get("/api/v1/nodes")
            pods = await api.get("/api/v1/pods")
        return read_cards(nodes["items"], pods["items"], load(self.config).devices.profiles())

    async def _running(self, pod: str) -> dict[str, Any]:
        return await self._until(pod, lambda obj: obj["status"]["phase"] == "Running")

    # -- telling and asking --------------------------------------------------------------------------------------

    async def _apply(self, title: str, file: str) -> None:
        self._title(title, file)
        await self.sandbox.kubectl("apply", "-f", str(_example(file)))

    def _title(self, title: str, file: str) -> None:
        self.console.print(Text(f"\n{title}", style="bold"))
        if file:
            self.console.print(Text(f"  $ kubectl apply -f manifests/examples/nvidia/{file}", style="dim"))

    def _line(self, style: str, name: str, text: str) -> None:
        self.console.print(Padding(Text.assemble((name, style), " ", text), (0, 0, 0, 2)))

    async def _get(self, pod: str, *options: str) -> dict[str, Any]:
        answer = await self.sandbox.kubectl("get", "pod", pod, *options, "-o", "json")
        found: dict[str, Any] = json.loads(answer.stdout)
        return found

    async def _until(self, pod: str, holds: Callable[[dict[str, Any]], object], *options: str) -> dict[str, Any]:
        async def ask() -> dict[str, Any] | None:
            found = await self._get(pod, *options)
            return found if holds(found) else None

        asked: Callable[[], Awaitable[dict[str, Any] | None]] = ask
        return await until(f"pod {pod}", asked, PATIENCE_SECONDS)


def _example(file: str) -> Any:
    return manifests() / "examples" / "nvidia" / file


def _unschedulable(obj: dict[str, Any]) -> str | None:
    for condition in obj["status"].get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            message: str = condition["message"]
            return message
    return None


def _cards(obj: dict[str, Any]) -> str:
    """The cards of a pod as its annotation lists them: ``GPU-b7fb44f2 (3000 MiB)``."""
    text: str = obj["metadata"]["annotations"]["hami.io/vgpu-devices-allocated"]
    entries = [entry.split(",") for segment in text.split(";") for entry in segment.split(":") if "," in entry]
    return ", ".join(
        f"{uuid[:12]} {memory} MiB" + (f" {cores} %" if cores != "0" else "") for uuid, _, memory, cores in entries
    )


def _say_what_to_try(console: Console, sandbox: Sandbox, page: str) -> None:
    console.print(f"\nIt is left running, and shown at {page}/. Try:", style="bold", soft_wrap=True)
    for line in (
        f"export KUBECONFIG={sandbox.kubeconfig}",
        f"alias kubectl={sandbox.kubectl_path}",
        "kubectl get pods -o wide",
        "kubectl apply -f manifests/examples/nvidia/deployment.yaml",
        "kubectl describe pod share-large",
        "kubectl get node a30-0 -o jsonpath='{.metadata.annotations}'",
        f"hami-operator sandbox down --name {sandbox.name}",
    ):
        console.print(Text(f"  {line}"), soft_wrap=True)
