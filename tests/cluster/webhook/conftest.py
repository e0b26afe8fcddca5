"""A control plane without nodes, our manifests applied to it, and the certificates' account."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from cryptography import x509

from hami_operator import config
from hami_operator.kube.access import load_access
from hami_operator.kube.client import Client
from hami_operator.sandbox import Sandbox, Settings
from hami_operator.sandbox.api import Api
from hami_operator.sandbox.errors import ApiError
from tests.webhook.pods import pod
from webhook import configuration, install

MANIFESTS = Path(__file__).parents[3] / "manifests"
CONFIG = MANIFESTS / "base" / "config.yaml"
NAMESPACE = "hami-system"
TEAM = "team-a"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"

Json = dict[str, Any]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    settings = Settings(name="tests-webhook", parent=tmp_path_factory.mktemp("sandboxes"))
    async with await Sandbox.start([], settings) as sandbox:
        await sandbox.kubectl("apply", "-f", str(MANIFESTS.parent / "crds"))
        await sandbox.kubectl("apply", "-k", str(MANIFESTS / "overlays/direct"))
        await sandbox.kubectl("scale", "deployment", "--all", "--replicas=0", "-n", NAMESPACE)
        async with sandbox.api() as api:
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}}
            await api.post("/api/v1/namespaces", namespace)
            account = f"/api/v1/namespaces/{TEAM}/serviceaccounts/default"
            await until("the namespace has its account", lambda: api.get(account))
        yield sandbox


async def until(what: str, ask: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
    """The first true answer; polled, with a deadline that tells what did not come true and the last refusal."""
    deadline, last = time.monotonic() + seconds, ""
    while True:
        try:
            if answer := await ask():
                return answer
        except ApiError as error:
            last = str(error)
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what} {last}"
        await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(sandbox: Sandbox) -> AsyncIterator[Api]:
    """The API server, as the administrator."""
    async with sandbox.api() as api:
        yield api


@pytest_asyncio.fixture(loop_scope="session")
async def fresh(api: Api) -> None:
    """No Secret, and the configuration as it is applied."""
    await reset(api)


async def reset(api: Api) -> None:
    with contextlib.suppress(ApiError):
        await api.delete(f"{SECRETS}/{install.SECRET}")
    with contextlib.suppress(ApiError):
        await api.delete(install.CONFIGURATION_PATH)
    await api.post(install.CONFIGURATION_PATH.rpartition("/")[0], rendered())


def rendered() -> Json:
    return configuration.render(config.load(CONFIG).devices.profiles(), NAMESPACE)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def certs(sandbox: Sandbox) -> AsyncIterator[Client]:
    """The API server, as the account ``hami-webhook-certs`` with the rights of the manifests."""
    account = await sandbox.service_account_kubeconfig(NAMESPACE, "hami-webhook-certs")
    async with Client(await load_access(str(account))) as client:
        yield client


@dataclass
class Webhook:
    """A webhook process."""

    process: asyncio.subprocess.Process
    folder: Path
    port: int
    health_port: int

    async def text(self, path: str) -> str:
        url = f"http://127.0.0.1:{self.health_port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return await response.text()

    async def reviews(self) -> int:
        """How many reviews it has answered."""
        found = re.findall(
            r"^hami_operator_webhook_reviews_total\{.*\} (\S+)$", await self.text("/metrics"), re.MULTILINE
        )
        return int(sum(map(float, found)))

    async def serial(self) -> int:
        """The serial number of the certificate that a new connection gets."""
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls)
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return x509.load_der_x509_certificate(certificate).serial_number

    async def ready(self) -> None:
        async def ask() -> bool:
            return await self.text("/readyz") == "ok\n"

        await until("the webhook is ready", ask)


@contextlib.asynccontextmanager
async def serving(folder: Path, *arguments: str) -> AsyncIterator[Webhook]:
    """``hami-webhook serve`` with the certificate in ``folder``."""
    command = ["serve", "--host=127.0.0.1", "--port=0", "--health-port=0", f"--cert-dir={folder}", *arguments]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "webhook", *command), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            while "reviews on port" not in (line := (await process.stderr.readline()).decode()):
                assert line, "the webhook ended"
        ports = [int(number) for number in re.findall(r"port (\d+)", line)]
        yield Webhook(process, folder, *ports)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


def settings(port: int, folder: Path | None = None, **changes: Any) -> install.Settings:
    """The certificates' settings for a webhook on loopback."""
    url = f"https://127.0.0.1:{port}{configuration.PATH}"
    names = (*install.service_names(configuration.SERVICE, NAMESPACE), "127.0.0.1")
    return install.Settings(NAMESPACE, names, url, folder, **changes)


@contextlib.asynccontextmanager
async def called(api: Api, certs: Client, folder: Path) -> AsyncIterator[Webhook]:
    """A webhook that the API server calls."""
    await reset(api)
    async with serving(folder, f"--config={CONFIG}") as running:
        await install.install(certs, settings(running.port, folder))
        await running.ready()
        await until_called(api, pod(), "hami-scheduler")
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def webhook(api: Api, certs: Client, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Webhook]:
    """A webhook for all tests of a module."""
    async with called(api, certs, tmp_path_factory.mktemp("tls")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def doomed(api: Api, certs: Client, tmp_path: Path) -> AsyncIterator[Webhook]:
    """A webhook for one test, which may stop it and change its configuration."""
    async with called(api, certs, tmp_path) as running:
        yield running


async def create(api: Api, obj: Json, *, persist: bool = False) -> Json:
    """Create a pod, by default as a dry run, which is judged all the same. Raises ApiError when it is refused."""
    path = f"/api/v1/namespaces/{obj['metadata'].get('namespace', TEAM)}/pods"
    return await api.post(path if persist else f"{path}?dryRun=All", obj)


async def until_called(api: Api, obj: Json, scheduler: str) -> Json:
    """Create (dry run) until a changed configuration is in force, which the API server learns by a watch."""

    async def ask() -> Json | None:
        made = await create(api, obj)
        return made if made["spec"]["schedulerName"] == scheduler else None

    made: Json = await until(f"the pod goes to {scheduler}", ask)
    return made


def clone(obj: Json) -> Json:
    copied: Json = json.loads(json.dumps(obj))
    return copied
