from __future__ import annotations

import json
import math
import subprocess
import sys
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from importlib.util import find_spec
from typing import Any

import kombu.utils.json
import pytest
from golden import refusal
from hypothesis import given
from hypothesis import strategies as st
from kombu import compression, serialization

from tqconsole.engine.exceptions import EncodeError, ImproperlyConfigured, RefusedError
from tqconsole.engine.protocol.limits import Reason
from tqconsole.engine.serialization import (
    JSON_TYPE,
    compress,
    content_types,
    decode,
    decode_json,
    decompress,
    encode,
    encode_json,
    is_deeper_than,
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.times().map(lambda time: time.replace(fold=0))
    | st.datetimes(timezones=st.just(UTC) | st.none()).map(lambda at: at.replace(fold=0))
    | st.uuids()
    | st.decimals(allow_nan=False)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(VALUES)
def test_json_round_trip_keeps_every_value(value: Any) -> None:
    assert repr(decode_json(encode_json(value))) == repr(value)


@given(VALUES)
def test_kombu_reads_what_we_write(value: Any) -> None:
    assert repr(kombu.utils.json.loads(encode_json(value))) == repr(value)


@given(VALUES)
def test_we_read_what_kombu_writes(value: Any) -> None:
    assert repr(decode_json(kombu.utils.json.dumps(value).encode())) == repr(value)


@given(st.binary())
def test_junk_json_is_refused_and_nothing_else(payload: bytes) -> None:
    assert refusal(decode_json, payload) in (None, "undecodable", "too-deep")


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 10**30, {1: 2, None: 3, False: 4, 1.5: 5}, "\ud800", (1, (2,))],
)
def test_what_the_stdlib_accepts_stays_accepted(value: Any) -> None:
    assert repr(json.loads(encode_json(value))) == repr(json.loads(json.dumps(value)))


@pytest.mark.parametrize(
    "text", ["NaN", "-Infinity", "1e400", '"\\ud800"', "1" * 60, '{"a":1,"a":2}']
)
def test_what_the_stdlib_reads_is_read_alike(text: str) -> None:
    assert repr(decode_json(text.encode())) == repr(json.loads(text))


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize("value", [{1}, timedelta(1), object(), Colour.RED, [b"", {2}], {(): 1}])
def test_what_kombu_refuses_to_write_is_refused(value: Any) -> None:
    with pytest.raises(EncodeError):
        encode_json(value)


def test_endless_and_bottomless_values_are_encode_errors() -> None:
    endless: list[Any] = []
    endless.append(endless)
    bottomless: list[Any] = []
    for _ in range(100_000):
        bottomless = [bottomless]
    for value in (endless, bottomless):
        with pytest.raises(EncodeError):
            encode_json(value)


def test_object_with_json_method_is_written_by_it() -> None:
    class Point:
        def __json__(self) -> dict[str, int]:
            return {"x": 1}

    assert decode_json(encode_json([Point()])) == [{"x": 1}]


def test_failing_json_method_is_an_encode_error() -> None:
    class Point:
        def __json__(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(EncodeError):
        encode_json(Point())


def test_subclasses_are_written_as_their_bases() -> None:
    class Name(str):
        __slots__ = ()

    class Fields(dict[str, int]):
        pass

    assert decode_json(encode_json([Name("x"), Fields(a=1)])) == ["x", {"a": 1}]


def test_types_registered_with_kombu_travel() -> None:
    class Money:
        def __init__(self, cents: int) -> None:
            self.cents = cents

    kombu.utils.json.register_type(Money, "money", lambda money: money.cents, Money)
    try:
        read = decode_json(encode_json({"price": Money(5)}))
    finally:
        kombu.utils.json._encoders.pop(Money)
        kombu.utils.json._decoders.pop("money")
    assert read["price"].cents == 5


@pytest.mark.parametrize(
    "tagged",
    [
        {"__type__": "nosuch", "__value__": 1},
        {"__type__": ["x"], "__value__": 1},
        {"__type__": "uuid", "__value__": {"hex": {}}},
        {"__type__": "uuid", "__value__": None},
        {"__type__": "decimal", "__value__": "x"},
        {"__type__": "datetime", "__value__": 5},
        {"__type__": "base64", "__value__": "é"},
        {"__type__": "bytes", "__value__": 1},
    ],
)
def test_hostile_extension_types_are_refused(tagged: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        decode_json(json.dumps([tagged]).encode())


def test_map_with_a_third_key_is_no_extension_type() -> None:
    fields = {"__type__": "uuid", "__value__": 1, "more": 2}
    assert decode_json(json.dumps(fields).encode()) == fields


def test_integer_beyond_pythons_limit_is_refused() -> None:
    with pytest.raises(RefusedError):
        decode_json(b"1" * 5000)


def test_bottomless_json_is_too_deep() -> None:
    for payload in (b"[" * 100_000, b"NaN" + b"[" * 100_000, b'{"__type__":' * 50_000):
        with pytest.raises(RefusedError):
            decode_json(payload)


@pytest.mark.parametrize("serializer", ["pickle", "yaml", "msgpack"])
def test_other_serializers_are_kombus(serializer: str) -> None:
    value = [[1, 2], {"a": "é"}, None]
    content_type, encoding, payload = encode(value, serializer)
    theirs = serialization.loads(payload, content_type, encoding, accept=[content_type])
    assert theirs == value
    assert decode(payload, content_type, encoding, frozenset({content_type})) == value


def test_content_type_serves_as_a_serializer_name() -> None:
    assert encode([1], "application/x-yaml")[0] == "application/x-yaml"


@pytest.mark.parametrize(
    "content_type",
    ["application/x-python-serialize", "application/x-yaml", "application/x-msgpack", "x/y", ""],
)
def test_type_not_accepted_is_refused_before_decoding(content_type: str) -> None:
    with pytest.raises(RefusedError) as refused:
        decode(b"cos\nsystem\n(S'false'\ntR.", content_type, "binary", frozenset({JSON_TYPE}))
    assert refused.value.reason == Reason.CONTENT_TYPE


def test_accepted_pickle_that_fails_is_undecodable() -> None:
    accept = content_types(["pickle"])
    with pytest.raises(RefusedError) as refused:
        decode(b"junk", "application/x-python-serialize", "binary", accept)
    assert refused.value.reason == Reason.UNDECODABLE


def test_names_and_types_of_accept_content_are_understood() -> None:
    assert content_types(["json", "application/x-yaml"]) == {JSON_TYPE, "application/x-yaml"}


def test_unknown_names_are_configuration_errors() -> None:
    with pytest.raises(ImproperlyConfigured):
        content_types(["nosuch"])
    with pytest.raises(ImproperlyConfigured):
        encode(1, "nosuch")
    with pytest.raises(ImproperlyConfigured):
        compress(b"", "nosuch")


#: The last two need packages of the extras.
METHODS = ["gzip", "zlib", "bzip2", "lzma", "xz"]
METHODS += [
    name for name, package in (("zstd", "zstandard"), ("brotli", "brotli")) if find_spec(package)
]


@pytest.mark.parametrize("method", METHODS)
def test_compression_round_trip(method: str) -> None:
    packed, content_type = compress(b"x" * 10_000, method)
    assert decompress(packed, content_type, 10_000) == b"x" * 10_000


@pytest.mark.parametrize("method", METHODS)
def test_bomb_is_cut_at_the_limit(method: str) -> None:
    packed, content_type = compress(bytes(20_000_000), method)
    with pytest.raises(RefusedError) as refused:
        decompress(packed, content_type, 100_000)
    assert refused.value.reason == Reason.TOO_LARGE


@pytest.mark.parametrize("method", METHODS)
def test_cut_or_junk_stream_is_undecodable(method: str) -> None:
    packed, content_type = compress(bytes(range(256)) * 40, method)
    for payload in (packed[:-20], b"junk" + packed, b""):
        with pytest.raises(RefusedError) as refused:
            decompress(payload, content_type, 100_000)
        assert refused.value.reason == Reason.UNDECODABLE


@pytest.mark.parametrize("method", ["gzip", "bzip2", "lzma"])
def test_kombu_and_we_inflate_each_other(method: str) -> None:
    theirs, their_type = compression.compress(b"text", method)
    ours, our_type = compress(b"text", method)
    assert our_type == their_type
    assert decompress(theirs, their_type, 100) == b"text"
    assert compression.decompress(ours, our_type) == b"text"


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ImproperlyConfigured, match=r"tqconsole\[zstd\]"):
        compress(b"", "zstd")
    with pytest.raises(RefusedError, match=r"tqconsole\[zstd\]"):
        decompress(b"", "application/zstd", 10)


def test_real_gzip_streams_are_read_too() -> None:
    import gzip

    assert decompress(gzip.compress(b"text"), "application/x-gzip", 100) == b"text"


@pytest.mark.parametrize(
    ("levels", "depth", "answer"), [(3, 3, False), (4, 3, True), (0, 0, False)]
)
def test_depth_counts_lists_and_maps(levels: int, depth: int, answer: bool) -> None:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"k": value}
    assert is_deeper_than(value, depth) is answer


def test_reason_words_here_are_those_of_the_protocol() -> None:
    words = {Reason.CONTENT_TYPE, Reason.UNDECODABLE, Reason.TOO_DEEP, Reason.TOO_LARGE}
    assert words == {"content-type", "undecodable", "too-deep", "too-large"}


def test_json_needs_no_kombu() -> None:
    code = (
        "import sys, tqconsole.engine.protocol.task as t;"
        "t.decode_body(t.encode_task(t.TaskCall(task_id='i', task_name='n')),"
        " frozenset({'application/json'}));"
        "tops = {m.split('.')[0] for m in sys.modules};"
        "sys.exit(bool(tops & {'kombu', 'celery', 'redis', 'amqp'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_dates_keep_their_zone() -> None:
    instant = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert decode_json(encode_json([instant, date(2026, 1, 2), time(3, 4), Decimal("1.10")])) == [
        instant,
        date(2026, 1, 2),
        time(3, 4),
        Decimal("1.10"),
    ]
    assert math.isnan(decode_json(encode_json([float("nan"), uuid.uuid4()]))[0])
