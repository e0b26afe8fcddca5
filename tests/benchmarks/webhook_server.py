"""``python -m tests.benchmarks.webhook_server handler|no-op FOLDER``: serve with that certificate, print the port."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
import uvloop
from aiohttp import web

from hami_operator import config
from webhook.__main__ import judge_of
from webhook.configuration import PATH
from webhook.server import Listen, listening, running
from webhook.tls import ServingCertificate

HEAD = b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"allowed":true,"uid":"'


class Request(msgspec.Struct):
    uid: str


class Review(msgspec.Struct):
    request: Request


async def noop(folder: Path) -> None:
    """The least that an API server takes for an answer: allowed, with the uid of the request."""
    decoder = msgspec.json.Decoder(Review)

    async def reply(http: web.Request) -> web.Response:
        uid = decoder.decode(await http.read()).request.uid
        return web.Response(body=HEAD + uid.encode() + b'"}}', content_type="application/json")

    app = web.Application()
    app.router.add_post(PATH, reply)
    certificate = ServingCertificate(folder)
    certificate.refresh()
    async with listening(app, "127.0.0.1", 0, certificate.context) as port:
        print(port, flush=True)
        await asyncio.Event().wait()


async def handler(folder: Path) -> None:
    async with running(Listen(folder, "127.0.0.1", 0, 0), judge_of(config.load())) as servers:
        print(servers.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run({"handler": handler, "no-op": noop}[sys.argv[1]](Path(sys.argv[2])))
