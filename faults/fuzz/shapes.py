"""The shapes of hostile messages that are always tried: each field of each part, wrong in its way.

A shape makes of a good message one that no client of ours or Celery's would send.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from faults.fuzz import traps
from tqconsole.engine.protocol.message import Message

Shape = Callable[[Message], Message]

_DEEP = b"[" * 20_000 + b"]" * 20_000
_DEEP_MAP = b'{"a":' * 5_000 + b"1" + b"}" * 5_000
#: Keys that fall into one bucket of a table that hashes integers plainly.
_COLLIDING = json.dumps([[], {str(number * (2**61 - 1)): 0 for number in range(5_000)}, {}])


def _body(body: bytes, content_type: str = "application/json", **headers: Any) -> Shape:
    def make(good: Message) -> Message:
        return msgspec.structs.replace(
            _plain(good),
            body=body,
            content_type=content_type,
            headers={**good.headers, **headers},
        )

    return make


def _header(name: str, value: Any) -> Shape:
    def make(good: Message) -> Message:
        return msgspec.structs.replace(_plain(good), headers={**good.headers, name: value})

    return make


def _no_header(name: str) -> Shape:
    def make(good: Message) -> Message:
        headers = {key: value for key, value in good.headers.items() if key != name}
        return msgspec.structs.replace(_plain(good), headers=headers)

    return make


def _property(name: str, value: Any) -> Shape:
    def make(good: Message) -> Message:
        return msgspec.structs.replace(_plain(good), properties={**good.properties, name: value})

    return make


def _type(content_type: str, encoding: str = "utf-8") -> Shape:
    def make(good: Message) -> Message:
        return msgspec.structs.replace(
            _plain(good), content_type=content_type, content_encoding=encoding
        )

    return make


def _plain(message: Message) -> Message:
    return Message(
        message.body,
        message.content_type,
        message.content_encoding,
        dict(message.headers),
        dict(message.properties),
    )


_BODIES: Mapping[str, bytes] = {
    "empty": b"",
    "random": bytes(range(256)),
    "null": b"null",
    "number": b"7",
    "text": b'"x"',
    "map": b"{}",
    "list of one": b"[[]]",
    "list of two": b"[[1], {}]",
    "list of four": b"[[], {}, {}, {}]",
    "args a map": b"[{}, {}, {}]",
    "args a number": b"[1, {}, {}]",
    "kwargs a list": b"[[], [], {}]",
    "kwargs null": b"[[], null, {}]",
    "embed a list": b"[[0.0], {}, []]",
    "embed null": b"[[0.0], {}, null]",
    "callbacks a number": b'[[0.0], {}, {"callbacks": 7}]',
    "callbacks of numbers": b'[[0.0], {}, {"callbacks": [1, null]}]',
    "callback without task": b'[[0.0], {}, {"callbacks": [{}]}]',
    "errbacks a text": b'[[], {}, {"errbacks": "x"}]',
    "chain a map": b'[[0.0], {}, {"chain": {"task": 1}}]',
    "chain of nulls": b'[[0.0], {}, {"chain": [null]}]',
    "chord a number": b'[[0.0], {}, {"chord": 3}]',
    "chord without body": b'[[0.0], {}, {"chord": {}}]',
    "cut in the middle": b'[[0.0], {}, {"callb',
    "two values": b"[[], {}, {}][[], {}, {}]",
    "deep list": _DEEP,
    "deep map": _DEEP_MAP,
    "deep args": b"[" + _DEEP[:1800] + b"]" * 900 + b", {}, {}]",
    "huge integer": b"[[" + b"9" * 5_000 + b"], {}, {}]",
    "huge float": b"[[1e999], {}, {}]",
    "not a number": b"[[NaN], {}, {}]",
    "lone surrogate": b'[["\\ud800"], {}, {}]',
    "bad utf-8": b'[["\xff\xfe"], {}, {}]',
    "byte order mark": b"\xef\xbb\xbf[[], {}, {}]",
    "utf-16": "[[], {}, {}]".encode("utf-16"),
    "colliding keys": _COLLIDING.encode(),
    "repeated keys": b'[[], {"a": 1, "a": 2}, {}]',
    "type markers": b'[[{"__type__": "uuid", "__value__": 3}], {}, {}]',
    "unknown marker": b'[[{"__type__": "os.system", "__value__": "x"}], {}, {}]',
}
_HEADERS: Mapping[str, tuple[str, Any]] = {
    "id null": ("id", None),
    "id a list": ("id", ["a"]),
    "id a map": ("id", {"a": 1}),
    "id empty": ("id", ""),
    "id with newline": ("id", "a\r\nb"),
    "id with NUL": ("id", "a\0b"),
    "id of 10 kB": ("id", "x" * 10_000),
    "task null": ("task", None),
    "task a list": ("task", ["storm.work"]),
    "task a number": ("task", 3),
    "task empty": ("task", ""),
    "task with escape": ("task", "\x1b[2Jx"),
    "task a dunder": ("task", "__import__('os').system"),
    "eta no date": ("eta", "tomorrow"),
    "eta a number": ("eta", 1e300),
    "eta of year 0": ("eta", "0000-00-00T00:00:00"),
    "eta of year 9999": ("eta", "9999-12-31T23:59:59.999999+00:00"),
    "expires a list": ("expires", [1]),
    "expires no date": ("expires", "never"),
    "retries below zero": ("retries", -1),
    "retries huge": ("retries", 10**15),
    "retries a text": ("retries", "many"),
    "timelimit a number": ("timelimit", 3),
    "timelimit of three": ("timelimit", [1, 2, 3]),
    "timelimit below zero": ("timelimit", [-1, -1]),
    "timelimit of texts": ("timelimit", ["a", "b"]),
    "group a map": ("group", {}),
    "group index a text": ("group_index", "x"),
    "root a list": ("root_id", []),
    "parent a number": ("parent_id", 1.5),
    "stamped headers a number": ("stamped_headers", 7),
    "stamps a list": ("stamps", [1]),
    "ignore result a text": ("ignore_result", "maybe"),
    "compression unknown": ("compression", "application/x-rot13"),
    "compression a list": ("compression", ["gzip"]),
    "compression and no compressed": ("compression", "application/x-gzip"),
    "argsrepr a map": ("argsrepr", {}),
    "shadow a list": ("shadow", ["x"]),
    "origin a number": ("origin", 1),
    "nesting below zero": ("replaced_task_nesting", -2),
    "unknown task": ("task", "no.such.task"),
    "our own mark a text": ("tq-deaths", "many"),
    "our own mark huge": ("tq-deaths", 10**9),
    "letter's mark": ("tq-dead", {"id": 1}),
}
_PROPERTIES: Mapping[str, tuple[str, Any]] = {
    "reply_to with newline": ("reply_to", "a\nb"),
    "correlation_id of 1 kB": ("correlation_id", "c" * 1_000),
    "priority of 200": ("priority", 200),
}
_TYPES: Mapping[str, str] = {
    "no content type": "",
    "unknown content type": "application/x-own",
    "content type with newline": "application/json\r\nx: y",
    "pickle's type over json": "application/x-python-serialize",
    "yaml's type over json": "application/x-yaml",
    "msgpack's type over json": "application/x-msgpack",
}


def shapes() -> Iterator[tuple[str, Shape]]:
    """Yield every shape by its name; what is big is made once."""
    for name, body in _BODIES.items():
        yield f"body: {name}", _body(body)
    for name, (header, value) in _HEADERS.items():
        yield f"header: {name}", _header(header, value)
    for name in ("id", "task"):
        yield f"header: no {name}", _no_header(name)
    for name, (key, value) in _PROPERTIES.items():
        yield f"property: {name}", _property(key, value)
    for name, content_type in _TYPES.items():
        yield f"type: {name}", _type(content_type)
    yield "encoding: unknown", _type("application/json", "x-none")
    yield "trap: pickle", _body(traps.PICKLE, "application/x-python-serialize")
    yield "trap: pickle as json", _body(traps.PICKLE)
    yield "trap: yaml", _body(traps.YAML, "application/x-yaml")
    yield (
        "trap: pickle, protocol 1",
        lambda good: Message(
            traps.PICKLE, "application/x-python-serialize", "binary", {}, dict(good.properties)
        ),
    )


def bombs(*, is_all: bool = False) -> Iterator[tuple[str, Shape]]:
    """Yield small bodies that inflate to 192 MB, past the limit; the slow packers only for all."""
    bomb = b'[["' + b"a" * (192 * 1024 * 1024) + b'"], {}, {}]'
    packers: dict[str, Callable[[bytes], bytes]] = {
        "application/x-gzip": lambda body: gzip.compress(body, 1),
        "zlib": lambda body: zlib.compress(body, 1),
    }
    if is_all:
        packers["application/x-bz2"] = lambda body: bz2.compress(body, 1)
        packers["application/x-lzma"] = lambda body: lzma.compress(body, preset=0)
    for name, pack in packers.items():
        yield f"bomb: {name}", _body(pack(bomb), compression=name)
