"""A sentence of advice, followed: the objects of a small world changed as the sentence says."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hami_operator.core.cluster import Cluster
from hami_operator.core.objects import read_node, read_pod
from hami_operator.core.quota import OWN_KIND, read_quota
from tests.builders import cluster

Json = dict[str, Any]


@dataclass
class Small:
    """A world as objects: ``pods`` are bound, ``waiting`` is not; ``hard`` is the quota of the namespace, if any."""

    nodes: list[Json]
    pods: list[Json]
    waiting: Json
    hard: dict[str, str] = field(default_factory=dict)

    def cluster(self) -> Cluster:
        world = cluster(map(read_node, self.nodes), map(read_pod, self.pods))
        if self.hard:
            obj = {"metadata": {"name": "team", "namespace": "default"}, "spec": {"hard": self.hard}}
            world.quotas.put(read_quota(obj, OWN_KIND, world.quotas.keys))
        return world


def followed(small: Small, sentence: str) -> Small:
    """The world after somebody did what the sentence says. Fails on a sentence of a kind that is not known."""
    made = copy.deepcopy(small)
    for pattern, follow in _WAYS:
        if (match := re.fullmatch(pattern, sentence)) is not None:
            follow(made, *match.groups())
            return made
    raise AssertionError(f"nobody knows how to follow {sentence!r}")


def kind_of(sentence: str) -> str:
    """Which of the patterns it is."""
    return next(pattern for pattern, _ in _WAYS if re.fullmatch(pattern, sentence))


def _ask_for(small: Small, resource: str, amount: str) -> None:
    for container in small.waiting["spec"]["containers"]:
        if resource in container["resources"]["limits"]:
            container["resources"]["limits"][resource] = amount


def _raise(small: Small, amounts: str) -> None:
    for key, more in re.findall(r"(\S+) (\d+) more", amounts):
        small.hard[key] = str(int(small.hard[key]) + int(more))


def _end(small: Small, namespace: str, name: str) -> None:
    (found,) = [p for p in small.pods if (p["metadata"]["namespace"], p["metadata"]["name"]) == (namespace, name)]
    small.pods.remove(found)


def _tolerate(small: Small, words: str) -> None:
    for word in words.split(", "):
        key, value, effect = re.fullmatch(r"([^=:]+)=?([^:]*):(\w+)", word).groups()
        toleration = {"key": key, "operator": "Equal", "value": value, "effect": effect}
        small.waiting["spec"].setdefault("tolerations", []).append(toleration)


def _drop_field(small: Small, name: str) -> None:
    spec = small.waiting["spec"]
    *parents, last = name.split(".")
    for parent in parents:
        spec = spec[parent]
    del spec[last]


def _drop_annotation(small: Small, key: str) -> None:
    del small.waiting["metadata"]["annotations"][key]


_WAYS: list[tuple[str, Callable[..., None]]] = [
    (r"fits on \S+ with (nvidia\S+) (\d+)(?: or less)?", _ask_for),
    (r"fits when quota default/team gets (.+)", _raise),
    (r"fits when (\S+)/(\S+) ends \(on \S+\)", _end),
    (r"fits on \S+ with a toleration for (.+)", _tolerate),
    (r"fits on \S+ without spec\.(\S+)", _drop_field),
    (r"fits on \S+ without the annotation (\S+)", _drop_annotation),
]
