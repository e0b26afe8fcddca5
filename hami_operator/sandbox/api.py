"""A small client of the API server for the sandbox's stand-ins: they write what a kubelet and a plugin write.

Kept apart from ``kube``: a fault or a count there must not reach the other side of the protocol.
"""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

from .errors import ApiError

Json = dict[str, Any]

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

#: Seconds one request may take; the server on this machine answers in milliseconds.
ANSWER_S = 15.0


#: What a call may raise: the server's refusal, or that there was no answer.
CALL_ERRORS = (ApiError, aiohttp.ClientError, TimeoutError)


class Api:
    """An open connection pool to one API server, as the user of a kubeconfig. Use it as a context manager."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server = cluster["server"]
        self._tls = ssl.create_default_context(cadata=_text(cluster["certificate-authority-data"]))
        if "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
                pair.write(_text(user["client-certificate-data"]) + _text(user["client-key-data"]))
                pair.flush()
                self._tls.load_cert_chain(pair.name)
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=64),
            timeout=aiohttp.ClientTimeout(total=ANSWER_S),
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        await self._session.close()

    async def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            async with self._session.get(f"{self._server}/readyz") as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def get(self, path: str, **params: str) -> Json:
        """GET; ``path`` begins with ``/api`` or ``/apis``. Raises ApiError on anything but success, as all others."""
        return await self._send("GET", path, params=params)

    async def post(self, path: str, body: Json) -> Json:
        """Create an object, or a subresource such as a Binding."""
        return await self._send("POST", path, body=body)

    async def patch(self, path: str, body: Json | list[Json], kind: str = MERGE) -> Json:
        """Patch an object; ``kind`` is the content type."""
        return await self._send("PATCH", path, body=body, kind=kind)

    async def delete(self, path: str, uid: str | None = None) -> None:
        """Delete at once, without a grace period; with ``uid``, only the object of that uid."""
        body: Json = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        await self._send("DELETE", path, body=body)

    async def watch(self, path: str, **params: str) -> AsyncIterator[tuple[str, Json]]:
        """Events of a watch as (type, object), until the server ends it. Raises ApiError for an ERROR event."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=ANSWER_S)
        query = {"watch": "true", "allowWatchBookmarks": "true", **params}
        async with self._session.get(self._server + path, params=query, timeout=timeout) as response:
            await _check(response)
            async for line in _lines(response.content):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(event["object"].get("code", 500), event["object"].get("message", ""))
                yield event["type"], event["object"]

    async def _send(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Any = None, kind: str = ""
    ) -> Json:
        data = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": kind or "application/json"}
        async with self._session.request(
            method, self._server + path, params=params, data=data, headers=headers
        ) as response:
            await _check(response)
            answer: Json = await response.json()
            return answer


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status >= 400:
        text = await response.text()
        try:
            text = json.loads(text)["message"]
        except (ValueError, KeyError, TypeError):
            text = text[:300]
        raise ApiError(response.status, text)


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: a pod may be larger than the reader's own limit for lines."""
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


def _text(data: str) -> str:
    return base64.b64decode(data).decode()


def pod_path(namespace: str, name: str) -> str:
    """Path of a pod."""
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def node_path(name: str) -> str:
    """Path of a node."""
    return f"/api/v1/nodes/{name}"
