"""kube-scheduler chooses the node, also by what we tell it of cards; the cards are chosen and bound by us."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest
from click.testing import CliRunner

from hami_operator.cli.main import main
from hami_operator.core import protocol
from tests.cluster.quota.stage import MEM, QuotaStage
from tests.cluster.whole.stage import Json, container, until

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

HOSTNAME = "kubernetes.io/hostname"
ALLOCATED = "hami.io/vgpu-devices-allocated"
T4 = {"annotations": {"nvidia.com/use-gputype": "T4"}}
A100 = {"annotations": {"nvidia.com/use-gputype": "A100"}}


def card(pod: Json) -> str:
    ((share,),) = protocol.decode_shares(ALLOCATED, pod["metadata"]["annotations"][ALLOCATED])
    return share.uuid


async def test_the_kubelet_gives_the_container_the_card_that_was_chosen_at_the_bind(stage: QuotaStage) -> None:
    await stage.create("p", container(gpu=1, mem=3000, cores=30), metadata=A100)
    pod = await stage.running("p")
    environment = await stage.sandbox.node(pod["spec"]["nodeName"]).environment(f"{stage.namespace}/p", "main")
    assert environment["NVIDIA_VISIBLE_DEVICES"] == card(pod)
    assert environment["CUDA_DEVICE_MEMORY_LIMIT_0"] == "3000m"
    assert await stage.event("p", "FilteringSucceed")
    assert await stage.event("p", "BindingSucceed")


async def test_spread_over_hosts_is_kept_as_kube_scheduler_keeps_it(stage: QuotaStage) -> None:
    labels = {"app": "spread"}
    rule = {
        "maxSkew": 1,
        "topologyKey": HOSTNAME,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels},
    }
    nodes: Counter[str] = Counter()
    for number in range(6):
        await stage.create(
            f"p{number}",
            container(gpu=1, mem=100),
            metadata={**T4, "labels": labels},
            topologySpreadConstraints=[{**rule, "nodeTaintsPolicy": "Honor", "nodeAffinityPolicy": "Honor"}],
            affinity={
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": ["t4-0", "t4-1"]}]}
                        ]
                    }
                }
            },
        )
        nodes[(await stage.running(f"p{number}"))["spec"]["nodeName"]] += 1
    assert nodes == {"t4-0": 3, "t4-1": 3}


async def test_binpack_wins_over_kube_schedulers_own_taste(stage: QuotaStage) -> None:
    cards = set()
    for number in range(4):
        await stage.create(f"p{number}", container(gpu=1, mem=1000), metadata=T4)
        pod = await stage.running(f"p{number}")
        cards.add((pod["spec"]["nodeName"], card(pod)))
    assert len({node for node, _ in cards}) == 1


async def test_a_pod_that_fits_nowhere_is_told_why_and_starts_when_there_is_room(stage: QuotaStage) -> None:
    for number in range(2):
        await stage.create(f"holder-{number}", container(gpu=1), metadata=A100)
        await stage.running(f"holder-{number}")
    await stage.create("late", container(gpu=1, mem=40_000), metadata=A100)
    message = await stage.refused("late", "NodeUnfitPod")
    assert "2/2 Card" in message
    assert "4/4 CardTypeMismatch" in message
    assert "Preemption is not helpful" in message
    told = await stage.event("late", "FilteringFailed")
    assert told["note"].startswith("no available node, 5 nodes do not meet: ")
    await stage.delete("holder-0")
    assert (await stage.running("late"))["spec"]["nodeName"] == "a100-80-0"


async def test_a_raised_quota_lets_its_pod_go_at_once(stage: QuotaStage) -> None:
    await stage.limit({MEM: 1500})
    await stage.create("first", container(gpu=1, mem=1000))
    await stage.running("first")
    await stage.create("second", container(gpu=1, mem=1000))
    message = await stage.refused("second", "ResourceQuotaNotFit")
    assert "limits.nvidia.com/gpumem" in message
    await stage.summary("gpumem 1000/1500", pending=1)
    await stage.change({MEM: 2000})
    pod = await stage.running("second")
    assert protocol.RETRY in pod["metadata"]["annotations"], "kube-scheduler knows nothing of quotas"


async def test_cards_on_nodes_that_kube_scheduler_rules_out_keep_no_pod_from_being_woken(stage: QuotaStage) -> None:
    """The quota leaves room for a whole T4, and the pod may have the A100 alone."""
    await stage.limit({MEM: 20_000})
    await stage.create("p", container(gpu=1), nodeSelector={HOSTNAME: "a100-80-0"})
    await stage.refused("p", "ResourceQuotaNotFit")
    assert await stage.event("p", "FilteringFailed")
    await stage.change({MEM: 90_000})
    pod = await stage.running("p")
    assert protocol.RETRY in pod["metadata"]["annotations"]


async def test_pods_without_accelerators_are_kube_schedulers_alone(stage: QuotaStage) -> None:
    await stage.create("plain", {"name": "main", "image": "example.org/i"}, schedulerName="hami-scheduler")
    pod = await stage.running("plain")
    assert not any(key.startswith("hami.io/") for key in pod["metadata"].get("annotations", {}))


async def test_another_family_with_another_lock_is_bound_as_well(stage: QuotaStage) -> None:
    await stage.create("p", container(**{"hygon.com/dcunum": 1, "hygon.com/dcumem": 2000}))
    pod = await stage.running("p")
    assert "hami.io/dcu-devices-allocated" in pod["metadata"]["annotations"]


async def test_many_at_once_get_what_there_is_and_no_more(stage: QuotaStage) -> None:
    """Each takes more than half a card of 12 T4s; kube-scheduler asks for the next while others are being bound."""
    names = [f"p{number:02}" for number in range(16)]
    await asyncio.gather(*(stage.create(name, container(gpu=1, mem=9000), metadata=T4) for name in names))

    async def counted() -> Counter[str]:
        return Counter(pod["status"]["phase"] for pod in await stage.pods())

    async def twelve_run() -> bool:
        return (await counted())["Running"] == 12

    await until("as many run as there are cards", twelve_run, 60)
    assert await counted() == {"Running": 12, "Pending": 4}
    await stage.settled()


async def test_explain_knows_who_judges_what(stage: QuotaStage) -> None:
    """A node has cards for the pod, but its affinity to a pod that is nowhere is kube-scheduler's to judge."""
    term = {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "nowhere"}}}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    await stage.create("p", container(gpu=1, mem=1000), affinity=affinity)
    await stage.refused("p", "didn't match pod affinity rules")

    async def explained(*options: str) -> str:
        arguments = ["explain", "pod", f"{stage.namespace}/p", "--kubeconfig", str(stage.sandbox.kubeconfig), *options]
        return (await asyncio.to_thread(CliRunner().invoke, main, arguments)).stdout

    facts = json.loads(await explained("-o", "json"))
    assert facts["node"]
    assert "didn't match pod affinity rules" in facts["kube_scheduler"]
    text = await explained()
    assert "UnsupportedConstraint" not in text
    assert "kube-scheduler says: 0/5 nodes are available" in text
