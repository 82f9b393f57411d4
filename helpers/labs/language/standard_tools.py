"""A look into a dict's table: how many deleted entries lie before the first living one.

Field by field as in CPython 3.12 to 3.14 (Include/internal/pycore_dict.h, builds with a GIL).
"""

from __future__ import annotations

import ctypes
from itertools import compress, count
from typing import Any


class Keys(ctypes.Structure):
    """PyDictKeysObject up to its index table; the entries follow behind that, in order of insertion."""

    _fields_ = (
        ("refcnt", ctypes.c_ssize_t),
        ("log2_size", ctypes.c_uint8),
        ("log2_index_bytes", ctypes.c_uint8),
        ("kind", ctypes.c_uint8),
        ("version", ctypes.c_uint32),
        ("usable", ctypes.c_ssize_t),
        ("nentries", ctypes.c_ssize_t),
    )


class Table(ctypes.Structure):
    """PyDictObject."""

    _fields_ = (
        ("refcnt", ctypes.c_ssize_t),
        ("type", ctypes.c_void_p),
        ("used", ctypes.c_ssize_t),
        ("version", ctypes.c_uint64),
        ("keys", ctypes.POINTER(Keys)),
        ("values", ctypes.c_void_p),
    )


def dead_in_front(board: dict[Any, Any]) -> int:
    """How many entries without a value an iterator passes before the first living one."""
    keys = Table.from_address(id(board)).keys.contents
    words = 3 if keys.kind == 0 else 2  # hash, key, value; no hash if all keys are str
    index_bytes = 1 << keys.log2_index_bytes
    entries = ctypes.addressof(keys) + ctypes.sizeof(Keys) + index_bytes
    table = (ctypes.c_size_t * (words * keys.nentries)).from_address(entries)
    values = memoryview(table).cast("B").cast("P")[words - 1 :: words]
    return next(compress(count(), values), keys.nentries)


def unreadable() -> str | None:
    """Why this interpreter's dicts cannot be read like this; None if they can."""
    probe: dict[Any, Any] = dict.fromkeys(range(100))
    for key in range(7):
        del probe[key]
    table = Table.from_address(id(probe))
    if table.type != id(dict) or table.used != 93:  # a build whose objects have another header
        return (
            "this build lays out a dict in another way; run it on CPython 3.12 to 3.14 with a GIL"
        )
    return (
        None if dead_in_front(probe) == 7 else "this interpreter lays out a dict's table otherwise"
    )
