"""What is shown and checked of a call where the app is at hand."""

from types import SimpleNamespace

from tqconsole.core.signatures import Signatures


def add(x: "int", y: int = 2, *, how: "list[str] | None" = None) -> "int":
    return x + y


def signatures() -> Signatures:
    found = Signatures()
    found.read(lambda: {"proj.add": SimpleNamespace(run=add), "odd": SimpleNamespace(run=None)})
    return found


def test_a_signature_is_shown_as_it_was_written():
    assert signatures().text("proj.add") == "(x: int, y: int = 2, *, how: list[str] | None = None)"


def test_what_is_not_known_is_not_shown():
    assert signatures().text("odd") == ""
    assert Signatures().text("proj.add") == ""


def test_a_call_that_does_not_fit_is_told_before_it_is_sent():
    assert signatures().complaint("proj.add", [], {}) == "missing a required argument: 'x'"
    assert signatures().complaint("proj.add", [1, 2, 3], {}) == "too many positional arguments"
    assert signatures().complaint("proj.add", [1], {"how": []}) == ""
    assert signatures().complaint("odd", [1], {}) == ""
