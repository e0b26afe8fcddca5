"""The operator and the webhook in a sandbox: the manifests as users apply them, the processes on this machine.

Each process runs with the token of its own ServiceAccount, so exactly the RBAC of the manifests is what it has. There
are no container images here, so the Deployments are scaled to zero and play no part.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml

from .credentials import write_private
from .errors import SandboxError
from .sandbox import Sandbox
from .waiting import until

NAMESPACE = "hami-system"
START_SECONDS = 30.0

#: A killed operator is followed by the next one as soon as its lease is over; a busy machine may end it as well.
QUICK_LEASE: Mapping[str, str] = {
    "HAMI_LEADER__LEASE_SECONDS": "3",
    "HAMI_LEADER__RENEW_DEADLINE_SECONDS": "2",
    "HAMI_LEADER__RETRY_SECONDS": "0.3",
}


def manifests() -> Path:
    """The folder with the manifests. Raises SandboxError where the program was installed without them."""
    folder = Path(__file__).parents[2] / "manifests"
    if not folder.is_dir():
        raise SandboxError(f"{folder} is not there: run this from a checkout of the repository")
    return folder


@dataclass(slots=True)
class Companion:
    """One of our processes: its pid, where it answers, and the kube-scheduler beside it (0: none)."""

    name: str
    pid: int
    health_port: int
    scheduler_pid: int = 0

    @property
    def url(self) -> str:
        """Its own endpoints (``/livez``, ``/readyz``, ``/metrics``)."""
        return f"http://127.0.0.1:{self.health_port}"


@dataclass(slots=True)
class Installation:
    """What runs in a sandbox for it to place accelerator pods.

    ``overlay`` is the driver; ``server`` is the address at which operators reach the API server, where that is not the
    API server's own; ``lease`` the environment that tells how long an operator leads.
    """

    sandbox: Sandbox
    config: Path
    overlay: str = "direct"
    server: str | None = None
    lease: Mapping[str, str] = field(default_factory=lambda: QUICK_LEASE)
    operators: list[Companion] = field(default_factory=list)
    webhooks: list[Companion] = field(default_factory=list)
    _started: int = 0

    @classmethod
    async def install(
        cls,
        sandbox: Sandbox,
        config: Path | None = None,
        *,
        overlay: str = "direct",
        server: str | None = None,
        lease: Mapping[str, str] = QUICK_LEASE,
    ) -> Installation:
        """Apply the manifests and start certificates, webhook and operator; returns when all are ready.

        ``config`` is the settings file, that of the manifests by default, from which the webhook's configuration is
        made; ``server`` where operators reach the API server, by default directly; ``lease``, where it is empty, as
        long as the program's own default.
        """
        await sandbox.kubectl("apply", "-f", str(manifests().parent / "crds"))
        await sandbox.kubectl("apply", "-k", str(manifests() / "overlays" / overlay))
        await sandbox.kubectl("scale", "deployment", "--all", "--replicas=0", "-n", NAMESPACE)
        made = cls(sandbox, config or manifests() / "base" / "config.yaml", overlay, server, lease)
        if config is not None:
            rendered = await _finish([sys.executable, "-m", "webhook", "configuration", f"--config={config}"])
            await sandbox.kubectl("apply", "-f", "-", stdin=rendered)
        await asyncio.gather(made.start_webhook(), made.start_operator())
        return made

    async def start_webhook(self) -> Companion:
        """Make the certificates, start a webhook, and have the API server call it."""
        port, health = free_port(), free_port()
        folder = self.sandbox.folder / "tls"
        url = f"https://127.0.0.1:{port}/mutate"
        account = await self.sandbox.service_account_kubeconfig(NAMESPACE, "hami-webhook-certs")
        certs = ["certs", "--once", f"--kubeconfig={account}", f"--url={url}", f"--export={folder}"]
        await _finish([sys.executable, "-m", "webhook", *certs])
        serve = ["serve", f"--cert-dir={folder}", "--host=127.0.0.1", f"--port={port}", f"--health-port={health}"]
        companion = await self._start("webhook", ["webhook", *serve, f"--config={self.config}"], health, {})
        self.webhooks.append(companion)
        return companion

    async def start_operator(self, environment: Mapping[str, str] | None = None) -> Companion:
        """Start an operator; returns when it is ready (it may have to wait for the lease before it decides).

        With the driver ``extender`` a kube-scheduler is started beside it, both as on a host of their own.
        """
        account = await self._operator_account()
        health = free_port()
        serving = {"HAMI_SERVING__HOST": "127.0.0.1", "HAMI_SERVING__PORT": str(health)}
        command = ["hami_operator", "run", f"--kubeconfig={account}", f"--config={self.config}"]
        more, host = {**self.lease, **serving, **(environment or {})}, ""
        if self.overlay == "extender":
            more |= {"HAMI_DRIVER": "extender", "HAMI_EXTENDER__PORT": str(free_port())}
            host = f"hami-operator-{self._started + 1}"
        companion = await self._start("operator", command, health, more, host)
        self.operators.append(companion)
        if host:
            config = await self._scheduler_configuration(host, more)
            companion.scheduler_pid = self.sandbox.start_scheduler(f"{companion.name}-scheduler", config, host)
        return companion

    async def _scheduler_configuration(self, host: str, environment: Mapping[str, str]) -> Path:
        """As the overlay has it, for a process that is not in a pod; it reaches the API server directly."""
        account = await self.sandbox.service_account_kubeconfig(NAMESPACE, "hami-operator")
        command = [sys.executable, "-m", "hami_operator", "scheduler-configuration", f"--config={self.config}"]
        content = yaml.safe_load(await _finish(command, environment))
        content["clientConnection"] = {"kubeconfig": str(account)}
        path = self.sandbox.folder / f"{host}.kube-scheduler.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path

    async def _operator_account(self) -> Path:
        """The operator's kubeconfig, by way of ``server`` where one is given."""
        direct = await self.sandbox.service_account_kubeconfig(NAMESPACE, "hami-operator")
        if self.server is None:
            return direct
        config = yaml.safe_load(direct.read_text(encoding="utf-8"))
        config["clusters"][0]["cluster"]["server"] = self.server
        path = direct.with_suffix(".detour")
        write_private(path, yaml.safe_dump(config, sort_keys=False))
        return path

    async def change_driver(self, overlay: str) -> Companion:
        """Another operator, with what its overlay allows it, in the place of those that run."""
        await self.sandbox.kubectl("apply", "-f", str(manifests() / "overlays" / overlay / "rbac.yaml"))
        self.overlay = overlay
        for companion in [*self.operators]:
            self.sandbox.ask_to_end(companion.pid)  # it gives the lease up
            self.kill(companion)
        return await self.start_operator()

    def kill(self, companion: Companion) -> None:
        """End one of them as ``kill -9`` does, with the kube-scheduler beside it."""
        for pid in filter(None, (companion.pid, companion.scheduler_pid)):
            self.sandbox.end(pid)
        for running in (self.operators, self.webhooks):
            with contextlib.suppress(ValueError):
                running.remove(companion)

    def log(self, companion: Companion) -> str:
        """What it has written."""
        return self.sandbox.log(companion.name).read_text(encoding="utf-8", errors="replace")

    async def _start(
        self, kind: str, module: list[str], health_port: int, more: Mapping[str, str], host: str = ""
    ) -> Companion:
        self._started += 1
        name = f"{kind}-{self._started}"
        pid = self.sandbox.spawn(name, [sys.executable, "-m", *module], more, host)
        companion = Companion(name, pid, health_port)
        try:
            await until(f"{name} is ready", lambda: _ready(companion), START_SECONDS)
        except SandboxError as error:
            raise SandboxError(f"{error}; the end of its log:\n{self.log(companion)[-2000:]}") from None
        return companion


async def _ready(companion: Companion) -> bool | None:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{companion.url}/readyz") as response:
            return True if response.status == 200 else None
    except aiohttp.ClientError:
        return None


async def _finish(command: list[str], more: Mapping[str, str] | None = None) -> str:
    """Run a command to its end, with ``more`` environment; what it wrote. Raises SandboxError with its words."""
    pipe = asyncio.subprocess.PIPE
    environment = {**os.environ, **(more or {})}
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=environment)
    output, errors = await process.communicate()
    if process.returncode:
        words = (output + errors).decode()[-2000:]
        raise SandboxError(f"{' '.join(command[1:4])} ended with {process.returncode}: {words}")
    return output.decode()


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
