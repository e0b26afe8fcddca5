"""What to write about what happened, and when. No I/O: occurrences in, writes out.

The same sentence about the same object is counted, not repeated; a newer one replaces one that still waits for its
turn. So nothing is lost but what was overtaken, and the memory is bounded.
"""

from __future__ import annotations

import datetime
import heapq
import itertools
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hami_operator.visible import visible

NOTE_BYTES = 1024
_NAME_CHARACTERS = 253


@dataclass(frozen=True, slots=True)
class Regarding:
    """The object that something happened to. ``namespace`` is empty for nodes and other cluster-wide objects."""

    kind: str
    namespace: str
    name: str
    uid: str
    api_version: str = "v1"

    def reference(self) -> dict[str, str]:
        """As an ObjectReference."""
        reference = {"apiVersion": self.api_version, "kind": self.kind, "name": self.name, "uid": self.uid}
        return {**reference, "namespace": self.namespace} if self.namespace else reference


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happened: ``reason`` is one word, ``action`` what was tried, ``note`` the sentence."""

    regarding: Regarding
    reason: str
    note: str
    action: str = "Scheduling"
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True, slots=True)
class EventSettings:
    """Who reports, and how much. ``per_second`` with ``burst`` for all objects together, ``object_burst`` events for
    one object and then one every ``object_every_s``; counts are written every ``repeat_s`` at most."""

    controller: str = "hami-operator"
    instance: str = "hami-operator"
    per_second: float = 50.0
    burst: int = 500
    object_burst: int = 25
    object_every_s: float = 300.0
    repeat_s: float = 60.0
    queued: int = 20_000
    remembered: int = 4_096


@dataclass(frozen=True, slots=True)
class Write:
    """One write to be done: a new Event with ``body``, or (``counted``) only its series of the Event ``name``."""

    namespace: str
    name: str
    body: Mapping[str, Any]
    counted: bool
    key: tuple[str, str]

    @property
    def series(self) -> dict[str, Any]:
        """The patch that counts up."""
        return {"series": self.body["series"]}


@dataclass(slots=True)
class _Said:
    """The last sentence for one reason: the Event's name, how often it happened, and when that was last written."""

    name: str
    note: str
    count: int
    written: float
    first: float


@dataclass(slots=True)
class _Object:
    tokens: float
    filled: float
    said: dict[str, _Said] = field(default_factory=dict)


@dataclass(slots=True)
class _Waiting:
    occurrence: Occurrence
    times: int
    at: float


class Journal:
    """Occurrences waiting to be written. ``now`` is seconds of a clock that never goes back, ``at`` unix seconds."""

    def __init__(self, settings: EventSettings) -> None:
        self.dropped = 0
        self._settings = settings
        self._waiting: dict[tuple[str, str], _Waiting] = {}
        self._due: list[tuple[float, int, tuple[str, str]]] = []
        self._order = itertools.count()
        self._objects: OrderedDict[str, _Object] = OrderedDict()
        self._tokens = float(settings.burst)
        self._filled = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, occurrence: Occurrence, now: float, at: float) -> None:
        """Take note of something. What waits for too long while too much waits is dropped, and counted."""
        key = (occurrence.regarding.uid, occurrence.reason)
        waiting = self._waiting.get(key)
        if waiting is not None:
            same = waiting.occurrence.note == occurrence.note
            self._waiting[key] = _Waiting(occurrence, waiting.times + 1 if same else 1, at)
            if not same:
                heapq.heappush(self._due, (now, next(self._order), key))
            return
        if len(self._waiting) >= self._settings.queued:
            self._waiting.pop(next(iter(self._waiting)))
            self.dropped += 1
        self._waiting[key] = _Waiting(occurrence, 1, at)
        said = self._object(key[0], now).said.get(occurrence.reason)
        repeat = said is not None and said.note == occurrence.note
        due = said.written + self._settings.repeat_s if said is not None and repeat else now
        heapq.heappush(self._due, (due, next(self._order), key))

    def take(self, now: float, hold_s: float = 0.0) -> Write | float | None:
        """The next write that is due for ``hold_s``; the seconds until there may be one; None when nothing waits."""
        while self._due:
            due, _, key = self._due[0]
            if key not in self._waiting:
                heapq.heappop(self._due)
            elif due + hold_s > now:
                return due + hold_s - now
            elif (pause := self._pause(now)) > 0:
                return pause
            else:
                heapq.heappop(self._due)
                if write := self._write(key, now):
                    return write
        return None

    def _pause(self, now: float) -> float:
        settings = self._settings
        self._tokens = min(settings.burst, self._tokens + (now - self._filled) * settings.per_second)
        self._filled = now
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / settings.per_second

    def _write(self, key: tuple[str, str], now: float) -> Write | None:
        """The write for what waits under ``key``; None when its object has to wait (it is put back)."""
        waiting = self._waiting[key]
        object_ = self._object(key[0], now)
        said = object_.said.get(key[1])
        if said is not None and said.note == waiting.occurrence.note:
            said.count += waiting.times
            said.written = now
            counted = True
        else:
            if object_.tokens < 1:
                wait = (1 - object_.tokens) * self._settings.object_every_s
                heapq.heappush(self._due, (now + wait, next(self._order), key))
                return None
            object_.tokens -= 1
            name = _event_name(waiting.occurrence.regarding.name, int(waiting.at * 1e9) + next(self._order))
            said = _Said(name, waiting.occurrence.note, waiting.times, now, waiting.at)
            object_.said[key[1]] = said
            counted = False
        self._tokens -= 1
        del self._waiting[key]
        namespace = waiting.occurrence.regarding.namespace or "default"
        return Write(namespace, said.name, self._body(waiting, said), counted, key)

    def _object(self, uid: str, now: float) -> _Object:
        object_ = self._objects.get(uid)
        if object_ is None:
            object_ = self._objects[uid] = _Object(float(self._settings.object_burst), now)
            if len(self._objects) > self._settings.remembered:
                self._objects.popitem(last=False)
        self._objects.move_to_end(uid)
        refill = (now - object_.filled) / self._settings.object_every_s
        object_.tokens = min(self._settings.object_burst, object_.tokens + refill)
        object_.filled = now
        return object_

    def _body(self, waiting: _Waiting, said: _Said) -> dict[str, Any]:
        occurrence = waiting.occurrence
        body: dict[str, Any] = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": said.name, "namespace": occurrence.regarding.namespace or "default"},
            "eventTime": micro_time(said.first),
            "reportingController": self._settings.controller,
            "reportingInstance": self._settings.instance,
            "action": occurrence.action,
            "reason": occurrence.reason,
            "regarding": occurrence.regarding.reference(),
            "note": shorten(visible(occurrence.note), NOTE_BYTES),
            "type": occurrence.type,
        }
        if said.count > 1:
            body["series"] = {"count": said.count, "lastObservedTime": micro_time(waiting.at)}
        return body


def micro_time(at: float) -> str:
    """Unix seconds as Kubernetes' MicroTime: ``2025-10-01T08:00:00.000000Z``."""
    return f"{datetime.datetime.fromtimestamp(at, datetime.UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def shorten(text: str, limit: int) -> str:
    """At most ``limit`` bytes of UTF-8, cut between characters, with an ellipsis where something is missing."""
    data = text.encode()
    if len(data) <= limit:
        return text
    ellipsis = "…"
    return data[: limit - len(ellipsis.encode())].decode(errors="ignore") + ellipsis


def _event_name(name: str, number: int) -> str:
    """Object name and nanoseconds in hex, as every recorder names events."""
    suffix = f".{number:016x}"
    return name[: _NAME_CHARACTERS - len(suffix)].rstrip(".-") + suffix
