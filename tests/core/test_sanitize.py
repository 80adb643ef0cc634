import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqconsole.core.sanitize import clean, clean_lines, clean_name, clean_tree

HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2066-\u2069\ufeff\ud800-\udfff]"
)
NASTY = st.text(
    alphabet=st.one_of(
        st.characters(),
        st.sampled_from("\x1b\x07\x00\x9b\x9d\u202e\u2066\u200b\ud800\r\n\t[]/<>@=_\u0301"),
    )
)


@given(NASTY, st.integers(min_value=0, max_value=300))
def test_clean_leaves_no_control_character(text, limit_chars):
    assert not HIDDEN.search(clean(text, limit_chars))


@given(NASTY)
def test_clean_lines_leaves_only_line_ends(text):
    assert not HIDDEN.search(clean_lines(text).replace("\n", ""))


@given(NASTY)
def test_no_invisible_category_survives(text):
    assert not {unicodedata.category(c) for c in clean(text)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text(alphabet=st.characters(codec="ascii", categories=("L", "N", "P", "S")), max_size=99))
def test_harmless_text_stays_itself(text):
    assert clean(text) == text


@given(NASTY)
def test_cleaning_twice_changes_nothing(text):
    once = clean(text)

    assert clean(once) == once


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("a\tb", "a b"),
        ("a\nb\r", "a⏎b⏎"),
        ("\x9b31m", "\\x9b31m"),
        ("\x7f", "␡"),
        ("x\u202ey", "x<U+202E>y"),
        ("a\u200bb", "a<U+200B>b"),
        ("\ud800", "\ufffd"),
        ("[/] [@click=app.quit]x", "[/] [@click=app.quit]x"),
        ("日本語 é", "日本語 é"),
    ],
)
def test_clean_shows_what_was_there(raw, shown):
    assert clean(raw) == shown


def test_clean_clips_before_it_looks():
    assert clean("x" * 100, 10) == "x" * 9 + "…"


def test_combining_marks_are_not_piled_up():
    assert len(clean("e" + "\u0301" * 10_000, 20_000)) <= 5


def test_a_long_traceback_keeps_its_ends():
    text = "first\n" + "middle\n" * 10_000 + "ValueError: last"

    shown = clean_lines(text, 200)

    assert len(shown) <= 200
    assert shown.startswith("first\n")
    assert shown.endswith("ValueError: last")


def test_values_that_are_no_text_are_shown():
    class Rude:
        def __str__(self):
            raise RuntimeError

    assert (clean(None), clean(12), clean(Rude())) == ("", "12", "<Rude>")


def test_names_are_short():
    assert len(clean_name("w" * 10_000)) == 255


def test_a_tree_is_cleaned_through_and_through():
    tree = {"k\x1b": ["a\x07", {"deep": "\u202e"}], "n": 1, "huge": 10**100_000}

    assert clean_tree(tree) == {"k␛": ["a␇", {"deep": "<U+202E>"}], "n": 1, "huge": "…"}
