"""The webhook as it runs: over real TLS, through a rotation, with every kind of body, until its orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import os
import re
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509

from webhook.app import LARGEST_BODY
from webhook.certs import AUTHORITIES, Lifetimes, read_bundle, read_material, renew
from webhook.install import export
from webhook.review import Judge
from webhook.server import Listen, Running, running
from webhook.tls import CertificateError

from .pods import judge, pod
from .test_review import review

pytestmark = pytest.mark.asyncio

LIFETIMES = Lifetimes()
SECOND, HOUR, DAY = (datetime.timedelta(seconds=n) for n in (1, 3600, 86400))
NAMES = ("127.0.0.1",)


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhook.server.FOLLOW_S", 0.05)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def issue() -> dict[str, bytes]:
    data = renew({}, b"", NAMES, now(), LIFETIMES)
    assert data is not None
    return data


@contextlib.asynccontextmanager
async def serving(folder: Path, judged: Judge = judge) -> AsyncIterator[Running]:
    async with running(Listen(folder, "127.0.0.1", 0, 0), judged) as servers:
        yield servers


@contextlib.asynccontextmanager
async def client(bundle: bytes) -> AsyncIterator[aiohttp.ClientSession]:
    tls = ssl.create_default_context(cadata=bundle.decode())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, force_close=True)) as session:
        yield session


async def post(session: aiohttp.ClientSession, port: int, body: bytes) -> tuple[int, str]:
    async with session.post(f"https://127.0.0.1:{port}/mutate", data=body) as response:
        return response.status, await response.text()


async def health(servers: Running, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{servers.health_port}{path}") as response,
    ):
        return response.status, await response.text()


async def test_a_pod_is_judged_over_tls(tmp_path):
    data = issue()
    export(data, tmp_path)
    async with serving(tmp_path) as servers, client(data[AUTHORITIES]) as session:
        status, text = await post(session, servers.port, json.dumps(review()).encode())
        assert status == 200
        assert json.loads(text)["response"]["allowed"] is True
        status, text = await post(session, servers.port, json.dumps(review(object=pod(nodeName="n1"))).encode())
        assert status == 200
        assert json.loads(text)["response"]["status"]["code"] == 422


BODIES: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"{", 400),
    (b"[]", 400),
    (b"\x00" * 100, 400),
    (b'{"a":' * 100_000, 400),
    (json.dumps({**review(), "request": None}).encode(), 400),
    (json.dumps(review(object=pod(metadata={"annotations": {"a": "x" * (3 << 20)}}))).encode(), 200),
    (b" " * LARGEST_BODY + b"{}", 413),
    (b"x" * (LARGEST_BODY * 2), 413),
]


async def test_whatever_a_body_holds_it_is_answered_and_the_process_serves_on(tmp_path):
    data = issue()
    export(data, tmp_path)
    async with serving(tmp_path) as servers, client(data[AUTHORITIES]) as session:
        for body, expected in BODIES:
            status, text = await post(session, servers.port, body)
            assert status == expected, body[:50]
            assert "Traceback" not in text
        for method, path, expected in (("GET", "/mutate", 405), ("POST", "/", 404), ("POST", "/livez", 404)):
            async with session.request(method, f"https://127.0.0.1:{servers.port}{path}") as response:
                assert response.status == expected
        status, _ = await post(session, servers.port, json.dumps(review()).encode())
        assert status == 200


async def test_a_fault_of_ours_is_an_answer_too_and_tells_nothing_of_the_inside(tmp_path):
    def broken(_: Any) -> Any:
        raise RuntimeError("secret detail")

    data = issue()
    export(data, tmp_path)
    async with serving(tmp_path, broken) as servers, client(data[AUTHORITIES]) as session:
        status, text = await post(session, servers.port, json.dumps(review()).encode())
        assert status == 500
        assert "secret detail" not in text
        assert 'result="failed"} 1.0' in (await health(servers, "/metrics"))[1]


async def test_reviews_are_counted_by_result(tmp_path):
    data = issue()
    export(data, tmp_path)
    async with serving(tmp_path) as servers, client(data[AUTHORITIES]) as session:
        for body in (review(), review(), review(object=pod(schedulerName="other")), review(object=pod(nodeName="n"))):
            await post(session, servers.port, json.dumps(body).encode())
        await post(session, servers.port, b"x")
        _, text = await health(servers, "/metrics")
    for result, count in (("mutated", 2), ("untouched", 1), ("refused", 1), ("malformed", 1), ("failed", 0)):
        assert f'hami_operator_webhook_reviews_total{{result="{result}"}} {count}.0' in text
    assert "hami_operator_webhook_review_seconds_count 5.0" in text
    material = read_material(data, now())
    assert material is not None
    (not_after,) = re.findall(r"^hami_operator_webhook_certificate_not_after_seconds (.*)$", text, re.MULTILINE)
    assert float(not_after) == material.serving.not_valid_after_utc.timestamp()


async def test_not_ready_until_there_is_a_certificate_and_says_why(tmp_path):
    async with serving(tmp_path) as servers:
        assert await health(servers, "/livez") == (200, "ok\n")
        status, text = await health(servers, "/readyz")
        assert status == 503
        assert "tls.crt" in text
        data = issue()
        async with client(data[AUTHORITIES]) as session:
            with pytest.raises(aiohttp.ClientError):
                await post(session, servers.port, b"")
            export(data, tmp_path)
            await until_served(servers, data)
            assert await health(servers, "/readyz") == (200, "ok\n")
            assert (await post(session, servers.port, json.dumps(review()).encode()))[0] == 200


async def until_served(servers: Running, data: dict[str, bytes]) -> None:
    """Wait until new handshakes get the certificate of ``data``."""
    material = read_material(data, now())
    assert material is not None
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(OSError):
                if await served(servers.port) == material.serving.serial_number:
                    return
            await asyncio.sleep(0.05)


async def served(port: int) -> int:
    """The serial number of the certificate that a new connection gets."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
    return x509.load_der_x509_certificate(certificate).serial_number


async def test_a_pair_that_does_not_belong_together_leaves_the_last_good_one(tmp_path):
    first, second = issue(), issue()
    export(first, tmp_path)
    async with serving(tmp_path) as servers, client(first[AUTHORITIES]) as session:
        (tmp_path / "tls.crt").write_bytes(second["tls.crt"])
        with pytest.raises(CertificateError, match="no certificate could be loaded"):
            servers.certificate.refresh()
        assert (await post(session, servers.port, json.dumps(review()).encode()))[0] == 200
        assert (await health(servers, "/readyz"))[0] == 200
        (tmp_path / "tls.key").write_bytes(second["tls.key"])
        await until_served(servers, second)


async def test_no_call_fails_while_authority_and_certificate_are_rotated(tmp_path):
    """Two replicas that see changed files one after the other, and API servers that learn each bundle last."""
    short = Lifetimes(authority=30 * DAY, serving=60 * DAY)
    clock = now()
    data = renew({}, b"", NAMES, clock - 21 * DAY, short)
    assert data is not None
    folders = (tmp_path / "a", tmp_path / "b")
    for folder in folders:
        export(data, folder)
    published, bundles, issuers = data[AUTHORITIES], set(), set()
    async with serving(folders[0]) as first, serving(folders[1]) as second:
        for passed in (0 * DAY, 20 * SECOND, 20 * SECOND, 2 * HOUR):
            clock += passed
            data = renew(data, published, NAMES, clock, short) or data
            for folder, servers in zip(folders, (first, second), strict=True):
                export(data, folder)
                await until_served(servers, data)
                await call(first, published)
                await call(second, published)
            published = data[AUTHORITIES]
            await call(first, published)
            await call(second, published)
            bundles.add(len(read_bundle(published)))
            issuers.add(x509.load_pem_x509_certificate(data["tls.crt"]).issuer)
    assert bundles == {1, 2}
    assert len(issuers) == 2, "the authority was rotated"
    assert len(read_bundle(published)) == 1, "and the old one is gone"


async def call(servers: Running, bundle: bytes) -> None:
    async with client(bundle) as session:
        assert (await post(session, servers.port, json.dumps(review()).encode()))[0] == 200


async def test_told_to_stop_it_serves_on_for_a_while_and_sends_clients_away(tmp_path):
    data = issue()
    export(data, tmp_path / "tls")
    command = [
        *(sys.executable, "-m", "webhook", "serve", "--host", "127.0.0.1", "--port", "0", "--health-port", "0"),
        *("--cert-dir", str(tmp_path / "tls"), "--drain-seconds", "30"),
    ]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    try:
        assert process.stderr is not None
        port = 0
        async with asyncio.timeout(30):
            while not port:
                line = (await process.stderr.readline()).decode()
                assert line, "the process ended"
                port = int(line.split("reviews on port ")[1].split(",")[0]) if "reviews on port" in line else 0
            process.send_signal(signal.SIGTERM)
            while "stopping" not in line:
                line = (await process.stderr.readline()).decode()
        async with client(data[AUTHORITIES]) as session:
            url = f"https://127.0.0.1:{port}/mutate"
            async with session.post(url, data=json.dumps(review()).encode()) as response:
                assert response.status == 200
                assert response.headers["Connection"] == "close"
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
