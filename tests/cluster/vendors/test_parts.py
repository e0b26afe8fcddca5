"""Cards in hard partitions, of each model: no part is given twice, and what is cut stays so until the card is empty."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from tests.cluster.vendors.stage import Json, Stage, why_not

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

NVIDIA = ("nvidia.com/gpu", "nvidia.com/gpumem")
VOLCANO = ("volcano.sh/vgpu-number", "volcano.sh/vgpu-memory")


@dataclass(frozen=True)
class Model:
    """Cards of one plugin: how pods ask for them, MiB of a small and of a large part, how many small ones there are."""

    names: tuple[str, str]
    annotations: dict[str, str]
    small: int
    large: int
    most: int

    def pod(self, name: str, memory: int) -> Json:
        count, amount = self.names
        container = {"name": "main", "image": "busybox", "resources": {"limits": {count: "1", amount: str(memory)}}}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "annotations": self.annotations},
            "spec": {"restartPolicy": "Never", "containers": [container]},
        }


MODELS = {
    "layouts": Model(NVIDIA, {"nvidia.com/vgpu-mode": "mig", "nvidia.com/use-gputype": "A100"}, 4000, 30000, 14),
    "placements": Model(NVIDIA, {"nvidia.com/vgpu-mode": "mig", "nvidia.com/use-gputype": "H100"}, 8000, 60000, 7),
    "groups": Model(VOLCANO, {"volcano.sh/vgpu-mode": "mig"}, 6000, 20000, 4),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
async def test_pods_at_once_fill_the_cards_and_none_gets_a_part_twice(model: Model, stage: Stage) -> None:
    pods = [model.pod(f"small-{number}", model.small) for number in range(model.most)]
    made = await asyncio.gather(*(stage.create(pod) for pod in pods))
    try:
        seen = await asyncio.gather(*(stage.running(pod["metadata"]["name"]) for pod in pods))
        given = [(await stage.environments(pod))["main"]["NVIDIA_VISIBLE_DEVICES"] for pod in seen]
        assert all(part.startswith("MIG-") for part in given)
        assert len(set(given)) == model.most
        made.append(await stage.create(model.pod("one-more", model.small)))
        assert why_not(await stage.settled("one-more"))
    finally:
        await asyncio.gather(*(stage.delete(pod) for pod in made))
        await stage.empty()


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
async def test_a_large_part_is_cut_when_the_last_small_one_is_given_back(model: Model, stage: Stage) -> None:
    made = [await stage.create(model.pod(f"small-{number}", model.small)) for number in range(model.most)]
    try:
        for pod in made:
            await stage.running(pod["metadata"]["name"])
        made.append(await stage.create(model.pod("large", model.large)))
        assert why_not(await stage.settled("large"))
        for pod in made[:-1]:
            await stage.delete(pod)
        made = made[-1:]
        await stage.running("large")
    finally:
        await asyncio.gather(*(stage.delete(pod) for pod in made))
        await stage.empty()
