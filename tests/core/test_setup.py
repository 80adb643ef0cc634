"""The file of the console's own settings: what it takes, what it refuses, what is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tqconsole.core.errors import SetupError
from tqconsole.core.keymap import BINDINGS_BY_ID
from tqconsole.core.setup import Setup, check_keys, load_setup, save_setup


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "console.toml"
    path.write_text(text)
    return path


def test_no_file_is_the_usual_setup(tmp_path: Path) -> None:
    setup = load_setup(tmp_path / "none.toml")

    assert setup == Setup()
    assert setup.keymap() == tuple(BINDINGS_BY_ID.values())


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "console.toml"
    setup = Setup(
        "tqconsole-light",
        4,
        {"tasks": ("queue", "wait")},
        {"tasks.rerun": ("T",), "list.filter": ("f7", '"')},
        {"slow": 'name:"a b" runtime>10s'},
    )

    save_setup(setup, path)

    assert load_setup(path) == setup
    assert list(path.parent.iterdir()) == [path]


def test_keys_are_bound_anew_and_the_others_stay(tmp_path: Path) -> None:
    path = written(tmp_path, '[keys]\n"tasks.rerun" = "T"\n"app.suspend" = ["f8", "f11"]\n')

    keys = {entry.binding_id: entry.keys for entry in load_setup(path).keymap()}

    assert keys["tasks.rerun"] == ("T",)
    assert keys["app.suspend"] == ("f8", "f11")
    assert keys["tasks.revoke"] == ("X",)


def test_two_bindings_can_change_places(tmp_path: Path) -> None:
    path = written(tmp_path, '[keys]\n"tasks.rerun" = "X"\n"tasks.revoke" = "R"\n')

    assert load_setup(path).keys == {"tasks.rerun": ("X",), "tasks.revoke": ("R",)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("frames_per_s = 13", "must be one of 1, 2, 4"),
        ("frames_per_s = true", "must be one of"),
        ("fps = 12", "no setting 'fps'"),
        ("frame_per_s = 12", "did you mean 'frames_per_s'"),
        ("theme = 3", "theme must be a text"),
        ("hidden_columns = 3", "hidden_columns must be a table"),
        ("[hidden_columns]\ntasks = [1]", "hidden_columns.tasks must be"),
        ("[keys\n", "is no TOML"),
        ("filters = 3", "filters must be a table"),
        ("[filters]\nslow = 3", "filters.slow must be a text"),
        ('[filters]\n"a b" = "x"', "'a b' is no name"),
        ('[keys]\n"tasks.rrun" = "T"', "did you mean 'tasks.rerun'"),
        ('[keys]\n"zzz" = "T"', "docs/console.md lists them"),
        ('[keys]\n"tasks.rerun" = 3', "must be a text or a list"),
        ('[keys]\n"list.filter" = "a b"', "'a b' is no key"),
        ('[keys]\n"list.filter" = "ctrl+"', "'ctrl\\+' is no key"),
        ('[keys]\n"tasks.rerun" = []', "keys.tasks.rerun wants a key"),
        ('[keys]\n"tasks.rerun" = "t"', "only an uppercase letter may"),
        ('[keys]\n"tasks.rerun" = "G"', "only an uppercase letter may"),
        ('[keys]\n"list.filter" = "T"', "is an uppercase letter"),
        ('[keys]\n"tasks.rerun" = "X"', "'X' would mean tasks.rerun and tasks.revoke"),
        ('[keys]\n"list.filter" = "p"', "'p' would mean app.pause and list.filter"),
        ('[keys]\n"types.tasks" = "w"', "'w' would mean list.wide and types.tasks"),
    ],
)
def test_a_bad_file_says_what_and_where(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)

    with pytest.raises(SetupError, match=words) as caught:
        load_setup(path)

    assert str(path) in str(caught.value)


def test_every_key_of_the_table_could_be_written_in_the_file() -> None:
    keys = {name: entry.keys for name, entry in BINDINGS_BY_ID.items()}

    check_keys(keys)

    assert Setup(keys=keys).keymap() == tuple(BINDINGS_BY_ID.values())
