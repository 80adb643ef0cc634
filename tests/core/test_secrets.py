"""Secrets in arguments are hidden where they are shown, whatever form the text has."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqconsole.core.secrets import HIDDEN, hidden, hide_in


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{'user': 'bo', 'password': 's3, }cret'}", "{'user': 'bo', 'password': '********'}"),
        ('{"api_key": "k", "n": 1}', '{"api_key": "********", "n": 1}'),
        ("{'db_passwd': 42, 'n': 1}", "{'db_passwd': '********', 'n': 1}"),
        ("{'AUTH_TOKEN': None}", "{'AUTH_TOKEN': '********'}"),
        ("({'secret': \"it's\"},)", "({'secret': \"********\"},)"),
        ("{'password': 'cut off by the cl...", "{'password': '********'"),
        ("amqp://app:pw@mq1//shop", "amqp://app:**@mq1//shop"),
        ("(1, 'compass: north')", "(1, 'compass: north')"),
        ("{'kind': 'pass'}", "{'kind': 'pass'}"),
        ("", ""),
    ],
)
def test_values_go_and_names_stay(text, shown):
    assert hidden(text) == shown


def test_a_text_inside_of_json_is_hidden_too():
    record = json.dumps({"kwargs": json.dumps({"token": "abc", "n": 1})})

    assert "abc" not in hidden(record)
    assert json.loads(json.loads(hidden(record))["kwargs"]) == {"token": HIDDEN, "n": 1}


def test_records_are_hidden_to_the_bottom():
    record = {"kwargs": "{'token': 'abc'}", "found": {"args_json": '[{"token": "abc"}]'}, "n": 3}

    assert "abc" not in str(hide_in(record))
    assert hide_in(record)["n"] == 3


@given(st.text(max_size=200))
def test_any_text_is_taken_and_hidden_once(text):
    assert hidden(hidden(text)) == hidden(text)


@given(st.text(alphabet="xyz0123456789", min_size=6, max_size=40))
def test_the_value_is_nowhere_in_a_repr(value):
    assert value not in hidden(repr({"a": 1, "my_password": value, "z": [2]}))
