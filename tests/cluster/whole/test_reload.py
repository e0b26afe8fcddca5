"""The device configuration is followed while pods run: nothing is lost, a bad file keeps the last good one."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from .stage import Stage, container, until

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]


async def test_a_changed_file_takes_effect_and_running_pods_keep_their_cards(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "device-config.yaml"
    file.write_text("nvidia: {resourceCountName: nvidia.com/gpu}\n")
    stage.installation.kill(stage.operator)
    operator = await stage.installation.start_operator({"HAMI_DEVICE_CONFIG_FILE": str(file)})
    here = {"kubernetes.io/hostname": "a30-0"}
    try:
        await stage.create("before", container(gpu=1, percent=100, cores=0), nodeSelector=here)
        await stage.running("before")
        file.write_text("nvidia: {defaultCores: 900}\n")

        async def told() -> bool:
            async with aiohttp.ClientSession() as session, session.get(f"{operator.url}/readyz") as response:
                return response.status == 200 and "nvidia.defaultCores: 900" in await response.text()

        await until("readyz tells of the bad file", told)
        file.write_text("nvidia: {resourceCountName: nvidia.com/gpu, defaultMemory: 24576}\n")

        async def in_force() -> bool:
            return f"{file} has changed and is in force" in stage.installation.log(operator)

        await until("the good file is in force", in_force)
        # cores given, no memory: the default of 24 576 MiB fits the one A30 that is still free, and no second time
        await stage.create("after", container(gpu=1, cores=10), nodeSelector=here)
        await stage.running("after")
        await stage.create("third", container(gpu=1, cores=10), nodeSelector=here)
        await stage.refused("third", "CardInsufficientMemory")
        assert await stage.metric("hami_operator_audit_differences") == 0
    finally:
        stage.installation.kill(operator)
        await stage.installation.start_operator()
