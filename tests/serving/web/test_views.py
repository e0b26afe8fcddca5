"""What each view tells, as values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hami_operator.config import Settings
from hami_operator.core import protocol
from hami_operator.core.model import Allocation, Share
from hami_operator.serving.origins import settings_shown
from hami_operator.serving.web.views.config import config
from hami_operator.serving.web.views.nodes import node, nodes
from hami_operator.serving.web.views.overview import overview
from hami_operator.serving.web.views.paging import PER_PAGE, Query
from hami_operator.serving.web.views.pending import pending
from hami_operator.serving.web.views.quotas import quotas
from hami_operator.serving.web.views.workloads import workload
from tests.builders import NOW
from tests.serving.stage import REGISTER, Stage, busy, card, large, share


def one_card(uuid: str) -> Allocation:
    """1000 MiB of a card."""
    return Allocation({"NVIDIA": ((Share(uuid, "NVIDIA", 1000, 0),),)})


def test_an_empty_cluster_has_an_overview_without_types() -> None:
    view = overview(Stage.empty().sight)
    assert (view.nodes, view.types, view.pending, view.quotas) == (0, [], 0, [])


def test_the_overview_sums_up_each_card_type() -> None:
    rows = {row.type: row for row in overview(busy().sight).types}
    h100 = rows["NVIDIA-NVIDIA H100 80GB HBM3"]
    assert (h100.cards, h100.healthy, h100.nodes) == (8, 7, 1)
    assert (h100.given_mib, h100.memory_mib) == (4 * 81559 + 9 * 9000, 8 * 81559)
    assert (h100.given_cores, h100.cores, h100.core_unit) == (499, 800, "%")
    assert (h100.shares, h100.slots) == (13, 80)


def test_what_fits_now_leaves_out_sick_cordoned_and_excluded_cards() -> None:
    rows = {row.type: row for row in overview(busy().sight).types}
    h100, t4 = rows["NVIDIA-NVIDIA H100 80GB HBM3"].fits, rows["NVIDIA-Tesla T4"].fits
    assert (h100.memory_mib, h100.memory_node, h100.whole_cards) == (81559, "h100-0", 1)  # of 5, 6 and 7 only 6
    assert (t4.memory_mib, t4.memory_node, t4.whole_cards) == (0, "", 0)


def test_a_card_whose_slots_are_all_taken_has_nothing_left_to_give() -> None:
    stage = Stage.empty()
    device = card("n1", 0, slots=1)
    stage.node("n1", device)
    stage.running("p", "n1", share(device, 1000))
    (row,) = overview(stage.sight).types
    assert (row.free_mib, row.fits.memory_mib) == (0, 0)


def test_the_overview_names_reasons_quotas_old_locks_and_excluded_nodes() -> None:
    view = overview(busy().sight)
    assert view.pending_reasons[0] == ("ResourceQuotaNotFit", 2)
    assert [(row.namespace, row.key) for row in view.quotas] == [
        ("team-a", "limits.nvidia.com/gpumem"),
        ("team-b", "limits.nvidia.com/gpu"),
        ("team-b", "limits.nvidia.com/gpumem"),
    ]
    assert [lock.node for lock in view.locks] == ["a30-1"]
    assert view.nodes_excluded == ["t4-0"]


def test_the_node_list_is_searched_and_paged() -> None:
    sight = large(PER_PAGE + 20, cards=1).sight
    second = nodes(sight, Query(page=2))
    assert (second.pages, second.total, len(second.items)) == (2, PER_PAGE + 20, 20)
    assert [row.name for row in nodes(sight, Query("NODE-0007")).items] == ["node-0007"]
    assert nodes(sight, Query("nowhere", 7)).page == 1


def test_a_node_shows_each_card_stacked_by_pod() -> None:
    view = node(busy().sight, "a30-0")
    assert view is not None
    first = view.cards[0]
    assert [(h.pod, h.memory_mib, h.cores) for h in first.holdings] == [
        ("serving/embedder-0", 6000, 30),
        ("team-a/trainer-0-0", 12288, 50),
        ("team-b/notebook-0-0", 4096, 10),
    ]
    assert first.used_memory_mib == 22384
    assert [view.pods[h.place] for h in first.holdings] == [h.pod for h in first.holdings]


def test_a_mig_card_shows_the_parts_of_its_layout_in_use_and_free() -> None:
    stage = Stage.empty()
    device = card("n1", 0, mode="mig", type="NVIDIA-NVIDIA A30")
    stage.node("n1", device)
    stage.running("team-a/p", "n1", Share(f"{device.uuid}[0-1]", "NVIDIA", 6144, 0))
    view = node(stage.sight, "n1")
    assert view is not None
    parts = view.cards[0].parts
    assert [(part.profile, part.slot, part.pod) for part in parts] == [
        ("1g.6gb", "0-0", ""),
        ("1g.6gb", "0-1", "team-a/p"),
        ("1g.6gb", "0-2", ""),
        ("1g.6gb", "0-3", ""),
    ]
    assert (parts[1].start, parts[1].size, parts[1].whole) == (6144, 6144, 4 * 6144)


def test_a_card_that_is_cut_part_by_part_shows_where_each_lies() -> None:
    stage = Stage.empty()
    profiles = [
        {"name": "2g.10gb", "memoryMB": 9856, "core": 28, "placements": [{"start": s, "size": 2} for s in (0, 2, 4)]}
    ]
    device = card("n1", 0, mode="mig", custom={"migProfiles": profiles}, slots=7)
    register = protocol.encode_devices_json([device], "NVIDIA")
    stage.node("n1", metadata={"annotations": {REGISTER: register}})
    stage.running("team-a/p", "n1", Share(f"{device.uuid}[2g.10gb-4]", "NVIDIA", 9856, 28))
    view = node(stage.sight, "n1")
    assert view is not None
    (part,) = view.cards[0].parts
    assert (part.profile, part.start, part.size, part.whole, part.pod) == ("2g.10gb", 4, 2, 6, "team-a/p")


def test_a_card_that_fell_ill_while_we_watched_tells_since_when() -> None:
    times = [NOW]
    stage = Stage.empty(now=lambda: times[0])
    stage.node("n1", card("n1", 0), card("n1", 1, healthy=False))
    times[0] += 60
    stage.node("n1", card("n1", 0, healthy=False), card("n1", 1, healthy=False))
    times[0] += 60
    view = node(stage.sight, "n1")
    assert view is not None
    assert [found.unhealthy_since for found in view.cards] == [NOW + 60, None]


def test_a_handshake_that_stands_still_is_shown_only_when_it_used_to_change() -> None:
    times = [NOW]
    stage = Stage.empty(now=lambda: times[0])

    def shake(name: str, value: str) -> None:
        stage.node(name, card(name, 0), metadata={"annotations": {"hami.io/node-handshake": value}})

    shake("never", "Reported once")
    shake("silent", "Reported 1")
    times[0] += 30
    shake("silent", "Reported 2")
    times[0] += 119
    assert overview(stage.sight).stale == []
    times[0] += 1
    assert [(row.node, row.since) for row in overview(stage.sight).stale] == [("silent", NOW + 30)]


def test_unknown_nodes_and_pods_are_none() -> None:
    sight = busy().sight
    assert node(sight, "nowhere") is None
    assert workload(sight, "team-a", "nobody") is None


def test_a_workload_shows_every_share_with_container_and_phase() -> None:
    view = workload(busy().sight, "team-a", "pretrain-0")
    assert view is not None
    assert view.allocation is not None
    assert (view.allocation.phase, view.allocation.cards, view.allocation.since) == ("success", 4, NOW - 7500)
    assert [(row.container, row.card) for row in view.shares] == [("main", f"GPU-h100-0-{i}") for i in range(4)]
    assert view.waiting is None
    assert view.nodes == []


def test_a_reservation_is_shown_as_such() -> None:
    stage = busy()
    pod = stage.pending("team-c/new", gpu=1, mem=1000)
    stage.world.cluster.ledger.assume(pod, "a30-2", one_card("GPU-a30-2-3"))
    view = workload(stage.sight, "team-c", "new")
    assert view is not None
    assert view.allocation is not None
    assert view.allocation.phase == "reserved"


def test_a_pod_that_waits_is_told_why_node_by_node_and_card_by_card() -> None:
    view = workload(busy().sight, "serving", "chat-9")
    assert view is not None
    assert view.waiting is not None
    assert view.would_go == ""
    answers = {answer.name: answer for answer in view.nodes}
    assert answers["a30-0"].fits is False
    assert {found.reason for found in answers["a30-0"].cards} == {"CardInsufficientMemory"}
    assert len(answers["h100-0"].cards) == 8


def test_looking_at_a_pod_that_waits_reserves_nothing() -> None:
    stage = busy()
    before = [(record.key, record.node, record.assumed) for record in stage.world.cluster.ledger.records()]
    workload(stage.sight, "serving", "chat-9")
    assert before == [(record.key, record.node, record.assumed) for record in stage.world.cluster.ledger.records()]
    assert stage.world.cluster.ledger.audit() == []


def test_pending_pods_come_in_the_order_of_their_turn_with_what_they_ask() -> None:
    page = pending(busy().sight, Query())
    assert [row.name for row in page.items] == ["pretrain-1", "chat-9", "notebook-9"]
    first = page.items[0]
    assert ("main", "nvidia.com/gpu", "8") in first.asks
    assert first.reasons == [("ResourceQuotaNotFit", 5)]
    assert (first.tries, first.tried, first.state) == (1, NOW - 12, "waiting")


def test_a_resting_pod_tells_when_it_is_tried_next() -> None:
    stage = busy()
    stage.world.queue.rest("serving/chat-9", NOW)
    row = next(row for row in pending(stage.sight, Query("chat-9")).items)
    assert (row.state, row.next) == ("resting", NOW + 1)


def test_quotas_show_their_largest_users_and_what_is_reserved() -> None:
    stage = busy()
    pod = stage.pending("team-a/small", gpu=1, mem=1000)
    stage.world.cluster.ledger.assume(pod, "a30-2", one_card("GPU-a30-2-3"))
    rows = {row.key: row for row in quotas(stage.sight, Query("team-a")).items}
    memory = rows["limits.nvidia.com/gpumem"]
    assert (memory.used, memory.reserved, memory.hard, memory.unit) == (399964 + 1000, 1000, 420000, "MiB")
    assert memory.largest[0] == ("team-a/pretrain-0", 4 * 81559)


def test_the_configuration_tells_where_each_setting_comes_from() -> None:
    stage = Stage.empty(policies={"node": "spread"})
    rows = {row.name: row for row in config(stage.sight).settings}
    assert (rows["policies.node"].value, rows["policies.node"].origin) == ("spread", "file")
    assert rows["policies.card"].origin == "default"
    assert rows["metrics.generations"].value == ["2.10"]
    families = {row.key: row for row in config(stage.sight).families}
    assert "nvidia.com/gpumem" in families["NVIDIA"].resources


def test_a_setting_of_the_environment_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"HAMI_POLICIES__NODE": "spread"}
    monkeypatch.setenv("HAMI_POLICIES__NODE", "spread")
    rows = {row.name: row for row in settings_shown(Settings(), environment)}
    assert (rows["policies.node"].value, rows["policies.node"].origin) == ("spread", "environment")


def test_a_replaced_cluster_is_seen_anew() -> None:
    stage = busy()
    assert overview(stage.sight).nodes == 5
    fresh = Stage.empty()
    fresh.node("other", replace(card("other", 0)))
    stage.world.cluster = fresh.world.cluster
    assert overview(stage.sight).nodes == 1
