"""What the API server does not check in a Binding, checked before.

It stores any annotation and label that a Binding carries, and then refuses every later patch of that pod and its status
(kube-apiserver v1.37.2). The rules are those of apimachinery's metadata validation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from hami_operator.core.protocol import EPOCH

MAX_ANNOTATIONS_BYTES = 262_144

#: A later fence must fit as well.
_EPOCH_BYTES = len(EPOCH) + 16

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def valid_key(key: str) -> bool:
    """An optional DNS subdomain (at most 253 characters) and ``/``, then a name of at most 63."""
    domain, slash, name = key.rpartition("/")
    if slash and not (len(domain) <= 253 and _DOMAIN.fullmatch(domain.lower())):
        return False
    return _NAME.fullmatch(name) is not None


def valid_label(value: str) -> bool:
    """Empty, or at most 63 characters that begin and end with a letter or digit."""
    return not value or _NAME.fullmatch(value) is not None


def writable_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels whose value is valid. A node's name may have 253 characters, a label's value only 63."""
    return {key: value for key, value in labels.items() if valid_label(value)}


def problem(present: Mapping[str, str], written: Mapping[str, str], label_keys: Iterable[str]) -> str | None:
    """Why these annotations and labels can't be written to a pod with annotations ``present``; None if they can."""
    for key in (*written, *label_keys):
        if not valid_key(key):
            return f"{key!r} is no valid annotation or label key"
    merged = {**present, **written}
    size = sum(len(key.encode()) + len(value.encode()) for key, value in merged.items())
    size += 0 if EPOCH in merged else _EPOCH_BYTES
    if size > MAX_ANNOTATIONS_BYTES:
        return f"the pod's annotations would have {size} bytes, allowed are {MAX_ANNOTATIONS_BYTES}"
    return None
