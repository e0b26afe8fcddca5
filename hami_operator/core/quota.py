"""Quota objects as values: which keys there are, what an amount means, which pods an object speaks of.

A key is ``limits.`` and a resource name of a family in force. ``hard`` is in that resource's own unit; every comparison
is made in the units of the ledger (MiB, shares, cores), which each limit is converted to once, when it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from . import fields
from .fields import Object
from .model import Traits
from .quantity import BINARY_SUFFIXES, Quantity, parse_quantity
from .vendor import Profile

PREFIX = "limits."
CORE_KIND, OWN_KIND = "ResourceQuota", "ExtendedResourceQuota"

#: Positions in ``Amounts``.
SLOTS, MEMORY, CORES = range(3)

#: What the API server can hold in a plain number.
MOST = (1 << 63) - 1
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class QuotaKey:
    """One key: whose amount it bounds (``family`` and ``part``, a position in ``Amounts``).

    ``unit_mib`` is the unit of a memory key; ``bytes_in`` are the suffixes that mean bytes there. ``asked_as``: only
    pods that ask by this resource name are charged under the key (a family with two count names).
    """

    text: str
    family: str
    part: int
    unit_mib: int = 1
    bytes_in: frozenset[str] = frozenset()
    asked_as: str = ""

    @property
    def resource(self) -> str:
        """The resource name that the key bounds."""
        return self.text.removeprefix(PREFIX)

    def shown(self, amount: int) -> str:
        """An amount of the ledger in the key's unit, rounded up; in Mi where users write bytes of any size."""
        return f"{amount}Mi" if self._in_mi else str(-(-amount // self.unit_mib))

    def read(self, text: str) -> int:
        """What an object's amount is in the units of the ledger: whole units of the key, rounded down.

        Raises:
            ValueError: it is no amount of this key; the message is a sentence.
        """
        try:
            quantity = parse_quantity(text)
        except ValueError:
            raise ValueError(self._wrong(text)) from None
        if quantity.suffix in self.bytes_in:
            return self._from_bytes(text, quantity)
        whole = quantity.whole
        if whole is None or not 0 <= whole <= MOST or quantity.suffix in BINARY_SUFFIXES:
            raise ValueError(self._wrong(text))
        return whole * self.unit_mib

    @property
    def _in_mi(self) -> bool:
        return bool(self.bytes_in - BINARY_SUFFIXES)

    def _from_bytes(self, text: str, quantity: Quantity) -> int:
        step = 1 if self._in_mi else self.unit_mib
        units = int(quantity.value // (_MIB * step))
        if quantity.value < 0 or units > MOST or (quantity.value and not units):
            raise ValueError(self._wrong(text))
        return units * step

    def _wrong(self, text: str) -> str:
        allowed = f"an integer from 0 to {MOST}"
        if self.part == MEMORY and self.bytes_in:
            allowed += f" in units of {self.unit_mib} MiB, or at least as many bytes with a suffix such as Mi, Gi"
        return f"{self.text} is {text!r}, allowed is {allowed}; the key blocks until this is mended"


def quota_keys(profiles: Iterable[Profile]) -> Mapping[str, QuotaKey]:
    """Every key of the families in force, in their order; of two families with one name the first has the key.

    NVIDIA's percentage is none: a percentage is charged as the memory of the card that is chosen.
    """
    found: dict[str, QuotaKey] = {}
    for profile in profiles:
        names = profile.names
        for part, name in ((SLOTS, names.count), (MEMORY, names.memory), (CORES, names.cores)):
            if name:
                memory = part == MEMORY
                key = QuotaKey(
                    text=PREFIX + name,
                    family=profile.key,
                    part=part,
                    unit_mib=profile.memory_unit_mib if memory else 1,
                    bytes_in=profile.byte_suffixes if memory else frozenset(),
                    asked_as=name if name in profile.one_name else "",
                )
                found.setdefault(key.text, key)
    return found


# -- scopes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scope:
    """One expression of a scope selector; ``scopes`` of core quotas are such with the operator Exists."""

    name: str
    operator: str = "Exists"
    values: tuple[str, ...] = ()

    def covers(self, traits: Traits) -> bool:
        """Whether the scope holds for a pod; one that can't be judged holds for every pod."""
        if self.name == "PriorityClass":
            return self._covers_class(traits.priority_class)
        holds = {
            "Terminating": traits.terminating,
            "NotTerminating": not traits.terminating,
            "BestEffort": traits.best_effort,
            "NotBestEffort": not traits.best_effort,
        }
        return holds.get(self.name, True)

    def _covers_class(self, name: str) -> bool:
        """Kubernetes v1.37 pkg/quota/v1/evaluator/core/pods.go: a label selector over one label."""
        if self.operator in ("Exists", "DoesNotExist"):
            return bool(name) == (self.operator == "Exists")
        return (name in self.values) == (self.operator == "In")


SCOPES = ("PriorityClass", "Terminating", "NotTerminating", "BestEffort", "NotBestEffort")


def _read_scopes(spec: Object) -> tuple[Scope, ...]:
    plain = [Scope(name) for name in fields.texts(spec, "scopes", "spec.")]
    selector = fields.mapping(spec, "scopeSelector", "spec.")
    path = "spec.scopeSelector.matchExpressions"
    selected = [
        Scope(
            fields.text(item, "scopeName", f"{path}."),
            fields.text(item, "operator", f"{path}.", default="Exists"),
            fields.texts(item, "values", f"{path}."),
        )
        for item in fields.items(selector, "matchExpressions", "spec.scopeSelector.")
    ]
    return (*plain, *selected)


# -- objects -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limit:
    """``hard`` of one key, in the units of the ledger; with a ``problem`` (a sentence) the key blocks."""

    key: QuotaKey
    hard: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class QuotaId:
    """Which object: kind, namespace and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota object: its limits, the pods it speaks of, and (reason, sentence) for what is wrong with it."""

    id: QuotaId
    limits: tuple[Limit, ...] = ()
    scopes: tuple[Scope, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    uid: str = ""
    generation: int = 0
    hard_texts: Mapping[str, str] = field(default_factory=dict, hash=False)

    def covers(self, traits: Traits) -> bool:
        """Whether pods of these traits are charged."""
        return all(scope.covers(traits) for scope in self.scopes)


UNKNOWN_RESOURCE, INVALID_QUANTITY, UNKNOWN_SCOPE = "UnknownResource", "InvalidQuantity", "UnknownScope"
EMPTY = "Empty"


def read_quota(obj: Object, kind: str, keys: Mapping[str, QuotaKey]) -> Quota:
    """An object as a value; of a core quota only the keys that a family owns are looked at.

    Raises:
        ObjectError: a field that we read has the wrong type.
    """
    metadata, spec = fields.mapping(obj, "metadata"), fields.mapping(obj, "spec")
    namespace = fields.text(metadata, "namespace", "metadata.", default="default")
    name = fields.text(metadata, "name", "metadata.")
    texts = fields.amounts(spec, "hard", "spec.")
    scopes = _read_scopes(spec)
    limits = tuple(_limit(key, texts[key.text]) for key in keys.values() if key.text in texts)
    return Quota(
        id=QuotaId(kind, namespace, name),
        limits=limits,
        scopes=scopes,
        problems=_problems(kind, limits, scopes, _unknown(texts, keys), keys),
        uid=fields.text(metadata, "uid", "metadata."),
        generation=fields.integer(metadata, "generation", "metadata."),
        hard_texts=texts,
    )


def _limit(key: QuotaKey, text: str) -> Limit:
    try:
        return Limit(key, key.read(text))
    except ValueError as error:
        return Limit(key, 0, str(error))


def _unknown(texts: Mapping[str, str], keys: Mapping[str, QuotaKey]) -> list[str]:
    return [key for key in texts if key not in keys]


def _problems(
    kind: str,
    limits: Sequence[Limit],
    scopes: Sequence[Scope],
    unknown: Sequence[str],
    keys: Mapping[str, QuotaKey],
) -> tuple[tuple[str, str], ...]:
    found = [(INVALID_QUANTITY, limit.problem) for limit in limits if limit.problem]
    strange = [scope.name for scope in scopes if scope.name not in SCOPES]
    if strange and limits:
        text = f"scope {strange[0]!r} is not one of {', '.join(SCOPES)}; the object is taken to speak of every pod"
        found.append((UNKNOWN_SCOPE, text))
    if kind == OWN_KIND and unknown:
        text = f"{', '.join(unknown)}: no family in force has it; known are {', '.join(keys)}"
        found.append((UNKNOWN_RESOURCE, text))
    if kind == OWN_KIND and not limits and not unknown:
        found.append((EMPTY, "spec.hard has no key, so nothing is limited"))
    return tuple(found)


def with_hard(obj: Object, key: str, amount: str) -> Object:
    """The object with another ``hard`` for one key. Raises ObjectError when ``spec.hard`` is no mapping."""
    spec = fields.mapping(obj, "spec")
    hard = fields.mapping(spec, "hard", "spec.")
    return {**obj, "spec": {**spec, "hard": {**hard, key: amount}}}
