from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tqconsole.engine.embedded.topics import does_match


def plainly(pattern: list[str], words: list[str]) -> bool:
    """AMQP's definition, without any cleverness."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(plainly(pattern[1:], words[skip:]) for skip in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and plainly(pattern[1:], words[1:])


@given(
    st.lists(st.sampled_from(["a", "b", "*", "#"]), min_size=1, max_size=5),
    st.lists(st.sampled_from(["a", "b", "cc"]), min_size=1, max_size=5),
)
def test_topic_pattern_means_what_amqp_says(pattern: list[str], words: list[str]) -> None:
    assert does_match("topic", ".".join(pattern), ".".join(words)) == plainly(pattern, words)


def test_direct_key_must_be_equal() -> None:
    assert does_match("direct", "a.*", "a.*")
    assert not does_match("direct", "a.*", "a.b")


def test_fanout_takes_any_key() -> None:
    assert does_match("fanout", "", "whatever.it.is")
