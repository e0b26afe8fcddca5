"""Kubeconfigs: read, followed when they change, and named when they are wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hami_operator.kube.access import load_access
from hami_operator.kube.errors import AccessError

pytestmark = pytest.mark.asyncio

CONFIG = """
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1/base/"}}]
users:
- {name: u, user: {%s}}
- {name: other, user: {token: other-token}}
contexts: [{name: here, context: {cluster: c, user: u}}, {name: there, context: {cluster: c, user: other}}]
"""


def write(path: Path, user: str) -> str:
    path.write_text(CONFIG % user)
    return str(path)


async def test_a_token_becomes_a_bearer_header(tmp_path: Path) -> None:
    access = await load_access(write(tmp_path / "config", "token: secret"))
    assert access.server == "http://127.0.0.1:1/base"
    assert await access.authorization() == "Bearer secret"


async def test_a_context_can_be_chosen(tmp_path: Path) -> None:
    access = await load_access(write(tmp_path / "config", "token: secret"), "there")
    assert await access.authorization() == "Bearer other-token"


async def test_a_token_file_is_read_again_on_refresh(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    access = await load_access(write(tmp_path / "config", "tokenFile: token"))
    assert await access.authorization() == "Bearer first"
    (tmp_path / "token").write_text("second\n")
    await access.refresh()
    assert await access.authorization() == "Bearer second"


async def test_a_changed_kubeconfig_is_read_again_on_refresh(tmp_path: Path) -> None:
    config = tmp_path / "config"
    access = await load_access(write(config, "token: first"))
    write(config, "token: second")
    os.utime(config, (1, 1))
    await access.refresh()
    assert await access.authorization() == "Bearer second"


async def test_credentials_that_can_not_be_read_again_are_used_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    access = await load_access(write(config, "token: first"))
    monkeypatch.setattr("hami_operator.kube.access.REFRESH_S", 0.0)
    config.unlink()
    assert await access.authorization() == "Bearer first"
    write(config, "token: second")
    assert await access.authorization() == "Bearer second"


async def test_an_exec_plugin_gives_the_token(tmp_path: Path) -> None:
    credential = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"plugged"}}'
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\necho '{credential}'\n")
    plugin.chmod(0o700)
    user = f"exec: {{apiVersion: client.authentication.k8s.io/v1, command: {plugin}, interactiveMode: Never}}"
    access = await load_access(write(tmp_path / "config", user))
    assert await access.authorization() == "Bearer plugged"


async def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match=f"{tmp_path}/none: no such kubeconfig"):
        await load_access(str(tmp_path / "none"))


@pytest.mark.parametrize("text", ["", "[", "a: b", "42", "current-context: x\ncontexts: []\nclusters: []\nusers: []"])
async def test_a_kubeconfig_that_can_not_be_read_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(AccessError, match=f"{tmp_path}/config: no usable kubeconfig"):
        await load_access(str(tmp_path / "config"))


async def test_an_unknown_context_is_named(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="nowhere"):
        await load_access(write(tmp_path / "config", "token: secret"), "nowhere")


async def test_a_ca_bundle_that_is_not_there_is_named(tmp_path: Path) -> None:
    text = (CONFIG % "token: t").replace("http://127.0.0.1:1/base/", "https://127.0.0.1:1")
    text = text.replace("server:", "certificate-authority: none.crt, server:")
    (tmp_path / "config").write_text(text)
    with pytest.raises(AccessError, match=r"none\.crt"):
        await load_access(str(tmp_path / "config"))


async def test_a_proxy_from_the_environment_is_used_unless_the_server_is_exempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path / "config", "token: t")
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "")
    assert (await load_access(config)).proxy == "http://proxy:3128"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert (await load_access(config)).proxy is None
