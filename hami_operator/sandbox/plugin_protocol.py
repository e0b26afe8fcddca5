"""The device plugin's half of HAMi's protocol toward the node, as pure functions: registration, and whose the lock is.

Sources: HAMi v2.7.0 pkg/util/nodelock, pkg/device-plugin/nvidiadevice/nvinternal/plugin/register.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hami_operator.core.errors import ProtocolError
from hami_operator.core.protocol import NODE_LOCK, parse_lock

from .plugins import Desk, Handshake
from .podview import annotations_of

Json = dict[str, Any]


def registration(desk: Desk, before: Mapping[str, str], now: float) -> dict[str, str]:
    """The node annotations to write; ``before`` are those written last, ``now`` is unix seconds.

    Plugins with a periodic handshake write everything each time, others what has changed.
    """
    habits, release, texts = desk.habits, desk.release, desk.habits.publish(desk)
    changed = {key: text for key, text in texts.items() if before.get(key) != text}
    if release.handshake is Handshake.ALWAYS:
        return {**texts, habits.handshake_key: habits.stamp(now)}
    if changed and release.handshake is Handshake.ON_CHANGE:
        return {**changed, habits.handshake_key: habits.stamp(now)}
    return changed


def lock_text(node: Mapping[str, Any], key: str = NODE_LOCK) -> str | None:
    """A lock of the node as it stands; None without one."""
    return annotations_of(node).get(key) if key else None


def lock_holder(node: Mapping[str, Any], key: str = NODE_LOCK) -> tuple[str, str] | None:
    """(namespace, name) of the pod a node lock names; None without a lock, or with one that names nobody."""
    text = lock_text(node, key)
    if text is None:
        return None
    try:
        lock = parse_lock(text)
    except ProtocolError:
        return None
    return (lock.namespace, lock.name) if lock.name else None
