"""From a container's resource amounts to a device request, with a sentence for every amount that can't work.

Rules: HAMi v2.7.0 pkg/device/nvidia/device.go GenerateResourceRequests; its 32-bit wrap-around and its silent zeros
are refused here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from . import protocol
from .errors import InvalidRequest
from .model import Container, Device, DeviceRequest, Node
from .quantity import Quantity, parse_quantity
from .vendor import CardPolicy, Profile, Selection

POLICY_WORDS = ("binpack", "spread", "topology-aware", "mutex", "numa")
NODE_POLICY_WORDS = ("binpack", "spread")

#: Plain numbers up to this length are read without the quantity parser: nearly all amounts are.
_DIGITS = 15

_MIB = 1 << 20


def amount(container: Container, resource: str, lowest: int, highest: int, unit_mib: int = 1) -> int | None:
    """A plain integer amount, from limits, else from requests; None when the container does not name the resource.

    ``unit_mib`` is what one of it stands for where the resource is memory: it is told to those who write bytes.

    Raises:
        InvalidRequest: it is no integer, outside ``lowest`` .. ``highest``, or written with a binary suffix.
    """
    text = container.limits.get(resource, container.requests.get(resource)) if resource else None
    if text is None:
        return None
    if text.isdecimal() and lowest <= int(text[:_DIGITS]) <= highest and len(text) <= _DIGITS:
        return int(text)
    allowed = f"an integer from {lowest} to {highest}"
    try:
        quantity = parse_quantity(text)
    except ValueError:
        raise InvalidRequest(f"container {container.name!r}: {resource} is {text!r}, allowed is {allowed}") from None
    if quantity.binary:
        raise InvalidRequest(_suffix_text(container, resource, quantity, unit_mib))
    if quantity.whole is None or not lowest <= quantity.whole <= highest:
        raise InvalidRequest(f"container {container.name!r}: {resource} is {text}, allowed is {allowed}")
    return quantity.whole


def memory_amount(
    container: Container, resource: str, unit_mib: int, byte_suffixes: frozenset[str] = frozenset()
) -> int | None:
    """Memory in MiB: a plain number of units, or bytes with a binary suffix (rounded up).

    ``byte_suffixes`` are decimal suffixes that mean bytes as well (rounded down), where a unit is so large that nobody
    has thousands of it; ``k`` is refused then, since thousands come back with it. None when the container does not
    name the resource.

    Raises:
        InvalidRequest: it is no quantity, a fraction, less than 1 MiB, or more than HAMi's programs read.
    """
    text = container.limits.get(resource, container.requests.get(resource))
    if text is None:
        return None
    suffixes = ", ".join(["Mi", "Gi", *sorted(byte_suffixes & {"M", "G"})])
    allowed = f"an integer in units of {unit_mib} MiB, or at least 1 MiB in bytes ({suffixes})"
    wrong = InvalidRequest(f"container {container.name!r}: {resource} is {text!r}, allowed is {allowed}")
    try:
        quantity = parse_quantity(text)
    except ValueError:
        raise wrong from None
    if quantity.binary:
        mib = -int(-quantity.value // _MIB)
    elif quantity.suffix in byte_suffixes:
        mib = int(quantity.value) // _MIB
    elif quantity.whole is None or (byte_suffixes and quantity.suffix == "k"):
        raise wrong
    else:
        mib = quantity.whole * unit_mib
    too_little = quantity.binary and 0 < quantity.value < _MIB
    if too_little or not 0 <= mib <= protocol.INT32_MAX or (not mib and quantity.value):
        raise wrong
    return mib


def _suffix_text(container: Container, resource: str, quantity: Quantity, unit_mib: int) -> str:
    written = container.limits.get(resource, container.requests.get(resource))
    text = f"container {container.name!r}: {resource} is {written}, allowed is an integer without a binary suffix"
    if "mem" not in resource.lower() or "percent" in resource.lower():
        return text
    units = -int(-quantity.value // (_MIB * unit_mib))
    unit, counts = ("MiB", "MiB") if unit_mib == 1 else (f"x {unit_mib} MiB", f"units of {unit_mib} MiB")
    return f"{text}; if memory was meant, write {units} ({unit}): {resource} counts {counts}"


def read_request(profile: Profile, container: Container) -> DeviceRequest | None:
    """The generic rule: count, memory in the family's unit, percentage, cores; None when no count is named.

    A memory of 0 and a percentage of 0 mean "not given", as in the reference. Raises InvalidRequest (see ``amount``).
    """
    names = profile.names
    count = amount(container, names.count, 0, protocol.INT32_MAX)
    unit_mib = profile.memory_unit_mib
    memory = amount(container, names.memory, 0, protocol.INT32_MAX // unit_mib, unit_mib)
    percent = amount(container, names.memory_percent, 1, 100)
    cores = amount(container, names.cores, 0, profile.core_max)
    if not count:
        return None
    memory_mib = memory * unit_mib if memory else None
    if memory_mib is None and percent is None:
        memory_mib = profile.memory_default_mib
    return DeviceRequest(count, memory_mib, percent, profile.core_default if cores is None else cores)


def registered_devices(profile: Profile, node: Node) -> tuple[Device, ...]:
    """Inventory of a family whose plugin writes a register annotation in either dialect. Raises ProtocolError."""
    text = node.annotations.get(profile.register_key)
    return protocol.decode_devices(profile.register_key, text) if text else ()


def registered_whole_devices(profile: Profile, node: Node) -> tuple[Device, ...]:
    """The same for cards that are given whole: each has 100 cores, whatever is registered. Raises ProtocolError."""
    return tuple(replace(device, cores=100) for device in registered_devices(profile, node))


def overruled(container: Container, totals: Mapping[str, int]) -> tuple[str, ...]:
    """Sentences for amounts that become others because several cards are taken whole."""
    return tuple(
        f"container {container.name!r}: {name} is {given} and becomes {total}: several cards are taken whole"
        for name, total in totals.items()
        if (given := amount(container, name, 0, protocol.INT32_MAX)) not in (None, total)
    )


def unknown_word(
    container: Container, resource: str, key: str, annotations: Mapping[str, str], allowed: Sequence[str]
) -> InvalidRequest:
    """The error for a pod that asks for a resource and has a word under an annotation that means nothing there."""
    return InvalidRequest(
        f"container {container.name!r} asks for {resource} while annotation {key} is {annotations[key]!r}: "
        f"{key} must be set one of [{', '.join(allowed)}]"
    )


def check_one_name(profile: Profile, containers: Sequence[Container]) -> None:
    """Refuse a pod that uses two resource names of which the family allows one. Raises InvalidRequest."""
    users = {
        name: container.name
        for name in profile.one_name
        for container in containers
        if name in container.limits or name in container.requests
    }
    if len(users) > 1:
        named = " and ".join(f"container {user!r} asks for {name}" for name, user in users.items())
        raise InvalidRequest(f"{named}; allowed is one of {', '.join(profile.one_name)} per pod")


def check_locks(claims: Sequence[tuple[str, Profile]]) -> None:
    """Refuse a pod that asks for two families under one node lock (container, family). Raises InvalidRequest."""
    users: dict[str, tuple[str, Profile]] = {}
    for container, profile in claims:
        first, before = users.setdefault(profile.lock_key, (container, profile))
        if profile.lock_key and profile is not before:
            raise InvalidRequest(
                f"container {first!r} asks for {before.names.count} and container {container!r} for "
                f"{profile.names.count}: their device plugins share the node lock {profile.lock_key}, which the first "
                f"takes away from the second; allowed is one of the two per pod"
            )


def several_containers(profile: Profile, names: Sequence[str]) -> tuple[str, ...]:
    """A warning where these containers ask for the family and its plugin serves one of a pod alone."""
    if not profile.one_container or len(names) < 2:
        return ()
    named = " and ".join(repr(name) for name in names)
    return (f"containers {named} ask for {profile.names.count}: {profile.one_container}",)


def read_selection(profile: Profile, annotations: Mapping[str, str]) -> Selection:
    """Which cards the pod lets itself be given, from the family's annotations (trimmed; empty = no constraint)."""
    keys = profile.selection

    def items(*names: str) -> tuple[str, ...]:
        return tuple(item for key in names if key for item in protocol.split_list(annotations.get(key, "")))

    return Selection(
        use_uuids=frozenset(items(keys.use_uuid, *keys.also_use_uuid)),
        nouse_uuids=frozenset(items(keys.nouse_uuid, *keys.also_nouse_uuid)),
        use_types=tuple(item.lower() for item in items(keys.use_type)),
        nouse_types=tuple(item.lower() for item in items(keys.nouse_type)),
        modes=annotations.get(keys.mode, "") if keys.mode else "",
        numa_bind=bool(keys.numa_bind) and protocol.parse_bool(annotations.get(keys.numa_bind, "").strip()) is True,
    )


def read_card_policy(annotations: Mapping[str, str], default: str) -> CardPolicy:
    """The card policy: words of the pod's annotation, or of the default, separated by commas.

    Raises:
        InvalidRequest: a word is unknown.
    """
    words = _words(annotations, protocol.CARD_POLICY, POLICY_WORDS) or set(protocol.split_list(default))
    return CardPolicy(pack="binpack" in words, mutex="mutex" in words, topology_aware="topology-aware" in words)


def read_node_policy(annotations: Mapping[str, str], default: str) -> str:
    """The node policy, ``binpack`` or ``spread``. Raises InvalidRequest for another word."""
    words = _words(annotations, protocol.NODE_POLICY, NODE_POLICY_WORDS) or {default}
    if len(words) > 1:
        value = annotations[protocol.NODE_POLICY]
        raise InvalidRequest(f"annotation {protocol.NODE_POLICY} is {value!r}, allowed is one of {NODE_POLICY_WORDS}")
    return words.pop()


def _words(annotations: Mapping[str, str], key: str, allowed: tuple[str, ...]) -> set[str]:
    text = annotations.get(key)
    if not text:
        return set()
    words = set(protocol.split_list(text))
    unknown = sorted(words.difference(allowed))
    if unknown:
        raise InvalidRequest(f"annotation {key} has {unknown[0]!r}, allowed are {', '.join(allowed)}")
    return words
