"""The habits of the vendors' device plugins: one module each, one line in the table."""

from __future__ import annotations

from . import (
    amd,
    ascend,
    biren,
    cambricon,
    enflame,
    hygon,
    iluvatar,
    kunlun,
    metax,
    mthreads,
    neuron,
    nvidia,
    nvidia_mig,
    vastai,
    volcano,
)
from .habits import Answer, Call, Desk, Finds, Grant, Habits, Handshake, Injection, Mount, Release, Tenancy

HABITS: dict[str, Habits] = {
    "nvidia": nvidia.HABITS,
    "nvidia-mig": nvidia_mig.HABITS,
    "volcano": volcano.HABITS,
    "volcano-mig": volcano.MIG_HABITS,
    "cambricon": cambricon.HABITS,
    "hygon": hygon.HABITS,
    "iluvatar": iluvatar.MANAGER,
    "enflame-gcu": enflame.WHOLE,
    "enflame-shared": enflame.SHARED,
    "enflame-drs": enflame.PARTITIONED,
    "mthreads": mthreads.HABITS,
    "metax-gpu": metax.WHOLE,
    "metax-sgpu": metax.SHARED,
    "kunlun-xpu": kunlun.WHOLE,
    "kunlun-vxpu": kunlun.SLICES,
    "neuron-inf1": neuron.habits("inf1.24xlarge"),
    "neuron-inf2": neuron.habits("inf2.48xlarge"),
    "neuron-trn1": neuron.habits("trn1.32xlarge"),
    "neuron-trn2": neuron.habits("trn2.48xlarge"),
    "amd": amd.HABITS,
    "biren": biren.HABITS,
    "vastai": vastai.CARDS,
    "vastai-dies": vastai.DIES,
    **{f"iluvatar-{word}": iluvatar.chip(word) for word in ("MR-V100", "MR-V50", "BI-V150", "BI-V100")},
    **{word: ascend.habits(word) for word in ascend.TEMPLATES},
    "Ascend910B3-soft": ascend.habits("Ascend910B3", soft=True),
}

__all__ = [
    "HABITS",
    "Answer",
    "Call",
    "Desk",
    "Finds",
    "Grant",
    "Habits",
    "Handshake",
    "Injection",
    "Mount",
    "Release",
    "Tenancy",
]
