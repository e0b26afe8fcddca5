"""Where the API server is and how we log in: kubeconfig or the pod's own service account, read by kubernetes-asyncio.

Credentials are read again every minute and after a 401, so that rotated tokens, exec plugins and renewed client
certificates are followed without a restart.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException, kube_config
from kubernetes_asyncio.config.incluster_config import (
    SERVICE_CERT_FILENAME,
    SERVICE_HOST_ENV_NAME,
    SERVICE_TOKEN_FILENAME,
    InClusterConfigLoader,
)

from .errors import AccessError

log = logging.getLogger(__name__)

REFRESH_S = 60.0


class Access:
    """The API server's address, TLS settings and current credentials. Made by ``load_access``."""

    def __init__(self, reload: Callable[[], Awaitable[Configuration]], settings: Configuration) -> None:
        self._reload = reload
        self._settings = settings
        self._loaded = time.monotonic()
        self._reading = asyncio.Lock()
        self._certificate: tuple[str, float] | None = None
        self.server: str = str(settings.host).rstrip("/")
        self.tls = self._context() if self.server.startswith("https") else None
        self.proxy = settings.proxy or _proxy_from_environment(self.server)

    @property
    def ca_file(self) -> str | None:
        """The file with the CA bundle that the server's certificate is checked against; None: the system's."""
        path: str | None = self._settings.ssl_ca_cert
        return path

    @property
    def client_certificate(self) -> tuple[str, str | None] | None:
        """Files of client certificate and key, when we log in with one."""
        cert: str | None = self._settings.cert_file
        return (cert, self._settings.key_file) if cert else None

    @property
    def verify(self) -> bool:
        """Whether the server's certificate is checked at all."""
        return bool(self._settings.verify_ssl)

    @property
    def server_name(self) -> str | None:
        """The name to expect in the server's certificate when it is not that of the address."""
        name: str | None = self._settings.tls_server_name
        return name

    async def authorization(self) -> str | None:
        """The Authorization header as of now, None where a client certificate (or nothing) is used.

        Credentials that can't be read again are used on as they were: it is the server who says when they are over.
        """
        if time.monotonic() - self._loaded >= REFRESH_S:
            try:
                await self.refresh()
            except AccessError as error:
                log.warning("credentials could not be read again: %s", error)
                self._loaded = time.monotonic()
        return self._header()

    async def refresh(self) -> None:
        """Read the credentials again (after a 401). Raises AccessError when that does not work."""
        stale = self._loaded
        async with self._reading:
            if self._loaded != stale:
                return
            self._settings = await self._reload()
            self._follow_certificate()
            self._loaded = time.monotonic()

    def _header(self) -> str | None:
        header: str | None = self._settings.api_key.get("BearerToken")
        return header.strip() if header else None

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._settings.ssl_ca_cert)
        except (OSError, ssl.SSLError) as error:
            raise AccessError(f"{self._settings.ssl_ca_cert}: no usable CA bundle: {error}") from error
        if not self._settings.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self.tls = context
        self._follow_certificate()
        return context

    def _follow_certificate(self) -> None:
        """Give new handshakes the client certificate as it is on disk now."""
        if self.tls is None or not self._settings.cert_file:
            return
        path = self._settings.cert_file
        try:
            version = (path, Path(path).stat().st_mtime)
            if version != self._certificate:
                self.tls.load_cert_chain(path, keyfile=self._settings.key_file)
                self._certificate = version
        except (OSError, ssl.SSLError) as error:
            raise AccessError(f"{path}: no usable client certificate: {error}") from error


async def load_access(kubeconfig: str | None = None, context: str | None = None) -> Access:
    """How to reach the cluster.

    ``kubeconfig`` names a file; without it the pod's own service account is used inside a cluster, else ``KUBECONFIG``
    or ``~/.kube/config``. ``context`` chooses one of the file's contexts, its current one by default.

    Raises:
        AccessError: names the file and what is wrong with it.
    """
    reload = _source(kubeconfig, context)
    return Access(reload, await reload())


def _source(kubeconfig: str | None, context: str | None) -> Callable[[], Awaitable[Configuration]]:
    if kubeconfig is None and os.environ.get(SERVICE_HOST_ENV_NAME) and Path(SERVICE_TOKEN_FILENAME).exists():
        return _in_cluster
    name = kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    return _Kubeconfig(name, context).read


async def _in_cluster() -> Configuration:
    settings = Configuration()
    try:
        loader = InClusterConfigLoader(SERVICE_TOKEN_FILENAME, SERVICE_CERT_FILENAME, try_refresh_token=False)
        loader.load_and_set(settings)
    except (ConfigException, OSError) as error:
        raise AccessError(f"{SERVICE_TOKEN_FILENAME}: {error}") from error
    return settings


class _Kubeconfig:
    """A kubeconfig, or several joined by ``:``. The loader is kept while the files stay, as it knows when to ask an
    exec plugin again."""

    def __init__(self, name: str, context: str | None) -> None:
        self._name = name
        self._context = context
        self._loader: kube_config.KubeConfigLoader | None = None
        self._version: tuple[float, ...] = ()

    async def read(self) -> Configuration:
        """The settings as of now. Raises AccessError."""
        version = self._version_on_disk()
        settings = Configuration()
        try:
            if self._loader is None or version != self._version:
                self._loader = await kube_config.load_kube_config(
                    self._name, self._context, settings, persist_config=False
                )
                self._version = version
            else:
                await self._loader.load_and_set(settings)
        except (ConfigException, OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
            raise AccessError(f"{self._name}: no usable kubeconfig: {error}") from error
        return settings

    def _version_on_disk(self) -> tuple[float, ...]:
        paths = [Path(path).expanduser() for path in self._name.split(os.pathsep) if path]
        version = tuple(path.stat().st_mtime for path in paths if path.is_file())
        if not version:
            raise AccessError(f"{self._name}: no such kubeconfig")
        return version


def _proxy_from_environment(server: str) -> str | None:
    """Read once: asking the environment at every request costs more than building the request."""
    parts = urlsplit(server)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)
