"""AWS Neuron: devices in a row, cores of a device, and the ids the plugin gets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hami_operator.core.binding import binding_annotations
from hami_operator.core.errors import InvalidRequest, ProtocolError
from hami_operator.core.model import Device, Share
from hami_operator.core.objects import read_node
from hami_operator.core.request import check_one_name
from hami_operator.core.schedule import Placement, schedule
from hami_operator.core.vendor import Grant
from tests.builders import NOW, cluster, node, pod
from tests.golden import rows
from tests.vendors.replay import check_fit, check_request, family

NEURON = family("AWSNeuron")

INSTANCE = "node.kubernetes.io/instance-type"


def device(cores: int) -> Device:
    return Device("", 0, cores, 0, cores, "AWSNeuron")


@pytest.mark.parametrize("row", rows("neuron.yaml", "requests"))
def test_devices_and_cores_become_a_request_or_a_refusal(row: dict[str, Any]) -> None:
    check_request(NEURON, row)


@pytest.mark.parametrize("row", rows("neuron.yaml", "blocks"))
def test_devices_are_taken_in_a_row_as_the_instance_wants_them(row: dict[str, Any]) -> None:
    held = {"tenants": [[0, 1], [0, 2]]}
    limits = {"aws.amazon.com/neuron": row["ask"]}
    check_fit(NEURON, device(2), {**row, "held": held, "limits": limits, "labels": {INSTANCE: row["type"]}})


@pytest.mark.parametrize("row", rows("neuron.yaml", "cores"))
def test_cores_are_taken_in_a_row_from_the_last_device_that_has_them(row: dict[str, Any]) -> None:
    cards = [{"tenants": [[0, mask] for mask in masks]} for masks in row["held"]]
    limits = {"aws.amazon.com/neuroncore": row["ask"]}
    labels = {INSTANCE: row.get("type", "trn1.32xlarge")}
    check_fit(NEURON, device(row["cores"]), {**row, "cards": cards, "limits": limits, "labels": labels})


@pytest.mark.parametrize("row", rows("neuron.yaml", "ids"))
def test_the_plugin_is_told_the_indexes_of_devices_or_of_cores(row: dict[str, Any]) -> None:
    devices = {f"d-{index}": replace(device(2), uuid=f"d-{index}", index=index) for index in range(16)}
    given = [[Share(f"d-{index}", "AWSNeuron", 0, mask) for index, mask in shares] for shares in row["given"]]
    containers = [
        {"name": f"c{number}", "resources": {"limits": {f"aws.amazon.com/{name}": "1"} if name else {}}}
        for number, name in enumerate(row["asked"])
    ]
    written = NEURON.hooks.annotate(Grant(NEURON, pod("p", *containers), node("n1"), devices, given, NOW))
    assert written.pop("hami.io/aws-neuron-devices-allocated").count(";") == len(given)
    assert written == {
        "AWS_NEURON_IDS": row["ids"],
        "NEURON_ALLOC_TIME": "1760000000000000000",
        "NEURON_ALLOCATED": "false",
        "aws.amazon.com/predicate-node": "n1",
        **({"NEURON_RESOURCE_TYPE": "aws.amazon.com/neuroncore"} if row.get("cores") else {}),
    }
    assert all(NEURON.writes(key) for key in written)


def instance(name: str = "n1", kind: str = "trn1.32xlarge", devices: int = 16, cores: int = 32) -> Any:
    amounts = {"aws.amazon.com/neuron": str(devices), "aws.amazon.com/neuroncore": str(cores)}
    status = {"capacity": amounts, "allocatable": amounts}
    return read_node({"metadata": {"name": name, "labels": {INSTANCE: kind}}, "status": status})


def asking(name: str = "p", **amounts: int) -> Any:
    limits = {f"aws.amazon.com/{key}": str(value) for key, value in amounts.items()}
    return pod(name, {"name": "main", "resources": {"limits": limits}})


# -- the node's devices ------------------------------------------------------------------------------------------


def test_devices_are_counted_with_their_cores() -> None:
    """The register says 3 for two cores, a mask; here cores are counted, and masks are in shares alone."""
    (only,) = NEURON.inventory(instance("test", "inf2", 1, 2))
    assert only == Device("test-AWSNeuron-0", 0, 2, 0, 2, "AWSNeuron")


def test_a_node_without_devices_has_none() -> None:
    assert NEURON.inventory(instance(devices=0, cores=0)) == ()
    assert NEURON.inventory(node("n1")) == ()


@pytest.mark.parametrize(("devices", "cores"), [(16, 33), (16, 0), (1, 32), (2000, 4000)])
def test_numbers_that_make_no_devices_are_told(devices: int, cores: int) -> None:
    with pytest.raises(ProtocolError, match=f"{cores} cores on {devices} devices") as caught:
        NEURON.inventory(instance(devices=devices, cores=cores))
    assert caught.value.key == "aws.amazon.com/neuroncore"


def test_each_node_has_cores_of_its_own() -> None:
    """HAMi takes the cores per device of the first node for all (B9)."""
    world = cluster([instance("a", "inf1.6xlarge", 4, 16), instance("b", "inf2.24xlarge", 6, 12)], profiles=[NEURON])
    decision = schedule(asking(neuroncore=4), world, NOW)
    assert isinstance(decision, Placement)
    assert {name: verdict.fits for name, verdict in decision.kept.verdicts.items()} == {"a": True, "b": True}
    only_a = schedule(asking("q", neuroncore=3), world, NOW)
    assert isinstance(only_a, Placement)
    assert only_a.node == "a"


# -- pods --------------------------------------------------------------------------------------------------------


def test_ex_24_cores_of_a_chip_go_one_by_one() -> None:
    world = cluster([instance("n4", "inf2.xlarge", 1, 2)], profiles=[NEURON])
    entry = world.inventory.get("n4")
    assert entry is not None
    for number, (mask, ids) in enumerate([(1, "0"), (2, "1")]):
        one = asking(f"p{number}", neuroncore=1)
        decision = schedule(one, world, NOW)
        assert isinstance(decision, Placement)
        world.ledger.assume(one, "n4", decision.allocation)
        written = binding_annotations(one, entry, decision.allocation, [NEURON], NOW)
        assert written["hami.io/aws-neuron-devices-allocated"] == f"n4-AWSNeuron-0,AWSNeuron,0,{mask}:;"
        assert written["AWS_NEURON_IDS"] == ids
    refused = schedule(asking("p2", neuroncore=1), world, NOW)
    assert not isinstance(refused, Placement)
    assert "aws.amazon.com/neuroncore: asked 1, free 0 of 2" in refused.message


def test_nr_25_the_record_of_whole_devices_holds_their_masks() -> None:
    world = cluster([instance("n1", "inf2.48xlarge", 12, 24)], profiles=[NEURON])
    entry = world.inventory.get("n1")
    assert entry is not None
    decision = schedule(asking(neuron=2), world, NOW)
    assert isinstance(decision, Placement)
    written = binding_annotations(asking(neuron=2), entry, decision.allocation, [NEURON], NOW)
    text = "n1-AWSNeuron-0,AWSNeuron,0,3:n1-AWSNeuron-1,AWSNeuron,0,3:;"
    assert written["hami.io/aws-neuron-devices-allocated"] == text


def test_cores_are_counted_and_not_their_masks() -> None:
    world = cluster([instance("n1", "inf1.6xlarge", 4, 16)], profiles=[NEURON])
    one = asking(neuroncore=3)
    decision = schedule(one, world, NOW)
    assert isinstance(decision, Placement)
    world.ledger.assume(one, "n1", decision.allocation)
    assert [tuple(amounts) for amounts in world.ledger.usage("n1").cards["AWSNeuron"].values()] == [(1, 0, 3)]


def test_an_init_containers_cores_are_kept_beside_the_apps() -> None:
    """A mask is no amount: the larger of masks 1 and 2 would forget one of them."""
    world = cluster([instance("n1", "inf2.xlarge", 1, 2)], profiles=[NEURON])
    limits = {"aws.amazon.com/neuroncore": "1"}
    held = pod("held", {"name": "main", "resources": {"limits": limits}})
    first = schedule(held, world, NOW)
    assert isinstance(first, Placement)
    world.ledger.assume(held, "n1", first.allocation)
    both = pod(
        "p",
        {"name": "main", "resources": {"limits": limits}},
        initContainers=[{"name": "init", "resources": {"limits": limits}}],
    )
    decision = schedule(both, world, NOW)
    assert isinstance(decision, Placement)
    assert [share.cores for _, _, share in decision.allocation.shares()] == [2, 2]


def test_devices_and_cores_are_not_mixed_in_a_pod() -> None:
    containers = [
        {"name": "a", "resources": {"limits": {"aws.amazon.com/neuron": "1"}}},
        {"name": "b", "resources": {"limits": {"aws.amazon.com/neuroncore": "1"}}},
    ]
    with pytest.raises(InvalidRequest) as caught:
        check_one_name(NEURON, pod("p", *containers).containers)
    assert str(caught.value) == (
        "container 'a' asks for aws.amazon.com/neuron and container 'b' asks for aws.amazon.com/neuroncore; "
        "allowed is one of aws.amazon.com/neuron, aws.amazon.com/neuroncore per pod"
    )
    refused = schedule(pod("p", *containers), cluster([instance()], profiles=[NEURON]), NOW)
    assert not isinstance(refused, Placement)
    assert "InvalidRequest" in refused.message
