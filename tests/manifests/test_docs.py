"""docs/vendors.md is made of the families' profiles and the examples' own comments, so it can't fall behind.

``UPDATE=1 python -m pytest tests/manifests/test_docs.py`` writes it anew.
"""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path

from hami_operator import vendors
from hami_operator.config import DevicesSection
from hami_operator.core.vendor import Profile

from .conftest import MANIFESTS

PAGE = MANIFESTS.parent / "docs" / "vendors.md"
EXAMPLES = MANIFESTS / "examples"

#: All families there are, also those that HAMi starts with a flag alone.
EVERY = DevicesSection(vnpus={}, iluvatars={}, volcano={})

#: Folder of examples -> (heading, keys of the families that it shows; a trailing * stands for any ending).
CHAPTERS = {
    "nvidia": ("NVIDIA", ("NVIDIA",)),
    "volcano": ("Volcano's names for NVIDIA", ("volcano-vgpu",)),
    "metax": ("MetaX", ("Metax-GPU", "Metax-SGPU")),
    "kunlun": ("Kunlunxin", ("kunlun", "XPU")),
    "awsneuron": ("AWS Neuron", ("AWSNeuron",)),
    "enflame": ("Enflame", ("GCU", "Enflame*")),
    "ascend": ("Huawei Ascend", ("Ascend*",)),
    "cambricon": ("Cambricon", ("MLU",)),
    "hygon": ("Hygon", ("DCU",)),
    "iluvatar": ("Iluvatar", ("Iluvatar*", "MR-*", "BI-*")),
    "mthreads": ("Moore Threads", ("Mthreads",)),
    "amd": ("AMD", ("AMD",)),
    "biren": ("Biren", ("Biren",)),
    "vastai": ("Vastai", ("Vastai",)),
}

#: What the annotations do that choose cards, by the field of a profile's selection.
SELECTING = {
    "use_uuid": "only these cards, by id; several with commas",
    "nouse_uuid": "none of these cards; both lists may stand there",
    "use_type": "only cards whose model contains one of these words, in any case",
    "nouse_type": "no card whose model contains one of these words",
    "mode": "only cards in this mode",
    "numa_bind": "`true`: all cards of a container are on one NUMA node",
}

#: What the other annotations do that a family reads.
READ = {
    "hami.io/gpu-topology": "with the card policy `topology-aware`: `require` (linked cards or none), `prefer`, `auto`",
    "metax-tech.com/sgpu-qos-policy": "quality of service, one per card: `best-effort`, `fixed-share`, `burst-share`",
    "metax-tech.com/sgpu-app-class": "`online` or `offline`: online pods keep away from each other and from batch pods",
    "metax-tech.com/sgpu-topology-aware": "`false`: nodes are not scored by their links",
    "huawei.com/vnpu-mode": "`hami-core`: shared by software, without a template",
    "volcano.sh/vgpu-podgroup-policy": "`spread`: no card is shared with another pod of its group",
    "scheduling.k8s.io/group-name": "the group of the pod, by name",
}

#: Results of examples that ran on the sandbox, beside the plugins of their vendors.
RESULTS = MANIFESTS.parent / "tests" / "golden" / "examples"

HEAD = """# What users may write, vendor by vendor

Amounts stand under `resources.limits` of a container; the examples are files under `manifests/examples/`. Each is a
test: `tests/manifests/test_examples.py` sends it through admission, `tests/cluster/vendors/test_examples.py` through
API server, operator and the vendor's simulated plugin, and compares with the result that stands beside it. What
families refuse beside that is the table `tests/golden/bad_input.yaml`. Memory amounts are MiB of each card unless the
table says otherwise; `hami.io/node-scheduler-policy` and `hami.io/gpu-scheduler-policy` work for all families. The
wire keys are those of the device plugins that read them, which need no change.

Ascend, and Iluvatar by chips, are in force when the settings have `devices: {vnpus: {}}` and `devices: {iluvatars: {}}`
(HAMi starts them with flags of their own), Volcano's names when they have `devices: {volcano: {}}`; all others are in
force unless their section is set to `null`.

This page is made from the profiles and the examples (`tests/manifests/test_docs.py`).
"""

#: At the end of the page; the table is made from the profiles.
TAIL = """## One pod after the other on a node

A device plugin is told how many cards a container gets, not for which pod; so pods of one family are bound to a node
one after the other. Most plugins take the pod that the node lock names. Those of AWS Neuron, Enflame (shares and
partitions) and Iluvatar (2.7) know no lock, they take the oldest pod that waits: for these the operator locks the node
under a key of its own, until the plugin sets the mark in the table, or the pod runs. When a pod runs without its mark
the next one goes on once the lock is five seconds old, with the warning `NodeLockForced`; a lock of a pod that neither
runs nor gets its mark expires after twice `nodeLock.expireSeconds`. Whole cards of MetaX and Enflame are chosen by
their plugins; the plugins of Moore Threads and of Kunlunxin's whole cards have neither lock nor mark, two of their pods
that wait on one node at the same time can be taken for one another.

{locks}

A pod of two families under the same lock (NVIDIA and Ascend, say) is served as well as can be: each plugin takes the
lock away when it has served the pod, and the operator takes it again for the same pod, before any other, with the phase
`allocating`. The kubelet asks the second plugin right after the first; a plugin that is asked before the lock is there
again fails the pod, which its controller then creates anew. With `webhook: {{sharedLock: deny}}` such pods are refused.
Families without a common lock may be mixed freely.
"""


def comment(file: Path) -> str:
    """The comment at the top of an example, as one line."""
    lines = []
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    return re.sub(r"\s+", " ", " ".join(lines)).strip().replace("|", "\\|")


def matches(profile: Profile, patterns: tuple[str, ...]) -> bool:
    return any(
        profile.key.startswith(pattern[:-1]) if pattern.endswith("*") else profile.key == pattern
        for pattern in patterns
    )


def family_rows(profiles: list[Profile]) -> list[str]:
    rows = ["| Family | Count | Memory | Cores | Others | List the plugin reads |", "|---|---|---|---|---|---|"]
    for profile in profiles:
        names = profile.names
        unit = "" if profile.memory_unit_mib == 1 or not names.memory else f" (x {profile.memory_unit_mib} MiB)"
        shown = (names.count, names.memory, names.cores)
        known = {name for name in shown if name}
        others = [name for name in names.all() if name not in known]
        cells = [f"`{name}`" if name else "-" for name in shown]
        cells[1] += unit
        others_text = ", ".join(f"`{name}`" for name in others) or "-"
        read = profile.to_allocate_key or profile.allocated_key
        rows.append(f"| `{profile.key}` | {' | '.join(cells)} | {others_text} | `{read}` |")
    return rows


def annotation_rows(profiles: list[Profile]) -> list[str]:
    """What pods may say beside amounts; families that differ in their name alone are told together."""
    effects: dict[str, str] = {}
    for profile in profiles:
        keys = profile.selection
        named = [(getattr(keys, field), effect) for field, effect in SELECTING.items()]
        named += [(key, f"as `{keys.use_uuid}`") for key in keys.also_use_uuid]
        named += [(key, f"as `{keys.nouse_uuid}`") for key in keys.also_nouse_uuid]
        named += [(key, READ[key]) for key in profile.pod_keys]
        for key, effect in named:
            if key:
                effects.setdefault(*(text.replace(profile.key, "<family>") for text in (key, effect)))
    rows = [f"| `{key}` | {effect} |" for key, effect in effects.items()]
    return ["| Annotation of the pod | Effect |", "|---|---|", *rows] if rows else []


def lock_table(profiles: tuple[Profile, ...]) -> str:
    """The locks there are, with their families."""
    rows = ["| Annotation of the node | Families | Mark on the pod |", "|---|---|---|"]
    for key in dict.fromkeys(p.lock_key for p in profiles if p.lock_key):
        here = [p for p in profiles if p.lock_key == key]
        mark = f'`{here[0].served_key}: "true"`' if here[0].served_key else "the plugin takes the lock away"
        rows.append(f"| `{key}` | {', '.join(f'`{p.key}`' for p in here)} | {mark} |")
    return "\n".join(rows)


def result(folder: str, name: str) -> str:
    """Where the result of an example stands; those without one are for admission alone."""
    there = (RESULTS / folder / name).exists()
    return (
        f"[result](../tests/golden/examples/{folder}/{name})"
        if there
        else "[admission](../tests/manifests/test_examples.py)"
    )


def page() -> str:
    profiles = EVERY.profiles()
    parts = [HEAD]
    for folder, (heading, patterns) in CHAPTERS.items():
        here = [profile for profile in profiles if matches(profile, patterns)]
        parts.append(f"## {heading}\n\n" + "\n".join(family_rows(here)) + "\n")
        parts += ["\n".join(rows) + "\n" for rows in (annotation_rows(here),) if rows]
        parts += [f"Only one container of a pod should ask: {p.one_container}.\n" for p in here if p.one_container]
        rows = ["| Example | What it shows, and what happens | Test |", "|---|---|---|"]
        for file in sorted((EXAMPLES / folder).glob("*.yaml")):
            link = f"[{file.stem}](../manifests/examples/{folder}/{file.name})"
            rows.append(f"| {link} | {comment(file)} | {result(folder, file.name)} |")
        parts.append("\n".join(rows) + "\n")
    parts.append(TAIL.format(locks=lock_table(profiles)))
    return "\n".join(parts)


def test_the_page_is_what_profiles_and_examples_say() -> None:
    text = page()
    if os.environ.get("UPDATE"):
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text)
    assert PAGE.read_text() == text, "run: UPDATE=1 python -m pytest tests/manifests/test_docs.py"


def test_every_family_and_every_folder_of_examples_has_its_place() -> None:
    for profile in EVERY.profiles():
        found = [folder for folder, (_, patterns) in CHAPTERS.items() if matches(profile, patterns)]
        assert len(found) == 1, (profile.key, found)
    aside = {"charts", "quota"}
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} - aside == set(CHAPTERS)


def test_every_vendor_module_says_what_it_is_and_where_that_comes_from() -> None:
    for module in vendors.VENDORS:
        assert "Source" in (inspect.getdoc(module) or ""), module.__name__
