"""Certificates on a real API server, by the account and the rights of the manifests."""

from __future__ import annotations

import asyncio
import base64
import datetime
import signal
import sys
from pathlib import Path

import pytest
from cryptography import x509

from hami_operator.kube.client import Client
from hami_operator.kube.errors import Conflict, Denied, KubeError
from hami_operator.sandbox import Sandbox
from hami_operator.sandbox.api import Api
from tests.webhook.pods import pod
from webhook import install
from webhook.certs import AUTHORITIES, Lifetimes, read_bundle

from .conftest import NAMESPACE, SECRETS, Webhook, create, rendered, serving, settings, until, until_called

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

SECRET = f"{SECRETS}/{install.SECRET}"
DAY = datetime.timedelta(days=1)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


async def bundle(api: Api) -> bytes:
    (webhook,) = (await api.get(install.CONFIGURATION_PATH))["webhooks"]
    return base64.b64decode(webhook["clientConfig"].get("caBundle", ""))


async def content(api: Api) -> dict[str, bytes]:
    return {name: base64.b64decode(text) for name, text in (await api.get(SECRET))["data"].items()}


async def test_secret_and_bundle_are_made_and_then_left_alone(fresh: None, api: Api, certs: Client) -> None:
    service = install.Settings(NAMESPACE, install.service_names("hami-webhook", NAMESPACE))
    assert (await install.ensure(certs, now(), service)).changed
    made = await api.get(SECRET)
    assert made["type"] == "kubernetes.io/tls"
    assert await bundle(api) == (await content(api))[AUTHORITIES]
    (configured,) = (await api.get(install.CONFIGURATION_PATH))["webhooks"]
    assert configured["clientConfig"]["service"]["name"] == "hami-webhook"
    assert await install.ensure(certs, now(), service) == install.Pass(changed=False)
    assert (await api.get(SECRET))["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_a_bundle_that_was_overwritten_is_put_back(fresh: None, api: Api, certs: Client) -> None:
    await install.install(certs, settings(1))
    right = await bundle(api)
    (configured,) = (await api.get(install.CONFIGURATION_PATH))["webhooks"]
    del configured["clientConfig"]["caBundle"]
    await api.patch(install.CONFIGURATION_PATH, {"webhooks": [configured]})
    assert await bundle(api) == b""
    await install.install(certs, settings(1))
    assert await bundle(api) == right


async def test_a_lost_secret_is_replaced_and_what_replicas_still_serve_stays_trusted(
    fresh: None, api: Api, certs: Client
) -> None:
    await install.install(certs, settings(1))
    (old,) = read_bundle(await bundle(api))
    await api.delete(SECRET)
    await install.install(certs, settings(1))
    new, kept = read_bundle(await bundle(api))
    assert kept == old != new


async def test_two_writers_at_once_end_with_one_secret_that_is_trusted(fresh: None, api: Api, certs: Client) -> None:
    async def writer() -> None:
        while True:
            try:
                return await install.install(certs, settings(1))
            except Conflict:
                continue

    await asyncio.gather(*(writer() for _ in range(4)))
    authority = read_bundle((await content(api))[AUTHORITIES])[0]
    assert authority in read_bundle(await bundle(api))
    serving_certificate = x509.load_pem_x509_certificate((await content(api))["tls.crt"])
    serving_certificate.verify_directly_issued_by(authority)


async def test_without_the_configuration_certificates_are_made_and_it_is_told(
    fresh: None, api: Api, certs: Client
) -> None:
    await api.delete(install.CONFIGURATION_PATH)
    done = await install.ensure(certs, now(), settings(1))
    assert done.changed
    assert "hami-webhook" in done.missing
    assert await content(api)
    with pytest.raises(KubeError, match="MutatingWebhookConfiguration hami-webhook"):
        await install.install(certs, settings(1))


async def test_the_account_may_do_nothing_else(fresh: None, certs: Client) -> None:
    with pytest.raises(Denied):
        await certs.get(SECRETS)
    with pytest.raises(Denied):
        await certs.get(f"{SECRETS}/another")
    with pytest.raises(Denied):
        await certs.get("/api/v1/namespaces/kube-system/secrets/hami-webhook-tls")
    with pytest.raises(Denied):
        await certs.get(install.CONFIGURATION_PATH + "-other")
    with pytest.raises(Denied):
        await certs.get("/api/v1/pods")


async def test_no_creation_fails_while_authority_and_certificate_are_rotated(
    fresh: None, api: Api, certs: Client, tmp_path: Path
) -> None:
    """Two replicas behind one address; the second sees each change of the files later than the first."""
    short = Lifetimes(authority=30 * DAY, serving=60 * DAY, settle=datetime.timedelta(seconds=1))
    folders = (tmp_path / "first", tmp_path / "second")
    async with serving(folders[0]) as first, serving(folders[1]) as second, Balancer(first.port, second.port) as port:
        await install.ensure(certs, now() - 21 * DAY, settings(port, folders[0], lifetimes=short))
        install.export(await content(api), folders[1])
        await first.ready()
        await second.ready()
        await until_called(api, pod(), "hami-scheduler")
        old = read_bundle(await bundle(api))
        stop = asyncio.Event()
        creating = asyncio.create_task(keep_creating(api, stop))
        clock, bundles = now(), []
        for _ in range(4):
            await install.ensure(certs, clock, settings(port, folders[0], lifetimes=short))
            bundles.append(len(read_bundle(await bundle(api))))
            await brought(api, first)
            install.export(await content(api), folders[1])
            await brought(api, second)
            clock += datetime.timedelta(hours=2) if bundles[-1] == 2 and len(bundles) > 1 else 5 * short.settle
        stop.set()
        created = await creating
        assert read_bundle(await bundle(api)) != old, "the authority was rotated"
        assert max(bundles) == 2
        assert bundles[-1] == 1
        assert created > 20
        assert min(await first.reviews(), await second.reviews()) > 5, "both served"


async def brought(api: Api, replica: Webhook) -> None:
    """Wait until a replica serves the Secret's certificate, and create some more then."""
    wanted = x509.load_pem_x509_certificate((await content(api))["tls.crt"]).serial_number

    async def ask() -> bool:
        return await replica.serial() == wanted

    await until("the replica serves the new certificate", ask)
    for _ in range(3):
        await asyncio.gather(*(create(api, pod()) for _ in range(4)))


async def keep_creating(api: Api, stop: asyncio.Event) -> int:
    """Create (dry run) until told to stop; how often. Any failed call is an ApiError."""
    count = 0
    while not stop.is_set():
        made = await create(api, pod())
        assert made["spec"]["schedulerName"] == "hami-scheduler"
        count += 1
    return count


class Balancer:
    """A listener that hands connections to the ports in turn, as a Service would."""

    def __init__(self, *ports: int) -> None:
        self._ports, self._taken = ports, 0

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._taken += 1
        port = self._ports[self._taken % len(self._ports)]
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pipe(reader, up_writer), _pipe(up_reader, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def test_the_loop_runs_by_its_account_tells_its_state_and_stops(fresh: None, api: Api, sandbox: Sandbox) -> None:
    await api.delete(install.CONFIGURATION_PATH)
    account = await sandbox.service_account_kubeconfig(NAMESPACE, "hami-webhook-certs")
    command = ["certs", f"--kubeconfig={account}", "--interval=1", "--health-port=0"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "webhook", *command), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            while b"is not there" not in (line := await process.stderr.readline()):
                assert line, "the process ended"
            await api.post(install.CONFIGURATION_PATH.rpartition("/")[0], rendered())
            await until("the bundle is published", lambda: bundle(api))
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
