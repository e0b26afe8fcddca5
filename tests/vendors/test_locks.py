"""Which plugins serve one pod after the other, and by whose lock."""

from __future__ import annotations

import pytest

from hami_operator.config import DevicesSection
from hami_operator.core.protocol import BIND_PHASE, NODE_LOCK, OWN_PREFIX, Phase
from hami_operator.core.vendor import Profile

EVERY = DevicesSection(vnpus={}, iluvatars={}, volcano={}).profiles()
GUESSING = [profile for profile in EVERY if profile.served_key]

#: MetaX's and Enflame's plugins of whole cards choose by themselves; the others guess a pod and mark none as served.
WITHOUT = {"Metax-GPU", "GCU", "kunlun", "Mthreads"}


def test_families_have_the_lock_of_their_plugin_or_one_of_ours() -> None:
    locks = {profile.key: profile.lock_key for profile in EVERY if profile.lock_key != NODE_LOCK}
    assert locks == {
        "volcano-vgpu": "hamivgpu",
        "MLU": "cambricon.com/dsmlu.lock",
        "AWSNeuron": "hami-operator.io/aws-neuron.lock",
        "Enflame": "hami-operator.io/enflame-vgpu.lock",
        "Enflame-DRS": "hami-operator.io/enflame-drs.lock",
        "Iluvatar": "hami-operator.io/iluvatar.lock",
        **dict.fromkeys(WITHOUT, ""),
    }


def test_a_lock_of_ours_is_one_whose_plugin_marks_its_pods_as_served() -> None:
    assert {p.key for p in EVERY if p.lock_key.startswith(OWN_PREFIX)} == {p.key for p in GUESSING}


@pytest.mark.parametrize("profile", GUESSING, ids=lambda profile: profile.key)
def test_only_the_scheduler_writes_such_a_mark_before_the_plugin_does(profile: Profile) -> None:
    assert profile.writes(profile.served_key)
    assert profile.told({profile.served_key: "false", BIND_PHASE: "allocating"}) is Phase.ALLOCATING
    assert profile.told({profile.served_key: "true", BIND_PHASE: "allocating"}) is Phase.SUCCESS
    assert profile.told({BIND_PHASE: "nonsense"}) is None
