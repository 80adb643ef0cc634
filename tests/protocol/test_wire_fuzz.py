"""Recorded messages, damaged at random: every reader answers or raises its one error."""

from __future__ import annotations

import contextlib
import json
import random
from typing import Any

import pytest
from golden import VECTORS, message_of, names

from tqconsole.engine.exceptions import BackendError, RefusedError
from tqconsole.engine.protocol.control import decode_reply, decode_request
from tqconsole.engine.protocol.envelope import from_envelope
from tqconsole.engine.protocol.event import decode_events
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.result import decode_record
from tqconsole.engine.protocol.task import decode_body, read_header, upgrade
from tqconsole.engine.serialization import content_types

#: Damages per vector; enough to hit each field of each several times.
ROUNDS = 40
JSON = frozenset({"application/json"})
SAFE = content_types(["json", "yaml", "msgpack"])
JUNK: list[Any] = [
    None,
    True,
    -1,
    2**63,
    10**30,
    1e308,
    float("nan"),
    "",
    "\x00",
    "a\r\nb",
    "\ud800",
    "x" * 10_000,
    [],
    {},
    [[[[[]]]]],
    {"a": {"b": []}},
    {"__type__": "uuid", "__value__": {}},
    {"__type__": "nosuch", "__value__": 1},
    "2026-01-01T00:00:00",
    "application/x-bz2",
]


def read_everything(message: Message) -> None:
    for read in (read_header, lambda m: upgrade(m, SAFE), lambda m: decode_body(m, SAFE)):
        with contextlib.suppress(RefusedError):
            read(message)
    for decode in (decode_request, decode_reply):
        with contextlib.suppress(RefusedError):
            decode(message)
    decode_events(message)
    with contextlib.suppress(BackendError):
        decode_record(message.body)


def damaged_bytes(chance: random.Random, payload: bytes) -> bytes:
    """Return the bytes with some changed, dropped, doubled or cut."""
    data = bytearray(payload)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[place : place + 1] = chance.randbytes(1)
            case 1:
                del data[place : place + chance.randint(1, 20)]
            case 2:
                data[place:place] = data[place : place + 30]
            case _:
                data[place:place] = chance.choice(
                    [b'"', b"{", b"]", b"\\u0000", b"\xff", b"9" * 400]
                )
    return bytes(data)


def damaged_value(chance: random.Random, value: Any) -> Any:
    """Return the structure with one of its places holding junk."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        if chance.random() < 0.1:
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: damaged_value(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.85:
        place = chance.randrange(len(value))
        return [*value[:place], damaged_value(chance, value[place]), *value[place + 1 :]]
    return chance.choice(JUNK)


@pytest.mark.parametrize("name", list(VECTORS))
def test_damaged_bodies_never_stop_a_reader(name: str) -> None:
    chance = random.Random(name)
    message = message_of(VECTORS[name])
    for _ in range(ROUNDS):
        body = damaged_bytes(chance, message.body)
        read_everything(Message(body, message.content_type, headers=message.headers))


@pytest.mark.parametrize("name", list(VECTORS))
def test_damaged_fields_never_stop_a_reader(name: str) -> None:
    chance = random.Random(name)
    message = message_of(VECTORS[name])
    is_json = message.content_type == "application/json" and message.body[:1] in b"[{"
    for _ in range(ROUNDS):
        body = message.body
        if is_json and chance.random() < 0.5:
            body = json.dumps(damaged_value(chance, json.loads(body))).encode()
        headers = damaged_value(chance, message.headers)
        properties = damaged_value(chance, message.properties)
        read_everything(
            Message(
                body,
                message.content_type,
                "utf-8",
                headers if isinstance(headers, dict) else {},
                properties if isinstance(properties, dict) else {},
            )
        )


@pytest.mark.parametrize("name", [n for n in names("task") if "envelope" in VECTORS[n]])
def test_damaged_envelopes_never_stop_a_reader(name: str) -> None:
    chance = random.Random(name)
    envelope = VECTORS[name]["envelope"].encode()
    for round_ in range(ROUNDS):
        if round_ % 2:
            damaged = damaged_bytes(chance, envelope)
        else:
            damaged = json.dumps(damaged_value(chance, json.loads(envelope))).encode()
        with contextlib.suppress(RefusedError):
            read_everything(from_envelope(damaged)[0])
