"""The sandbox as a whole: a real cluster, its accounts, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import pytest

from hami_operator.sandbox import Kind, NodeSpec, Sandbox, SandboxError, Settings
from hami_operator.sandbox.errors import AlreadyRunning, NotRunning
from hami_operator.sandbox.instance import Instance
from hami_operator.sandbox.processes import marked

from .binding import until

pytestmark = [pytest.mark.asyncio, pytest.mark.cluster]

SIMULATED = [NodeSpec("t4", 2, 2, Kind.SIMULATED)]


async def test_a_service_account_has_its_own_rights_and_no_others(sandbox: Sandbox) -> None:
    await sandbox.kubectl("create", "namespace", "accounts")
    await sandbox.kubectl("create", "serviceaccount", "reader", "-n", "accounts")
    await sandbox.kubectl("create", "clusterrole", "nodes-only", "--verb=get,list", "--resource=nodes")
    binding = ("--clusterrole=nodes-only", "--serviceaccount=accounts:reader")
    await sandbox.kubectl("create", "clusterrolebinding", "nodes-only", *binding)
    config = await sandbox.service_account_kubeconfig("accounts", "reader")
    who = await sandbox.kubectl("auth", "whoami", "-o", "json", f"--kubeconfig={config}")
    assert json.loads(who.stdout)["status"]["userInfo"]["username"] == "system:serviceaccount:accounts:reader"
    await sandbox.kubectl("get", "nodes", f"--kubeconfig={config}")
    with pytest.raises(SandboxError, match="cannot list resource"):
        await sandbox.kubectl("get", "pods", f"--kubeconfig={config}")


async def test_a_user_has_the_rights_of_name_and_groups(sandbox: Sandbox) -> None:
    await sandbox.kubectl("create", "namespace", "team")
    await sandbox.kubectl("create", "rolebinding", "team", "-n", "team", "--clusterrole=edit", "--group=team")
    config = sandbox.user_kubeconfig("alice", "team")
    await sandbox.kubectl("create", "configmap", "mine", "-n", "team", f"--kubeconfig={config}")
    with pytest.raises(SandboxError, match='User "alice" cannot create resource "configmaps"'):
        await sandbox.kubectl("create", "configmap", "mine", "-n", "default", f"--kubeconfig={config}")


async def test_controllers_make_pods_and_the_garbage_collector_removes_them(sandbox: Sandbox) -> None:
    await sandbox.kubectl("create", "deployment", "web", "--image=example.org/web", "--replicas=3")

    async def pods() -> dict[str, int]:
        found = await sandbox.kubectl("get", "pods", "-l", "app=web", "-o", "name")
        return {"pods": len(found.stdout.split())}

    await until(lambda found: found["pods"] == 3, pods, "the deployment's pods are made")
    await sandbox.kubectl("delete", "deployment", "web")
    await until(lambda found: found["pods"] == 0, pods, "the deployment's pods are removed")


async def test_two_run_side_by_side_and_a_name_only_once(sandbox: Sandbox, tmp_path: Path) -> None:
    async with await Sandbox.start(SIMULATED, Settings(name="second", parent=tmp_path)) as second:
        assert second.url != sandbox.url
        assert {node.name for node in Sandbox.attach("second", tmp_path).nodes} == {"t4-0", "t4-1"}
        with pytest.raises(AlreadyRunning, match="'second' is running already"):
            await Sandbox.start((), Settings(name="second", parent=tmp_path))
        folder = second.folder
    assert not folder.exists()
    assert list(marked(folder)) == []
    with pytest.raises(NotRunning):
        Sandbox.attach("second", tmp_path)
    assert (await sandbox.kubectl("get", "namespaces")).returncode == 0


async def test_kube_scheduler_places_plain_pods_on_request(tmp_path: Path) -> None:
    async with await Sandbox.start(SIMULATED, Settings(name="own", parent=tmp_path, scheduler=True)) as own:
        await own.kubectl("run", "plain", "--image=example.org/x")

        async def read() -> dict[str, str]:
            found = await own.kubectl("get", "pod", "plain", "-o", "json")
            return {"phase": json.loads(found.stdout)["status"]["phase"]}

        await until(lambda found: found["phase"] == "Running", read, "the pod runs")


_STARTER = """
import asyncio, sys
from pathlib import Path
from hami_operator.sandbox import Kind, NodeSpec, Sandbox, Settings
async def main():
    settings = Settings(name="victim", parent=Path(sys.argv[1]), attached=sys.argv[2] == "attached")
    await Sandbox.start([NodeSpec("t4", 1, kind=Kind(sys.argv[3]))], settings)
    print("up", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_kill_9_of_the_starter_ends_everything_and_the_next_start_clears_the_rest(
    tmp_path: Path, kind: Kind
) -> None:
    command = [sys.executable, "-c", _STARTER, str(tmp_path), "attached", kind.value]
    starter = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert starter.stdout is not None
    assert await starter.stdout.readline() == b"up\n"
    folder = Instance.of("victim", tmp_path).folder
    assert len(list(marked(folder))) >= 4
    starter.kill()
    await starter.wait()
    deadline = time.monotonic() + 10
    while any(marked(folder)):
        assert time.monotonic() < deadline, "processes are left"
        await asyncio.sleep(0.05)
    assert folder.exists()
    async with await Sandbox.start((), Settings(name="victim", parent=tmp_path)) as again:
        assert again.nodes == []
    assert not folder.exists()


async def test_down_clears_a_start_in_the_background_that_was_killed_half_way(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _STARTER, str(tmp_path), "detached", "simulated"]
    starter = await asyncio.create_subprocess_exec(*command)
    folder = Instance.of("victim", tmp_path).folder
    while not any(marked(folder)):
        assert starter.returncode is None
        await asyncio.sleep(0.01)
    starter.kill()
    await starter.wait()
    assert any(marked(folder)), "what was started in the background lives on"
    down = ("-m", "hami_operator", "sandbox", "down", "--name=victim", f"--dir={tmp_path}")
    process = await asyncio.create_subprocess_exec(sys.executable, *down, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert output == b"sandbox victim is gone\n"
    assert not any(marked(folder))
    assert os.listdir(tmp_path) == []


async def test_companions_end_with_the_sandbox(tmp_path: Path) -> None:
    async with await Sandbox.start((), Settings(name="own", parent=tmp_path)) as own:
        pid = own.spawn("companion", [sys.executable, "-c", "print('hello', flush=True); input()"])
        assert pid in marked(own.folder)
        folder = own.folder
    assert list(marked(folder)) == []


@pytest.fixture
def broken_assets(tmp_path: Path) -> Path:
    """A folder with components that end at once."""
    everything = tmp_path / "assets" / "controlplane"
    everything.parent.mkdir()
    everything.write_text("#!/bin/sh\necho this component is broken >&2\nexit 7\n")
    everything.chmod(0o755)
    return everything.parent


async def test_a_component_that_dies_is_named_with_the_end_of_its_log(
    tmp_path: Path, broken_assets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(broken_assets))
    with pytest.raises(SandboxError, match=r"(?s)ended with status 7.*this component is broken"):
        await Sandbox.start((), Settings(name="broken", parent=tmp_path / "sandboxes"))
    assert os.listdir(tmp_path / "sandboxes") == []
