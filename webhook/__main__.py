"""Command line of the webhook: ``serve`` reviews, keep ``certs`` right, print the ``configuration``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
import uvloop
import yaml
from prometheus_client import CollectorRegistry, Counter, generate_latest

from hami_operator import config
from hami_operator.kube.errors import KubeError

from . import configuration, install
from .app import Health, health_app
from .catalogue import Catalogue
from .mutate import Privileged, Settings, SharedLock, mutate_pod
from .review import Judge
from .server import Listen, listening, serve, stop_signal

if TYPE_CHECKING:
    from hami_operator.kube.client import Client


@click.group()
@click.option("--log-level", type=click.Choice(["debug", "info", "warning"]), default="info", show_default=True)
def main(log_level: str) -> None:
    """Admission of pods that ask for accelerators.

    \b
    Example:
      hami-webhook serve --cert-dir /tls --port 8443
    """
    logging.basicConfig(
        level=log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


_config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file, the operator's own. Default: built-in settings and HAMI_... variables.",
)
_namespace_option = click.option(
    "--namespace", envvar="POD_NAMESPACE", default="hami-system", show_default=True, help="Where the webhook lives."
)


@main.command("serve")
@click.option(
    "--cert-dir",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder with tls.crt and tls.key; changes are followed, and it may be empty at first.",
)
@click.option("--host", default="0.0.0.0", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8443, show_default=True, help="Reviews, over TLS.")
@click.option(
    "--health-port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="/livez, /readyz and /metrics, in the clear.",
)
@click.option(
    "--drain-seconds",
    type=click.FloatRange(0),
    default=10,
    show_default=True,
    help="How long to serve on after being told to stop.",
)
@_config_option
def serve_command(
    cert_dir: Path, host: str, port: int, health_port: int, drain_seconds: float, config_file: Path | None
) -> None:
    """Answer admission reviews of pods.

    \b
    Example:
      hami-webhook serve --cert-dir /tls --port 8443 --config /etc/hami/config.yaml
    """
    judge = judge_of(_load(config_file))
    try:
        uvloop.run(serve(Listen(cert_dir, host, port, health_port), judge, drain_seconds))
    except OSError as error:
        raise click.ClickException(f"can't serve on {host}, ports {port} and {health_port}: {error}") from None


@main.command("certs")
@click.option("--kubeconfig", help="How to reach the cluster. Default: the pod's own service account.")
@_namespace_option
@click.option("--url", default="", help="Call the webhook by this URL instead of its Service (it runs outside).")
@click.option(
    "--export",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write tls.crt and tls.key into this folder (for a webhook that runs outside the cluster).",
)
@click.option("--once", is_flag=True, help="End as soon as everything is right.")
@click.option("--interval", type=click.FloatRange(1), default=60, show_default=True, help="Seconds between two looks.")
@click.option(
    "--health-port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="/livez and /readyz."
)
def certs_command(
    kubeconfig: str | None,
    namespace: str,
    url: str,
    export: Path | None,
    once: bool,  # noqa: FBT001 - a command line flag
    interval: float,
    health_port: int,
) -> None:
    """Keep the certificates' Secret and the CA bundle of the MutatingWebhookConfiguration right.

    \b
    Examples:
      hami-webhook certs --namespace hami-system
      hami-webhook certs --once --kubeconfig k.yaml --url https://127.0.0.1:8443/mutate --export ./tls
    """
    names = install.service_names(configuration.SERVICE, namespace)
    if url:
        host = urlsplit(url).hostname
        if not host or not url.startswith("https://"):
            raise click.BadParameter(f"{url!r} is no URL such as https://127.0.0.1:8443/mutate", param_hint="--url")
        names = (*names, host)
    settings = install.Settings(namespace, names, url, export)
    work = _install(kubeconfig, settings) if once else _maintain(kubeconfig, settings, interval, health_port)
    try:
        uvloop.run(work)
    except (KubeError, OSError) as error:
        raise click.ClickException(str(error)) from None


@main.command("configuration")
@_namespace_option
@_config_option
def configuration_command(namespace: str, config_file: Path | None) -> None:
    """Print the MutatingWebhookConfiguration for the resource names in force.

    \b
    Example:
      hami-webhook configuration --config config.yaml | kubectl apply -f -
    """
    rendered = configuration.render(_load(config_file).devices.profiles(), namespace)
    click.echo(configuration.HEADER + yaml.dump(rendered, Dumper=configuration.Dumper, sort_keys=False), nl=False)


def _load(path: Path | None) -> config.Settings:
    try:
        return config.load(path)
    except config.ConfigError as error:
        raise click.ClickException(str(error)) from None


def judge_of(settings: config.Settings) -> Judge:
    """``mutate_pod`` as the settings want it."""
    catalogue = Catalogue(settings.devices.profiles())
    chosen = Settings(
        scheduler_name=settings.scheduler_name,
        overwrite_default_scheduler=settings.webhook.force_overwrite_default_scheduler,
        privileged=Privileged(settings.webhook.privileged),
        shared_lock=SharedLock(settings.webhook.shared_lock),
    )
    return lambda pod: mutate_pod(pod, catalogue, chosen)


async def _client(kubeconfig: str | None) -> Client:
    """A client; imported here, since ``serve`` needs none and would hold its hundred megabytes for nothing."""
    from hami_operator.kube.access import load_access  # noqa: PLC0415
    from hami_operator.kube.client import Client  # noqa: PLC0415

    return Client(await load_access(kubeconfig))


async def _install(kubeconfig: str | None, settings: install.Settings) -> None:
    async with await _client(kubeconfig) as client:
        await install.install(client, settings)


async def _maintain(kubeconfig: str | None, settings: install.Settings, interval: float, health_port: int) -> None:
    """The loop, with probes beside it, until told to stop. Ready when the last pass found nothing wrong."""
    stop, last = stop_signal(), ["the first pass is under way"]
    registry = CollectorRegistry()
    passes = Counter(
        "hami_operator_webhook_certificate_passes", "Looks at the certificates.", ["result"], registry=registry
    )

    def told(trouble: str) -> None:
        last[0] = trouble
        passes.labels("trouble" if trouble else "ok").inc()

    async with contextlib.AsyncExitStack() as stack:
        app = health_app(Health(lambda: last[0]), lambda: generate_latest(registry))
        await stack.enter_async_context(listening(app, "0.0.0.0", health_port))
        client = await stack.enter_async_context(await _client(kubeconfig))
        loop = asyncio.create_task(install.maintain(client, settings, interval, told))
        stack.callback(loop.cancel)
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({loop, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if loop in done:
            loop.result()


if __name__ == "__main__":
    main()
