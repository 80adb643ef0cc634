"""What is read by a form is what the reader of everything says, whatever the bytes are."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqconsole.engine.amqp_server.content import PROPERTIES_AT, message_of
from tqconsole.engine.amqp_server.forms import Forms
from tqconsole.engine.amqp_server.inbound import Delivered
from tqconsole.engine.amqp_server.tables import write_properties
from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.header import read_header
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.sealed import SealedMessage
from tqconsole.engine.worker.payload import RunPayload, decode_payload, encode_payload

HEADERS: dict[str, Any] = {
    "lang": "py", "task": "a.b", "id": "i1", "shadow": None, "eta": None, "expires": None,
    "group": None, "group_index": None, "retries": 0, "timelimit": [None, None], "root_id": "i1",
    "parent_id": None, "argsrepr": "(1,)", "kwargsrepr": "{}", "origin": "gen1@h",
    "ignore_result": False, "replaced_task_nesting": 0, "stamped_headers": None, "stamps": {},
}  # fmt: skip
PROPERTIES: dict[str, Any] = {
    "content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2,
    "priority": 3, "correlation_id": "i1", "reply_to": "r1",
}  # fmt: skip
BODY = b"[[1], {}, {}]"

TEXTS = st.none() | st.text(max_size=300)
COUNTS = st.none() | st.integers(-1, 2**31) | st.booleans()
LIMITS = st.none() | st.integers(0, 9) | st.floats(0, 9)
CHANGED = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("shadow", "group", "root_id", "parent_id", "argsrepr", "origin"), TEXTS),
        **dict.fromkeys(("id", "task"), st.text(max_size=9) | st.binary(max_size=9)),
        **dict.fromkeys(("group_index", "retries", "replaced_task_nesting"), COUNTS),
        "eta": TEXTS | st.datetimes(datetime(1970, 1, 2)),
        "timelimit": st.tuples(LIMITS, LIMITS),
        "ignore_result": st.none() | st.booleans(),
        "stamped_headers": st.none() | st.lists(st.text(max_size=3), max_size=2),
        "stamps": st.dictionaries(st.text(max_size=3), TEXTS, max_size=1),
        "own": TEXTS,
    },
)
BEHIND = st.fixed_dictionaries(
    {},
    optional={
        "correlation_id": st.none() | st.text(max_size=40),
        "reply_to": st.none() | st.text(max_size=40),
        "priority": st.none() | st.integers(0, 255),
        "delivery_mode": st.none() | st.integers(0, 255),
        "content_type": st.none() | st.text(max_size=20),
        "expiration": st.none() | st.text(max_size=3),
    },
)


def delivered(headers: Any = None, body: bytes = BODY, **properties: Any) -> Delivered:
    written = write_properties(
        {**PROPERTIES, "application_headers": {**HEADERS, **(headers or {})}, **properties}
    )
    return Delivered("", 1, False, "", "", struct.pack(">HHQ", 60, 0, len(body)) + written, body)


def said(read: Any, it: Delivered) -> Any:
    """What a reader says of a message: all that is in it, or that it is refused."""
    try:
        message = read(it)
    except RefusedError as error:
        return error.reason
    fields = [getattr(message, name) for name in Message.__struct_fields__]
    try:
        return [*fields, read_header(message)]
    except RefusedError as error:
        return [*fields, error.reason]


def agree(forms: Forms, it: Delivered) -> None:
    # Texts of equal value may differ in type only where one is bytes: `repr` tells.
    assert repr(said(forms.read, it)) == repr(said(message_of, it))


def test_second_header_of_a_task_is_read_by_the_form_of_the_first() -> None:
    forms = Forms()

    first = forms.read(delivered())
    second = forms.read(delivered({"id": "other", "retries": 7, "argsrepr": "é" * 300}, b"{}"))

    assert type(first) is not SealedMessage
    assert type(second) is SealedMessage
    assert second.body == b"{}"
    assert second.wire_headers.id == "other"
    assert second.wire_headers.retries == 7
    assert second.headers == {**HEADERS, "id": "other", "retries": 7, "argsrepr": "é" * 300}
    assert second.sent_properties() == second.properties == first.properties


@given(st.lists(st.tuples(CHANGED, BEHIND), max_size=6))
def test_forms_say_what_the_reader_of_everything_says(
    changes: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    forms = Forms()
    for headers, properties in [({}, {}), *changes, *changes, ({}, {})]:
        agree(forms, delivered(headers, **properties))


@given(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_are_read_as_without_forms(places: list[tuple[int, int]]) -> None:
    forms = Forms()
    agree(forms, delivered())
    ruined = bytearray(delivered().header)
    for at, byte in places:
        ruined[PROPERTIES_AT + at % (len(ruined) - PROPERTIES_AT)] = byte

    agree(forms, Delivered("", 1, False, "", "", bytes(ruined), BODY))


@pytest.mark.parametrize("last", ["stamps", "origin"])
def test_cut_and_lengthened_headers_are_read_as_without_forms(last: str) -> None:
    headers = dict(HEADERS)
    headers[last] = headers.pop(last)
    whole = delivered(headers, application_headers=headers).header
    forms = Forms()
    agree(forms, Delivered("", 1, False, "", "", whole, BODY))
    assert type(forms.read(Delivered("", 1, False, "", "", whole, BODY))) is SealedMessage

    for cut in range(PROPERTIES_AT, len(whole)):
        agree(forms, Delivered("", 1, False, "", "", whole[:cut], BODY))
    agree(forms, Delivered("", 1, False, "", "", whole + b"\x00", BODY))


def test_text_longer_than_its_table_is_refused() -> None:
    headers = {name: it for name, it in HEADERS.items() if name != "origin"} | {"origin": "o"}
    it = delivered(application_headers=headers)
    forms = Forms()
    forms.read(it)
    assert type(forms.read(it)) is SealedMessage
    size_at = it.header.index(b"\x06originS") + 8
    longer = it.header[:size_at] + struct.pack(">I", 2) + it.header[size_at + 4 :]

    with pytest.raises(RefusedError):
        forms.read(Delivered("", 1, False, "", "", longer, BODY))


def test_one_task_with_many_forms_has_each_message_read_right() -> None:
    forms = Forms()
    for number in range(200):
        agree(forms, delivered({"timelimit": [number % 20, None]}))


def test_many_tasks_are_read_right() -> None:
    forms = Forms()
    for number in range(600):
        agree(forms, delivered({"task": f"t{number % 300}"}))


def test_task_read_by_a_form_reaches_a_child_as_it_was() -> None:
    forms = Forms()
    forms.read(delivered())
    message = forms.read(delivered())
    assert type(message) is SealedMessage

    there = decode_payload(encode_payload(RunPayload(message, "h", "q", "", "q"))).message

    assert there == message
    assert read_header(there) == read_header(message)
