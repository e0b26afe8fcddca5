"""The ledger against an API server whose news arrive late, twice and in any order, with our own decisions in between.

Whatever happens, the totals equal a recount, no card is given beyond what it has, and once the latest news of every
pod has arrived, the ledger says the same as one that was filled from the final state alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hami_operator.core.binding import binding_annotations
from hami_operator.core.ledger import Ledger
from hami_operator.core.model import Pod
from hami_operator.core.objects import read_pod
from hami_operator.core.schedule import Placement, schedule
from tests.builders import NOW, NVIDIA, cluster, container, device, node, pod_object

NODES = ("n1", "n2")
CARD = {"memory_mib": 1000, "slots": 2}


@dataclass
class Stored:
    """A pod in the API server: its object now, and every state it had (all of them may still be on their way)."""

    obj: dict[str, Any]
    history: list[Pod] = field(default_factory=list)
    deleted: bool = False

    def change(self, version: int, **parts: Any) -> None:
        metadata = {**self.obj["metadata"], **parts.pop("metadata", {}), "resourceVersion": str(version)}
        self.obj = {**self.obj, "metadata": metadata, **{k: {**self.obj.get(k, {}), **v} for k, v in parts.items()}}
        self.history.append(read_pod(self.obj))


class News(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        nodes = [node(name, [device(f"{name}-{i}", index=i, **CARD) for i in range(2)]) for name in NODES]
        self.cluster = cluster(nodes)
        self.ledger = self.cluster.ledger
        self.stored: dict[str, Stored] = {}
        self.flying: dict[str, Placement] = {}
        self.landed: set[str] = set()
        self.version = 0

    def step(self) -> int:
        self.version += 1
        return self.version

    def pick(self, data: st.DataObject, names: list[str]) -> str:
        return data.draw(st.sampled_from(sorted(names)))

    # -- the world -----------------------------------------------------------------------------------------------

    @rule(memory=st.integers(100, 900), cores=st.sampled_from([0, 30, 100]), count=st.integers(1, 2))
    def create(self, memory: int, cores: int, count: int) -> None:
        uid = f"u{self.step()}"
        obj = pod_object(uid, container(gpu=count, mem=memory, cores=cores), metadata={"uid": uid})
        self.stored[uid] = Stored(obj)
        self.stored[uid].change(self.version)

    @precondition(lambda self: self.stored)
    @rule(data=st.data())
    def touch(self, data: st.DataObject) -> None:
        stored = self.stored[self.pick(data, list(self.stored))]
        if not stored.deleted:
            stored.change(self.step(), metadata={"labels": {"touched": str(self.version)}})

    @precondition(lambda self: self.stored)
    @rule(data=st.data(), phase=st.sampled_from(["Running", "Succeeded", "Failed"]))
    def progress(self, data: st.DataObject, phase: str) -> None:
        stored = self.stored[self.pick(data, list(self.stored))]
        over = stored.history[-1].terminal
        if stored.history[-1].node_name and not stored.deleted and not over:
            stored.change(self.step(), status={"phase": phase})

    @precondition(lambda self: self.stored)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.stored[self.pick(data, list(self.stored))].deleted = True

    # -- ourselves -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.stored)
    @rule(data=st.data())
    def decide(self, data: st.DataObject) -> None:
        uid = self.pick(data, list(self.stored))
        seen, record = self.stored[uid].history[-1], self.ledger.record(uid)
        if uid in self.flying or seen.node_name or self.stored[uid].deleted or (record and record.node):
            return
        decision = schedule(seen, self.cluster, NOW)
        if isinstance(decision, Placement):
            self.ledger.assume(seen, decision.node, decision.allocation)
            self.flying[uid] = decision

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def land(self, data: st.DataObject) -> None:
        """The Binding is carried out, nobody has told us yet."""
        uid = self.pick(data, list(self.flying))
        stored, decision = self.stored[uid], self.flying[uid]
        if uid not in self.landed and not stored.deleted:
            entry = self.cluster.inventory.get(decision.node)
            assert entry is not None
            annotations = binding_annotations(stored.history[-1], entry, decision.allocation, [NVIDIA], NOW)
            stored.change(self.step(), metadata={"annotations": annotations}, spec={"nodeName": decision.node})
            self.landed.add(uid)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """The API server's answer to the Binding reaches us: definite, either way."""
        uid = self.pick(data, list(self.flying))
        del self.flying[uid]
        if uid in self.landed:
            self.ledger.confirm(uid)
        else:
            self.ledger.forget(uid)
        self.landed.discard(uid)

    # -- news ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.stored)
    @rule(data=st.data())
    def event(self, data: st.DataObject) -> None:
        """Any state that any pod ever had."""
        uid = self.pick(data, list(self.stored))
        history = self.stored[uid].history
        self.ledger.observe(history[data.draw(st.integers(0, len(history) - 1))], NOW)

    @precondition(lambda self: any(stored.deleted for stored in self.stored.values()))
    @rule(data=st.data())
    def gone(self, data: st.DataObject) -> None:
        uid = self.pick(data, [uid for uid, stored in self.stored.items() if stored.deleted])
        self.ledger.gone(uid, NOW)

    @rule()
    def list(self) -> None:
        """A full list: the latest state of whatever exists; what we know and it lacks is gone."""
        for uid in [record.key.uid for record in self.ledger.records()]:
            if self.stored[uid].deleted:
                self.ledger.gone(uid, NOW)
        for stored in self.stored.values():
            if not stored.deleted:
                self.ledger.observe(stored.history[-1], NOW)

    # -- what always holds ---------------------------------------------------------------------------------------

    @invariant()
    def totals_equal_a_recount(self) -> None:
        assert self.ledger.audit() == []

    @invariant()
    def no_card_is_given_beyond_what_it_has(self) -> None:
        for entry in self.cluster.inventory:
            for card in entry.devices["NVIDIA"]:
                used = self.ledger.usage(entry.node.name).cards.get("NVIDIA", {}).get(card.uuid)
                if used is not None:
                    assert used.slots <= card.slots
                    assert used.memory_mib <= card.memory_mib
                    assert used.cores <= card.cores

    @invariant()
    def what_is_bound_and_known_is_counted(self) -> None:
        for uid in self.landed:
            record = self.ledger.record(uid)
            gone = self.stored[uid].deleted or self.stored[uid].history[-1].terminal
            assert gone or (record is not None and record.node == self.flying[uid].node)

    def teardown(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for uid in list(self.flying):
            del self.flying[uid]
            if uid in self.landed:
                self.ledger.confirm(uid)
            else:
                self.ledger.forget(uid)
        self.list()
        for uid, stored in self.stored.items():
            if stored.deleted:
                self.ledger.gone(uid, NOW)
        fresh = Ledger([NVIDIA])
        for stored in self.stored.values():
            if not stored.deleted:
                fresh.observe(stored.history[-1], NOW)
        for name in NODES:
            assert self.ledger.usage(name).cards == fresh.usage(name).cards
            assert self.ledger.usage(name).pods.keys() == fresh.usage(name).pods.keys()


TestNews = News.TestCase
