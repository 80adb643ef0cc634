"""Mutations of good messages: bytes changed, fields filled with what they must not hold."""

from __future__ import annotations

import json
from random import Random
from typing import Any

#: What is put where something else belongs.
JUNK: list[Any] = [
    None, True, False, -1, 0, 2**31, 2**63, 10**30, 1e308, float("inf"), float("nan"), "", "\0",
    "a\r\nb", "\ud800", "\x1b]0;x\x07", "x" * 10_000, [], {}, [[[[[]]]]], {"a": {"b": []}},
    {"__type__": "uuid", "__value__": {}}, {"__type__": "nosuch", "__value__": 1},
    {"__type__": "datetime", "__value__": "no date"}, "2026-01-01T00:00:00", "9999-99-99",
    "application/x-bz2", "application/x-python-serialize", "os.system", "__main__",
    {"exc_type": "spring", "exc_module": "faults.fuzz.traps", "exc_message": []},
    {"exc_type": "SystemExit", "exc_module": "builtins", "exc_message": [0]},
]  # fmt: skip
_TOKENS = [
    b'"',
    b"{",
    b"]",
    b"[[",
    b"\\u0000",
    b"\xff",
    b"9" * 400,
    b"\\ud800",
    b"null",
    b"-",
    b"\r\n",
]


def bytes_of(chance: Random, payload: bytes) -> bytes:
    """Return the bytes with some changed, dropped, doubled, cut or filled in."""
    data = bytearray(payload)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[place : place + 1] = chance.randbytes(1)
            case 1:
                del data[place : place + chance.randint(1, 20)]
            case 2:
                data[place:place] = data[place : place + 30]
            case 3:
                data[place:place] = chance.choice(_TOKENS)
            case _:
                if chance.random() < 0.2:
                    del data[place:]
    return bytes(data)


def value_of(chance: Random, value: Any) -> Any:
    """Return the structure with one of its places holding junk."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        if chance.random() < 0.1:
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: value_of(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.85:
        place = chance.randrange(len(value))
        return [*value[:place], value_of(chance, value[place]), *value[place + 1 :]]
    return chance.choice(JUNK)


def json_of(chance: Random, payload: bytes) -> bytes:
    """Return a JSON text with one place of its structure changed; bytes where it is none."""
    try:
        value = json.loads(payload)
    except ValueError:
        return bytes_of(chance, payload)
    return json.dumps(value_of(chance, value)).encode("utf-8", "surrogatepass")
