"""What the console reads and writes: contexts and exports; and what it completes."""

import csv
import io
import json

import pytest

from tqconsole.core.contexts import COLORS, load_contexts
from tqconsole.core.errors import ContextError
from tqconsole.core.export import COLUMNS, export_rows
from tqconsole.core.suggest import suggest, word_at
from tqconsole.core.views import QueueView, TaskRow


def test_contexts_are_read(tmp_path):
    path = tmp_path / "contexts.toml"
    path.write_text(
        'current = "stage"\n[contexts.prod]\nbroker = "redis://h/0"\n'
        '[contexts.stage]\nbroker = "sqlite:q.db"\nfilters = { bad = "is:problem" }\n'
    )

    contexts = load_contexts(path)

    assert contexts.current.name == "stage"
    assert contexts.get("prod").is_read_only
    assert not contexts.get("stage").is_read_only
    assert contexts.get("stage").filters == (("bad", "is:problem"),)


@pytest.mark.parametrize(
    ("name", "is_protected"),
    [
        ("prod", True),
        ("PRODUCTION", True),
        ("shop-prod", True),
        ("prod_eu1", True),
        ("live.eu", True),
        ("products", False),
        ("staging", False),
        ("deliver", False),
    ],
)
def test_what_is_called_production_is_read_only_and_red(tmp_path, name, is_protected):
    path = tmp_path / "contexts.toml"
    path.write_text(f'[contexts."{name}"]\nbroker = "redis://h/0"\n')

    context = load_contexts(path).get(name)

    assert context.is_read_only == is_protected
    assert context.color == (COLORS["red"] if is_protected else "")


def test_a_context_says_otherwise(tmp_path):
    path = tmp_path / "contexts.toml"
    path.write_text(
        '[contexts.prod]\nbroker = "redis://h/0"\nread_only = false\ncolor = "blue"\n'
        '[contexts.lab]\nbroker = "redis://h/0"\nread_only = true\ncolor = "#1A2b3c"\n'
    )

    prod, lab = load_contexts(path).by_name.values()

    assert (prod.is_read_only, prod.color) == (False, COLORS["blue"])
    assert (lab.is_read_only, lab.color) == (True, "#1a2b3c")


def test_no_file_means_no_contexts(tmp_path):
    assert load_contexts(tmp_path / "none.toml").by_name == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[contexts.a]\nbroker = 7", "must be of type str"),
        ("[contexts.a]\nbrocker = 'x'", "there is no setting 'brocker'"),
        ("[contexts.a]", "wants a broker"),
        ("current = 'b'\n[contexts.a]\nbroker = 'x'", "'b', which is not among them"),
        ("contexts = 3", "must be tables"),
        ("colour = 3", "no setting 'colour'"),
        ("[contexts.a\n", "is no TOML"),
        ("[contexts]\na = 3", "must be a table"),
        ("[contexts.a]\nbroker='x'\nfilters={a=1}", "must be texts"),
        ("[contexts.a]\nbroker='x'\ncolor='pink'", "color must be red, orange"),
    ],
)
def test_a_bad_file_says_what_and_where(tmp_path, text, words):
    path = tmp_path / "contexts.toml"
    path.write_text(text)

    with pytest.raises(ContextError, match=words) as caught:
        load_contexts(path)

    assert str(path) in str(caught.value)


def test_an_unknown_context_names_those_there_are(tmp_path):
    path = tmp_path / "contexts.toml"
    path.write_text("[contexts.prod]\nbroker = 'x'")

    with pytest.raises(ContextError, match="there are: prod"):
        load_contexts(path).get("prud")


def row(**facts):
    made = TaskRow("t1", 1)
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def test_rows_are_exported_as_json():
    records = json.loads(export_rows([row(name="a", runtime_s=1.5)], "json"))

    assert records[0]["runtime_s"] == 1.5
    assert tuple(records[0]) == COLUMNS


def test_ndjson_has_a_line_a_row():
    text = export_rows([row(args="a\nb"), row()], "ndjson")

    assert [json.loads(line)["task_id"] for line in text.splitlines()] == ["t1", "t1"]


@pytest.mark.parametrize("evil", ["=1+1", "+cmd", "-2", "@SUM(A1)", "\t=1"])
def test_csv_cells_are_no_formulas(evil):
    cells = list(csv.reader(io.StringIO(export_rows([row(args=evil)], "csv"))))

    assert cells[1][COLUMNS.index("args")] == f"'{evil}"


def test_views_are_exported_too():
    text = export_rows([QueueView("mail", 3, drains_in_s=float("inf"))], "json")

    assert json.loads(text)[0]["drains_in_s"] == "never"


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="no such format"):
        export_rows([], "xml")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sta", ("state:", "started>")),
        ("-sta", ("-state:", "-started>")),
        ("state:re", ("state:RECEIVED", "state:REJECTED", "state:RETRY", "state:REVOKED")),
        ("is:l", ("is:lost",)),
        ("worker:w", ("worker:w1@h",)),
        ("name:odd", ('name:"odd (one)"',)),
        ("(na", ("name:",)),
        ("a A", ("args:", "age>", "AND")),
        ("@b", ("@bad",)),
        ("name:zzz", ()),
    ],
)
def test_suggestions_complete_the_word(text, found):
    values = {"worker": ["w1@h"], "name": ["odd (one)"], "@": ["bad"]}

    assert suggest(text, len(text), values) == found


def test_the_word_before_the_cursor_is_replaced():
    assert word_at("state:FAILURE na rest", 16) == "na"
