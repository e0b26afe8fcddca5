"""Lists, and the watch for big clusters: what the API server has, and what the news missed.

A watch tells nothing about objects that were deleted while it was broken. So a list is taken at the start, after each
gap and every few minutes, and what is not in it any more is reported as deleted: but only if the list is of a moment
after we last heard of the object. What was reported as deleted stays so, whatever late news says; news that is older
than what a list has told is not told; and names are unique, so an object whose name belongs to a newer one is gone, and
told to be before the newer one is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from .backoff import delays, until_answered
from .client import Client, Json
from .errors import Expired, KubeError, Unanswered

log = logging.getLogger(__name__)

#: Event types given to the sink: those of a watch, and one for objects that a list has.
LISTED, ADDED, MODIFIED, DELETED = "LISTED", "ADDED", "MODIFIED", "DELETED"

Sink = Callable[[str, Json], None]

#: (namespace, name); the namespace is empty where there is none
Name = tuple[str, str]

#: Seconds for which late news of a ghost may come.
GHOST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Mended:
    """What a list had to mend: names (``namespace/name``) of objects that the news had missed, and of ghosts: objects
    that were still believed in though they are gone. ``objects`` is how many the list had."""

    objects: int
    missed: tuple[str, ...] = ()
    ghosts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missed or self.ghosts)


@dataclass(frozen=True, slots=True)
class ReflectorSettings:
    """``resync_s`` between lists; ``grace_s`` for news that is on its way before it counts as missed. ``params`` select
    objects on the server, for lists alone; ``left_out`` tells which objects they leave out."""

    resync_s: float = 300.0
    grace_s: float = 2.0
    params: Mapping[str, str] = field(default_factory=dict)
    left_out: Callable[[Json], bool] = lambda _: False


@dataclass(frozen=True, slots=True)
class _Listing:
    """One consistent list: its uids, {name: version} of what it was news of, {uid: label} of ghosts."""

    listed: set[str] = field(default_factory=set)
    late: dict[Name, int] = field(default_factory=dict)
    ghosts: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Known:
    """``version``: the newest we know; ``watched``: the newest that came as news; ``heard``: when we last did."""

    uid: str
    version: int
    watched: int = 0
    heard: float = 0.0


class Reflector:
    """One resource (``path``, e.g. ``paths.PODS``). ``sink(type, object)`` is called for everything, in the order in
    which we learn it; it must not wait. A ghost's object has only namespace, name and uid."""

    def __init__(
        self, client: Client, path: str, sink: Sink, settings: ReflectorSettings = ReflectorSettings()
    ) -> None:
        self.filled = asyncio.Event()
        self._client = client
        self._path = path
        self._sink = sink
        self._settings = settings
        self._known: dict[Name, _Known] = {}
        self._buried: dict[str, float] = {}
        self._deleted: set[str] = set()
        self._attentive = 0
        self._listing = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._version = ""
        self._listed_version = ""

    def __len__(self) -> int:
        return len(self._known)

    async def fill(self) -> None:
        """The first list; tries until it is complete. Then ``filled`` is set. Raises Refused when we may not list."""
        await until_answered(self._list)
        self.filled.set()

    async def refill(self) -> None:
        """Give everything to the sink once more, as at the start. Raises Refused when we may not list."""
        self.filled.clear()
        self._known.clear()
        await self.fill()

    def observe(self, kind: str | None, obj: Json) -> None:
        """News from a watch (``kind`` None or LISTED: the watcher has listed anew, so there was a gap)."""
        if kind in (None, LISTED) and self.filled.is_set():
            self._wanted.set()
        metadata = obj["metadata"]
        name, uid, version = _name(metadata), metadata["uid"], int(metadata["resourceVersion"])
        over = kind == DELETED or self._settings.left_out(obj)
        if over and self._attentive:
            self._deleted.add(uid)
        if uid in self._buried or not self._displace(name, uid, version):
            return
        if over:
            self._known.pop(name, None)
        else:
            known = self._keep(name, uid, version)
            known.watched = max(known.watched, version)
            if version < known.version:  # a list was ahead of the watch
                return
        self._sink(kind or LISTED, obj)

    async def resync(self) -> Mended:
        """List now and mend. Raises KubeError; what was listed until then has been given to the sink."""
        with self._attention():
            listing = await self._list()
            await asyncio.sleep(self._settings.grace_s)
            return self._mended(listing)

    def _mended(self, listing: _Listing) -> Mended:
        """What the list found and the news has not brought since."""
        late = ((_label(name), self._known.get(name), version) for name, version in listing.late.items())
        missed = sorted(label for label, known, version in late if known is not None and known.watched < version)
        ghosts = sorted(label for uid, label in listing.ghosts.items() if uid not in self._deleted)
        return Mended(len(listing.listed), tuple(missed), tuple(ghosts))

    async def keep_in_step(self, report: Callable[[Mended], None]) -> None:
        """Resync every ``resync_s`` and after each gap, for ever; ``report`` is told each time."""
        while True:
            pause = self._settings.resync_s * random.uniform(0.9, 1.1)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), pause)
            self._wanted.clear()
            try:
                report(await self.resync())
            except KubeError as error:
                log.warning("resync of %s: %s", self._path, error)
                self._wanted.set()
                await asyncio.sleep(self._settings.grace_s)

    async def follow(self) -> None:
        """List and watch for ever, in place of another watcher that calls ``observe``."""
        pauses = delays()
        while True:
            try:
                await self._list()
                self._version = self._listed_version
                self.filled.set()
                while True:
                    if await self._watch():
                        pauses = delays()
                    else:
                        await asyncio.sleep(next(pauses))
            except Expired:
                log.info("the watch of %s is too far behind: listing anew", self._path)
            except KubeError as error:
                log.warning("list of %s: %s", self._path, error)
                await asyncio.sleep(next(pauses))

    async def _watch(self) -> bool:
        """One watch from where we are; whether anything came. Raises Expired, Refused."""
        came = False
        try:
            async with contextlib.aclosing(self._client.watch(self._path, self._version)) as events:
                async for kind, obj in events:
                    came = True
                    self._version = obj["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        self.observe(kind, obj)
        except Unanswered as error:
            log.info("the watch of %s broke: %s", self._path, error)
        return came

    async def _list(self) -> _Listing:
        async with self._listing:
            asked, listing = time.monotonic(), _Listing()
            with self._attention():
                async for page in self._client.pages(self._path, self._settings.params):
                    self._listed_version = page.resource_version
                    for obj in page.items:
                        self._take_listed(obj, listing)
            ghosts = [n for n, k in self._known.items() if k.uid not in listing.listed and k.heard < asked]
            for name in ghosts:
                listing.ghosts[self._known[name].uid] = _label(name)
                self._bury(name)
            self._buried = {uid: at for uid, at in self._buried.items() if at > asked - GHOST_SECONDS}
            return listing

    @contextlib.contextmanager
    def _attention(self) -> Iterator[None]:
        """Remember what is deleted meanwhile: a list that was asked for before may still have it."""
        self._attentive += 1
        try:
            yield
        finally:
            self._attentive -= 1
            if not self._attentive:
                self._deleted.clear()

    def _take_listed(self, obj: Json, listing: _Listing) -> None:
        metadata = obj["metadata"]
        name, uid, version = _name(metadata), metadata["uid"], int(metadata["resourceVersion"])
        before = self._known.get(name)
        if uid in self._deleted or not self._displace(name, uid, version):
            return
        if before is not None and before.uid != uid:
            listing.ghosts[before.uid] = _label(name)
        listing.listed.add(uid)
        known = self._known.get(name)
        if known is None or known.version < version:
            listing.late[name] = version
            self._keep(name, uid, version)
            self._sink(LISTED, obj)

    def _displace(self, name: Name, uid: str, version: int) -> bool:
        """Bury the object that had this name before; False when this is old news of one that had it before."""
        known = self._known.get(name)
        if known is not None and known.uid != uid:
            if version < known.version:
                return False
            self._bury(name)
        return True

    def _keep(self, name: Name, uid: str, version: int) -> _Known:
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = _Known(uid, version)
        known.version = max(known.version, version)
        known.heard = time.monotonic()
        return known

    def _bury(self, name: Name) -> None:
        known, (namespace, own) = self._known.pop(name), name
        self._buried[known.uid] = time.monotonic()
        metadata = {"namespace": namespace, "name": own, "uid": known.uid}
        self._sink(DELETED, {"metadata": {key: value for key, value in metadata.items() if value}})


def _name(metadata: Json) -> Name:
    return sys.intern(metadata.get("namespace", "")), metadata["name"]


def _label(name: Name) -> str:
    return "/".join(part for part in name if part)
