"""Resource limits of the calling shell (`ulimit`), and the amounts that nap's parts need."""

from __future__ import annotations

import resource

from receiver.errors import ReceiverError

_FILES, _SOME_FILES = 256, 1024
# Bytes: etcd reserves address space for its largest possible database.
_ADDRESSES = 12 << 30


def take(own_etcd: bool) -> None:
    """Raise the soft limits as far as needed and allowed. Raise ReceiverError when that is too little."""
    files = _taken(resource.RLIMIT_NOFILE, _SOME_FILES)
    if files < _FILES:
        sentence = f"this shell allows a process {files} open files, and nap needs {_FILES}"
        raise ReceiverError(sentence, f"from one that allows more (ulimit -n {_SOME_FILES}): nap up")
    addresses = _taken(resource.RLIMIT_AS, _ADDRESSES)
    if own_etcd and addresses < _ADDRESSES:
        there = f"{addresses >> 20} MB of addresses (ulimit -v)"
        sentence = f"this shell allows a process {there}, and nap's etcd reserves {_ADDRESSES >> 20} MB"
        raise ReceiverError(sentence, "from one that allows more: nap up; or name your own etcd: etcd.url")


def _taken(kind: int, wanted: int) -> int:
    """Raise the soft limit to `wanted`, or to the hard limit. Return the limit; `wanted` for no limit."""
    soft, hard = resource.getrlimit(kind)
    if 0 <= soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft
