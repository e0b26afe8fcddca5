"""A stage with words for quotas: make them, change them, and read what the operator says of them."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from hami_operator.sandbox.errors import ApiError
from hami_operator.sandbox.installation import Installation
from tests.cluster.whole.stage import Json, Stage, container, namespace, until

GPU, MEM, CORES = "limits.nvidia.com/gpu", "limits.nvidia.com/gpumem", "limits.nvidia.com/gpucores"
ROOT = "/apis/hami-operator.io/v1alpha1"
CONNECTIONS = 16


def quota_object(name: str, hard: object, **spec: Any) -> Json:
    return {
        "apiVersion": "hami-operator.io/v1alpha1",
        "kind": "ExtendedResourceQuota",
        "metadata": {"name": name},
        "spec": {"hard": hard, **spec},
    }


@dataclass(frozen=True)
class QuotaStage(Stage):
    """One namespace, and its quotas."""

    def quota_path(self, name: str = "") -> str:
        path = f"{ROOT}/namespaces/{self.namespace}/extendedresourcequotas"
        return f"{path}/{name}" if name else path

    async def limit(self, hard: Mapping[str, object], name: str = "team", **spec: Any) -> Json:
        """Create a quota; returns once the operator has taken it over."""
        made = await self.api.post(self.quota_path(), quota_object(name, dict(hard), **spec))
        await self.observed(name)
        return made

    async def change(self, hard: Mapping[str, object | None], name: str = "team") -> None:
        """Other amounts for these keys (None removes)."""
        await self.api.patch(self.quota_path(name), {"spec": {"hard": dict(hard)}})

    async def quota(self, name: str = "team") -> Json:
        return await self.api.get(self.quota_path(name))

    async def observed(self, name: str = "team") -> Json:
        """The status once it speaks of the object as it is now."""

        async def ask() -> Json | None:
            found = await self.quota(name)
            status = found.get("status") or {}
            return status if status.get("observedGeneration") == found["metadata"]["generation"] else None

        return await until(f"the status of quota {name} is of its generation", ask)

    async def summary(self, text: str, name: str = "team", pending: int | None = None) -> Json:
        """The status once its summary (and count of waiting pods) is this."""
        seen: list[object] = []

        async def ask() -> Json | None:
            status = (await self.quota(name)).get("status") or {}
            seen[:] = [status.get("summary"), status.get("pending")]
            fits = status.get("summary") == text and pending in (None, status.get("pending"))
            return status if fits else None

        try:
            return await until(f"quota {name} is {text}", ask, 60)
        except AssertionError as error:
            raise AssertionError(f"{error}: it is {seen}") from None

    async def crowd(self, names: list[str], **limits: object) -> None:
        """Create many pods at once."""
        room = asyncio.Semaphore(CONNECTIONS)

        async def one(name: str) -> None:
            async with room:
                await self.create(name, container(**limits))

        await asyncio.gather(*(one(name) for name in names))

    async def bound(self) -> set[str]:
        """The pods of the namespace that have a node and have not ended."""
        return {
            pod["metadata"]["name"]
            for pod in await self.pods()
            if pod["spec"].get("nodeName") and pod["status"]["phase"] not in ("Succeeded", "Failed")
        }

    async def explained(self, most: int) -> set[str]:
        """The bound pods once every other one says that a quota keeps it; never more than ``most`` on the way."""

        async def ask() -> set[str] | None:
            pods = await self.pods()
            bound = {pod["metadata"]["name"] for pod in pods if pod["spec"].get("nodeName")}
            assert len(bound) <= most, f"{len(bound)} pods are bound, room is for {most}"
            rest = [pod for pod in pods if pod["metadata"]["name"] not in bound]
            return bound if all(_refused_by_quota(pod) for pod in rest) else None

        found: set[str] = await until("every pod is bound or waits for a quota", ask, 120)
        return found

    async def writes(self) -> float:
        """How often the operator has written a status of a quota."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.operator.url}/metrics") as response:
            text = await response.text()
        pattern = (
            r'hami_operator_api_requests_total\{method="PATCH",resource="extendedresourcequotas/status"[^}]*\} (\S+)'
        )
        return sum(float(count) for count in re.findall(pattern, text))


def _refused_by_quota(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(c["type"] == "PodScheduled" and "ResourceQuotaNotFit" in c.get("message", "") for c in conditions)


@contextlib.asynccontextmanager
async def quota_stage(installed: Installation, label: str) -> AsyncIterator[QuotaStage]:
    """A fresh namespace; at the end its pods and quotas are gone."""
    async with namespace(installed.sandbox, installed, label) as made:
        stage = QuotaStage(made.sandbox, made.installation, made.api, made.namespace)
        try:
            yield stage
        finally:
            for found in (await stage.api.get(stage.quota_path()))["items"]:
                with contextlib.suppress(ApiError):
                    await stage.api.delete(stage.quota_path(found["metadata"]["name"]))
