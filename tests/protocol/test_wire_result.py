from __future__ import annotations

import json
import sys
import types
from datetime import datetime
from typing import Any

import celery.exceptions
import pytest
from celery.backends.base import BaseBackend
from hypothesis import given
from hypothesis import strategies as st

from tqconsole.engine import exceptions
from tqconsole.engine.exceptions import BackendError, EncodeError, RemoteTaskError
from tqconsole.engine.protocol.limits import Limits
from tqconsole.engine.protocol.result import (
    ResultRecord,
    decode_exception,
    decode_record,
    encode_exception,
    encode_record,
)
from tqconsole.engine.serialization import compress, content_types

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


class OwnError(Exception):
    def __init__(self, code: int, *, note: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.note = note


class PickyError(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


@given(JSON_VALUES, st.none() | st.floats(0, 2e9), st.sampled_from(["SUCCESS", "PROGRESS"]))
def test_record_survives_the_round_trip(value: Any, done_at: float | None, state: str) -> None:
    sent = ResultRecord(
        "id", state, value, None, [[["c", None], None]], None, "g", "p", {"name": "n"}
    )
    assert decode_record(encode_record(sent)) == sent
    timed = decode_record(encode_record(ResultRecord("id", state, date_done_at=done_at)))
    assert timed.date_done_at == (None if done_at is None else pytest.approx(done_at, abs=1e-6))


@pytest.mark.parametrize("serializer", ["json", "pickle", "yaml", "msgpack"])
def test_record_travels_by_every_serializer(serializer: str) -> None:
    (content_type,) = content_types([serializer])
    payload = encode_record(ResultRecord("id", "FAILURE", KeyError("k")), serializer)
    record = decode_record(payload, content_type, frozenset({content_type}))
    assert repr(record.result) == "KeyError('k')"


@pytest.mark.parametrize("method", ["gzip", "bzip2"])
def test_compressed_record_survives_the_round_trip(method: str) -> None:
    payload = encode_record(ResultRecord("id", "SUCCESS", "x" * 1000), compression=method)
    assert decode_record(payload).result == "x" * 1000


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "status": st.sampled_from(["SUCCESS", "FAILURE", "RETRY", "PROGRESS", "", None, 7]),
            "result": JSON_VALUES | st.just({"exc_type": "KeyError", "exc_message": ["k"]}),
            "traceback": st.none() | st.text() | st.integers(),
            "children": st.none() | st.lists(JSON_VALUES) | st.text(),
            "date_done": st.sampled_from(["2026-11-29T12:00:00+00:00", "never", None, 1]),
            "task_id": st.none() | st.text() | st.integers(),
            "group_id": st.none() | st.text() | st.integers(),
            "parent_id": st.none() | st.text(),
            "name": st.text(),
        },
    )
)
def test_record_is_read_alike_whether_it_is_plain_or_has_to_be_looked_at(meta: Any) -> None:
    plain = json.dumps(meta).encode()
    # What was compressed takes the long way.
    packed, content_type = compress(plain, "gzip")
    wrapped = b"\x00celery-compressed\x00" + content_type.encode() + b"\x00" + packed

    assert _read(plain) == _read(wrapped)


def _read(payload: bytes) -> str:
    try:
        return repr(decode_record(payload))
    except BackendError as error:
        return str(error)


def test_result_that_is_no_json_is_an_encode_error() -> None:
    with pytest.raises(EncodeError):
        encode_record(ResultRecord("id", "SUCCESS", {1}))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"status": 5}',
        b'{"status": null}',
        b'{"status": "SUCCESS", "traceback": 5}',
        b'{"status": "SUCCESS", "task_id": []}',
        b'{"status": "SUCCESS", "date_done": "soon"}',
        b"\x80\x04.",
        b"\x00celery-compressed\x00",
        b"\x00celery-compressed\x00application/x-gzip\x00junk",
        b'{"status": "SUCCESS", "result": ' + b"[" * 200 + b"]" * 200 + b"}",
    ],
)
def test_corrupt_record_is_a_backend_error(payload: bytes) -> None:
    with pytest.raises(BackendError):
        decode_record(payload)


@given(st.binary())
def test_junk_record_is_a_backend_error(payload: bytes) -> None:
    with pytest.raises(BackendError):
        decode_record(payload)


def test_pickled_record_is_refused_unless_accepted() -> None:
    payload = encode_record(ResultRecord("id", "SUCCESS", 1), "pickle")
    with pytest.raises(BackendError, match="content-type"):
        decode_record(payload, "application/x-python-serialize")


def test_bomb_of_a_record_is_a_backend_error() -> None:
    payload = encode_record(ResultRecord("id", "SUCCESS", "x" * 10**6), compression="gzip")
    with pytest.raises(BackendError, match="too-large"):
        decode_record(payload, limits=Limits(inflated_bytes=1000))


def test_date_of_an_sql_store_is_read_as_utc() -> None:
    payload = encode_record(ResultRecord("id", "SUCCESS"), "pickle")
    assert payload
    meta = {"status": "SUCCESS", "date_done": datetime(1970, 1, 1, 0, 0, 5), "task_id": "id"}
    import pickle

    accept = content_types(["pickle"])
    record = decode_record(pickle.dumps(meta), "application/x-python-serialize", accept)
    assert record.date_done_at == 5.0


# ---- exceptions


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("bad", 7),
        KeyError("k"),
        OSError(2, "gone"),
        exceptions.NotRegistered("tasks.x"),
        exceptions.WorkerLostError("lost"),
        exceptions.TimeLimitExceeded(5),
        exceptions.Reject("no", requeue=False),
        exceptions.ChordError("part"),
        OwnError(5),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_exception_is_rebuilt_with_class_and_arguments(exc: Exception) -> None:
    rebuilt = decode_exception(json.loads(json.dumps(encode_exception(exc))))
    assert type(rebuilt) is type(exc)
    assert rebuilt.args == exc.args


@pytest.mark.parametrize(
    "exc",
    [
        exceptions.NotRegistered("tasks.x"),
        exceptions.TaskRevokedError("revoked"),
        exceptions.WorkerLostError("lost"),
        exceptions.TimeLimitExceeded(5),
        exceptions.ChordError("part"),
        exceptions.MaxRetriesExceededError("enough"),
        exceptions.EncodeError("x"),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_celery_client_rebuilds_our_errors_as_its_own(exc: Exception) -> None:
    theirs = BaseBackend(celery.Celery(set_as_current=False)).exception_to_python(
        encode_exception(exc)
    )
    expected = getattr(celery.exceptions, type(exc).__name__, None) or theirs.__class__
    assert type(theirs) is expected
    assert not type(theirs).__module__.startswith("tqconsole")


@pytest.mark.parametrize(
    "exc",
    [ValueError("bad", 7), PickyError("a", "b"), OwnError(5), KeyError({1}, object)],
    ids=lambda exc: type(exc).__name__,
)
def test_exception_is_described_as_celery_does(exc: Exception) -> None:
    theirs = BaseBackend(celery.Celery(set_as_current=False)).prepare_exception(exc, "json")
    ours = encode_exception(exc)
    assert ours["exc_type"] == theirs["exc_type"]
    assert ours["exc_module"] == theirs["exc_module"]
    assert ours["exc_message"] == list(theirs["exc_message"])


def test_class_with_its_own_signature_becomes_a_remote_error() -> None:
    rebuilt = decode_exception(encode_exception(PickyError("a", "b")))
    assert isinstance(rebuilt, RemoteTaskError)
    assert rebuilt.type_name == f"{__name__}.PickyError"
    assert rebuilt.args[1:] == ("a b",)


def test_remote_error_is_passed_on_under_its_own_name() -> None:
    described = {"exc_type": "A.OddError", "exc_message": ["x"], "exc_module": "far.away"}
    assert encode_exception(decode_exception(described)) == described


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "SystemExit"),
        ("builtins", "KeyboardInterrupt"),
        ("builtins", "BaseException"),
        ("builtins", "int"),
        ("builtins", "ValueError.__class__"),
        ("builtins", "ValueError.__init__.__globals__"),
        ("subprocess", "Popen"),
        ("not.imported.module", "Boom"),
        ("asyncio.exceptions", "CancelledError"),
        ("builtins", "x" * 1_000_000),
        ("x" * 1_000_000, "ValueError"),
        ("builtins", ""),
        ("", ""),
        (None, "ValueError"),
        ("celery.exceptions", "sys"),
        ("tqconsole.engine.exceptions", "builtins.SystemExit"),
    ],
    ids=lambda text: str(text)[:30],
)
def test_hostile_class_names_become_remote_errors(module: Any, name: str) -> None:
    hostile = {"exc_type": name, "exc_message": ["echo pwned"], "exc_module": module}
    rebuilt = decode_exception(hostile)
    assert type(rebuilt) is RemoteTaskError
    assert len(rebuilt.type_name) < 600


def test_lazy_module_is_not_made_to_import(monkeypatch: pytest.MonkeyPatch) -> None:
    touched: list[str] = []

    class Lazy(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            touched.append(name)
            return super().__getattribute__(name)

        def __getattr__(self, name: str) -> Any:
            touched.append(name)
            return ValueError

    monkeypatch.setitem(sys.modules, "lazy_module", Lazy("lazy_module"))
    touched.clear()
    hostile = {"exc_type": "Boom", "exc_message": [], "exc_module": "lazy_module"}
    assert type(decode_exception(hostile)) is RemoteTaskError
    assert touched == []


def test_nothing_is_imported_by_a_stored_name() -> None:
    assert "antigravity" not in sys.modules
    decode_exception({"exc_type": "X", "exc_message": [], "exc_module": "antigravity"})
    assert "antigravity" not in sys.modules


@given(JSON_VALUES, JSON_VALUES, JSON_VALUES)
def test_any_description_yields_an_exception(name: Any, module: Any, message: Any) -> None:
    described = {"exc_type": name, "exc_module": module, "exc_message": message}
    assert isinstance(decode_exception(described), Exception)
    assert isinstance(decode_exception(message), Exception)


def test_failing_repr_does_not_fail_the_description() -> None:
    class Nasty:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    described = encode_exception(ValueError(Nasty(), {1}))
    assert "ZeroDivisionError" in described["exc_message"][0]
    assert described["exc_message"][1] == "{1}"


def test_exception_pickle_cannot_carry_is_told_of() -> None:
    class Local(Exception):
        pass

    payload = encode_record(ResultRecord("id", "FAILURE", Local("x")), "pickle")
    accept = content_types(["pickle"])
    rebuilt = decode_record(payload, "application/x-python-serialize", accept).result
    assert isinstance(rebuilt, RemoteTaskError)
    assert "Local('x')" in rebuilt.args[1]
