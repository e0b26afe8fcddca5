"""Each example through API server, webhook, operator and the family's simulated plugin, against its golden file.

``UPDATE_GOLDEN=1 pytest tests/cluster/vendors`` writes the files anew: read the difference before it is committed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hami_operator.sandbox.errors import ApiError
from tests.cluster.vendors.stage import Json, Stage, masked, why_not

ROOT = Path(__file__).parents[3]
#: What is shown by tests of its own: quotas, and pods of charts.
ELSEWHERE = ("charts", "quota")
EXAMPLES = sorted(p for p in (ROOT / "manifests" / "examples").glob("*/*.yaml") if p.parent.name not in ELSEWHERE)
GOLDEN = ROOT / "tests" / "golden" / "examples"

pytestmark = pytest.mark.cluster


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_an_example_leaves_what_the_vendors_plugin_reads(path: Path, stage: Stage, update_golden: bool) -> None:
    seen = await _play(stage, _objects(path))
    _compare(GOLDEN / path.parent.name / path.name, yaml.safe_dump(seen, sort_keys=False, width=110), update_golden)


def test_every_golden_file_has_its_example() -> None:
    examples = {(path.parent.name, path.name) for path in EXAMPLES}
    assert {(path.parent.name, path.name) for path in GOLDEN.glob("*/*.yaml")} == examples


def _objects(path: Path) -> list[Json]:
    return list(yaml.safe_load_all(path.read_text()))


def _compare(golden: Path, text: str, update: bool) -> None:
    if update:
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert golden.exists(), f"{golden} is missing: write it with UPDATE_GOLDEN=1"
    assert text == golden.read_text()


async def _play(stage: Stage, objects: list[Json]) -> Json:
    """By name: what the webhook made of it, and what became of it."""
    seen: Json = {}
    made: list[Json] = []
    try:
        for obj in objects:
            name = obj["metadata"]["name"]
            try:
                made.append(await stage.create(obj))
            except ApiError as error:
                seen[name] = {"refused": str(error).partition("denied the request: ")[2] or str(error)}
            else:
                seen[name] = await _became(stage, made[-1])
    finally:
        for obj in made:
            await stage.delete(obj)
        await stage.empty()
        for told in seen.values():
            if "fails" in told:
                await stage.mend(told["node"])
    return seen


async def _became(stage: Stage, obj: Json) -> Json | list[Json]:
    """What became of a pod; of a workload, its pods in an order that is always the same."""
    if obj["kind"] == "Pod":
        return await _outcome(stage, await stage.settled(obj["metadata"]["name"]))
    pods = [await stage.settled(pod["metadata"]["name"]) for pod in await stage.pods_of(obj)]
    return sorted([await _outcome(stage, pod) for pod in pods], key=repr)


async def _outcome(stage: Stage, pod: Json) -> Json:
    annotations = masked(pod["metadata"].get("annotations", {}))
    containers = [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
    told: dict[str, Any] = {"limits": {c["name"]: c.get("resources", {}).get("limits", {}) for c in containers}}
    if "nodeName" not in pod["spec"]:
        return {**told, "waits": why_not(pod), "annotations": annotations}
    told = {"node": pod["spec"]["nodeName"], **told, "annotations": annotations}
    if pod["status"]["phase"] == "Failed":
        return {**told, "fails": pod["status"]["message"]}
    assert pod["status"]["phase"] == "Running", pod["status"]
    return {**told, "environment": await stage.environments(pod)}
