"""What ``hami-webhook certs`` keeps right in the cluster: the Secret, and the CA bundle of the configuration.

The webhook itself has no rights: it reads the Secret as a volume. This part runs as one replica with an account that
may touch that Secret and that configuration alone.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import datetime
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from hami_operator.kube.errors import KubeError, NotFound

from .certs import AUTHORITIES, SERVING, SERVING_KEY, Lifetimes, renew
from .configuration import NAME, WEBHOOK

log = logging.getLogger(__name__)

SECRET = "hami-webhook-tls"
CONFIGURATION_PATH = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{NAME}"

Json = dict[str, Any]


class Api(Protocol):
    """What is used of ``hami_operator.kube.client.Client``."""

    async def get(self, path: str) -> Json:
        """GET; raises NotFound, KubeError."""

    async def create(self, path: str, body: Mapping[str, Any]) -> Json:
        """POST; raises Conflict when it exists, KubeError."""

    async def replace(self, path: str, body: Mapping[str, Any]) -> Json:
        """PUT; raises Conflict when the resourceVersion is stale, KubeError."""

    async def json_patch(self, path: str, operations: list[Json]) -> Json:
        """PATCH; raises KubeError."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are. ``names``: DNS names and addresses of the serving certificate.

    ``url`` replaces the Service in the configuration, and ``export`` is a folder that gets ``tls.crt`` and ``tls.key``:
    both for a webhook that runs outside the cluster, where there is neither Service nor kubelet.
    """

    namespace: str
    names: tuple[str, ...]
    url: str = ""
    export: Path | None = None
    lifetimes: Lifetimes = field(default_factory=Lifetimes)


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """The names by which a Service is called."""
    full = f"{service}.{namespace}.svc"
    return service, f"{service}.{namespace}", full, f"{full}.cluster.local"


@dataclass(frozen=True, slots=True)
class Pass:
    """How one step ended. ``changed``: another step may follow soon; ``missing``: what is waited for, as a sentence."""

    changed: bool
    missing: str = ""


async def ensure(api: Api, now: datetime.datetime, settings: Settings) -> Pass:
    """One step towards the right state.

    Raises:
        KubeError: the API server could not be asked, or did not accept a write; to be tried again.
    """
    secret = await _get(api, f"{_secrets_path(settings)}/{SECRET}")
    configuration = await _get(api, CONFIGURATION_PATH)
    data = _decode(secret.get("data") or {})
    changed = renew(data, _published(configuration), settings.names, now, settings.lifetimes)
    if changed is not None:
        await _write_secret(api, secret, changed, settings)
        data = changed
    if settings.export is not None:
        export(data, settings.export)
    operations = _publication(configuration, data[AUTHORITIES], settings.url)
    if operations:
        await api.json_patch(CONFIGURATION_PATH, operations)
        log.info("CA bundle of %s updated", NAME)
    missing = "" if _webhooks(configuration) else f"MutatingWebhookConfiguration {NAME} with {WEBHOOK} is not there"
    return Pass(changed is not None or bool(operations), missing)


async def install(api: Api, settings: Settings) -> None:
    """Call ``ensure`` until everything is right. Raises KubeError, also when the configuration is not there."""
    while True:
        done = await ensure(api, _now(), settings)
        if done.missing:
            raise KubeError(done.missing)
        if not done.changed:
            return


async def maintain(api: Api, settings: Settings, interval_s: float, told: Callable[[str], None]) -> None:
    """Call ``ensure`` for ever. ``told`` hears the trouble of each pass, an empty text when there was none.

    After a change, and while there is trouble, the next pass comes as soon as a new authority would have settled.
    """
    soon_s = min(settings.lifetimes.settle.total_seconds() + 1, interval_s)
    while True:
        try:
            done = await ensure(api, _now(), settings)
            trouble, wait_s = done.missing, soon_s if done.changed or done.missing else interval_s
        except KubeError as error:
            trouble, wait_s = str(error), soon_s
        if trouble:
            log.warning("looking again in %.0f s: %s", wait_s, trouble)
        told(trouble)
        await asyncio.sleep(wait_s)


def export(data: Mapping[str, bytes], folder: Path) -> None:
    """Write key and certificate where a webhook outside the cluster reads them; nothing when they are there already."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (SERVING_KEY, SERVING):
        target = folder / name
        if target.exists() and target.read_bytes() == data[name]:
            continue
        fresh = folder / f".{name}.new"
        fresh.touch(mode=0o600)
        fresh.write_bytes(data[name])
        fresh.replace(target)


async def _get(api: Api, path: str) -> Json:
    """The object, empty when it is not there."""
    try:
        return await api.get(path)
    except NotFound:
        return {}


async def _write_secret(api: Api, secret: Json, data: Mapping[str, bytes], settings: Settings) -> None:
    """Create or replace; the resourceVersion that was read is the guard against a second writer."""
    fresh = {name: base64.b64encode(value).decode() for name, value in data.items()}
    if secret:
        body = {**secret, "data": {**(secret.get("data") or {}), **fresh}}
        await api.replace(f"{_secrets_path(settings)}/{SECRET}", body)
    else:
        metadata = {"name": SECRET, "labels": {"app.kubernetes.io/part-of": "hami-operator"}}
        kind = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls"}
        await api.create(_secrets_path(settings), {**kind, "metadata": metadata, "data": fresh})
    log.info("certificates in Secret %s/%s renewed", settings.namespace, SECRET)


def _webhooks(configuration: Json) -> list[tuple[int, Json]]:
    return [(i, w) for i, w in enumerate(configuration.get("webhooks") or []) if w.get("name") == WEBHOOK]


def _published(configuration: Json) -> bytes:
    """The bundle that the API servers trust now."""
    for _, webhook in _webhooks(configuration):
        with contextlib.suppress(binascii.Error, TypeError):
            return base64.b64decode((webhook.get("clientConfig") or {}).get("caBundle") or "")
    return b""


def _publication(configuration: Json, bundle: bytes, url: str) -> list[Json]:
    """The patch that makes the configuration trust ``bundle`` (and call ``url``); empty when it does."""
    encoded = base64.b64encode(bundle).decode()
    operations: list[Json] = []
    for index, webhook in _webhooks(configuration):
        client = webhook.get("clientConfig") or {}
        wanted = {"url": url, "caBundle": encoded} if url else {**client, "caBundle": encoded}
        if client != wanted:
            path = f"/webhooks/{index}"
            operations.append({"op": "test", "path": f"{path}/name", "value": WEBHOOK})
            operations.append({"op": "add", "path": f"{path}/clientConfig", "value": wanted})
    return operations


def _decode(data: Mapping[str, str]) -> dict[str, bytes]:
    decoded = {}
    for name, text in data.items():
        with contextlib.suppress(binascii.Error, TypeError):
            decoded[name] = base64.b64decode(text)
    return decoded


def _secrets_path(settings: Settings) -> str:
    return f"/api/v1/namespaces/{quote(settings.namespace, safe='')}/secrets"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
