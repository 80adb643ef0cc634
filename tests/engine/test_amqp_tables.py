"""Our reader of AMQP's tables reads what py-amqp writes, as py-amqp reads it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import amqp
import pytest
from amqp.serialization import decode_properties_basic
from hypothesis import given
from hypothesis import strategies as st

from tqconsole.engine.amqp_server.content import content_of
from tqconsole.engine.amqp_server.tables import read_properties, write_properties
from tqconsole.engine.exceptions import EncodeError
from tqconsole.engine.protocol.message import Message

KEYS = st.text(max_size=60)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.decimals(-(10**6), 10**6, places=2).map(Decimal)
)
VALUES = st.recursive(
    SCALARS, lambda it: st.lists(it, max_size=4) | st.dictionaries(KEYS, it, max_size=4)
)


def packed(**properties: Any) -> bytes:
    written: bytes = amqp.Message(b"", **properties)._serialize_properties()
    return written


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_tables_are_read_as_py_amqp_reads_them(headers: dict[str, Any]) -> None:
    data = packed(application_headers=headers, correlation_id="it", priority=3)

    assert read_properties(b"1234" + data, 4) == decode_properties_basic(data, 0)[0]


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_tables_are_written_as_py_amqp_writes_them(headers: dict[str, Any]) -> None:
    properties = {"application_headers": headers, "content_type": "it", "delivery_mode": 2}

    assert write_properties(properties) == packed(**properties)


@pytest.mark.parametrize(
    "headers", [{"x": object()}, {"k" * 256: 1}, {"x": 2**63}, {"x": {"y": [{1, 2}]}}, {1: 2}]
)
def test_what_amqp_cannot_carry_is_refused(headers: dict[Any, Any]) -> None:
    with pytest.raises(EncodeError, match="AMQP cannot carry"):
        content_of(Message(b"", headers=headers))


def test_all_properties_are_read() -> None:
    texts = (
        "content_type", "content_encoding", "correlation_id", "reply_to", "expiration",
        "message_id", "type", "user_id", "app_id", "cluster_id",
    )  # fmt: skip
    properties = {name: name for name in texts} | {"delivery_mode": 2, "priority": 9}

    assert read_properties(packed(**properties), 0) == properties
    assert write_properties(properties) == packed(**properties)
    assert read_properties(b"\x00\x40" + bytes(7) + b"\x05", 0) == {"timestamp": 5}


@given(st.binary(max_size=80))
def test_ruined_bytes_raise_or_are_read(data: bytes) -> None:
    try:
        read_properties(data, 0)
    except (RecursionError, MemoryError):
        raise
    except Exception:
        return


@pytest.mark.parametrize("cut", range(1, 30))
def test_cut_table_is_refused(cut: int) -> None:
    data = packed(application_headers={"task": "a.b.c", "list": [1, 2, 3], "none": None})

    with pytest.raises(Exception, match=r".*"):
        read_properties(data[:-cut], 0)
