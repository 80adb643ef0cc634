"""The house's own rules: sizes, doors, names, and tables that agree with their folders."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tqconsole"
SOURCES = sorted(PACKAGE.rglob("*.py"))

#: Third-party package -> where it may be imported (paths below tqconsole/).
DOORS = {
    "textual": ("console.py", "screens/", "widgets/"),
    "rich": ("console.py", "screens/", "widgets/", "cli/tables.py"),
    "kombu": (
        "engine/brokers/kombu/",
        "engine/serialization.py",
        "engine/routing.py",
        "engine/app/connections.py",
        "engine/embedded/kombu_transport.py",
        "engine/embedded/kombu_channel.py",
        "kombu.py",
    ),
    # Slow to import, and hiredis does: it is here for kombu, where users ask for its connections.
    "redis": (),
    "click": ("cli/",),
}
CLOCK_NAMES = {"time", "sleep", "monotonic", "time_ns", "monotonic_ns", "perf_counter"}
#: One flat method per command is what it is for (reference: style, the named exception).
WIDE_CLASSES = {"RemoteControl", "Control", "Inspect"}
#: Celery's names, so Celery's number of methods and lines.
CELERY_SURFACES = {"app", "task", "result", "canvas", "settings"}
BANNED_FILE_NAMES = {"utils", "helpers", "common", "misc", "manager", "util", "helper"}


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("package", DOORS)
def test_third_parties_come_through_their_doors(package: str) -> None:
    strangers = [
        relative(path)
        for path in SOURCES
        if not relative(path).startswith(DOORS[package])
        and any(name.split(".")[0] == package for name in imports(ast.parse(path.read_text())))
    ]

    assert strangers == []


def test_only_the_clock_reads_the_clock() -> None:
    readers = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="time"), attr=name)):
                    if name in CLOCK_NAMES and relative(path) != "engine/clock.py":
                        readers.append(f"{relative(path)}:{node.lineno}")

    assert readers == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_fits_in_a_head(path: Path) -> None:
    lines = path.read_text().count("\n")

    assert lines <= 400, f"{relative(path)} has {lines} lines: split it by phase"


def test_no_function_is_long() -> None:
    long = [
        f"{relative(path)}:{node.lineno} {node.name} {node.end_lineno - node.lineno + 1}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > 60
    ]

    assert long == []


def test_no_file_is_named_after_nothing() -> None:
    assert [relative(path) for path in SOURCES if path.stem in BANNED_FILE_NAMES] == []


def test_every_module_says_why_it_is_there() -> None:
    silent = [
        relative(path)
        for path in SOURCES
        if path.stem != "__init__" and not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert silent == []


@pytest.mark.parametrize(
    ("table_module", "table_name"),
    [
        ("tqconsole.engine.brokers", "BROKERS"),
        ("tqconsole.engine.backends", "BACKENDS"),
        ("tqconsole.engine.pools", "POOLS"),
    ],
)
def test_every_adapter_of_a_table_exists(table_module: str, table_name: str) -> None:
    table = getattr(importlib.import_module(table_module), table_name)

    for entry in table.values():
        module_name, _, class_name = entry.partition(":")
        assert hasattr(importlib.import_module(module_name), class_name), entry


@pytest.mark.parametrize(
    "modules",
    [
        "tqconsole.engine",
        "tqconsole.cli.main",
        "tqconsole.core",
        # A worker's start: half of its time was the import of what it never used.
        "tqconsole.cli.worker, tqconsole.engine.worker.program, tqconsole.engine.backends.redis,"
        " tqconsole.engine.brokers.redis.broker",
    ],
)
def test_import_brings_in_no_heavy_package(modules: str) -> None:
    heavy = ("textual", "rich", "kombu", "redis", "amqp", "asyncio", "email", "xml", "http")
    code = f"import sys, {modules}; print([name for name in {heavy} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_nothing_is_left_open_in_the_sources() -> None:
    words = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "raise NotImplemented" + "Error")
    left = [
        f"{relative(path)}: {word}"
        for path in SOURCES
        for word in words
        if word in path.read_text()
    ]

    assert left == []


def test_every_lint_exception_has_a_reason() -> None:
    bare = [
        f"{relative(path)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if ("# noqa" in line and " - " not in line.split("# noqa", 1)[1])
        or "# type: ignore\n" in line
    ]

    assert bare == []


def test_tests_with_real_servers_skip_nothing() -> None:
    ways_out = re.compile(r"\b(pytest\.(skip|xfail|importorskip)|mark\.(skip|skipif|xfail))\b")
    folder = ROOT / "tests" / "servers"

    assert [path.name for path in folder.glob("*.py") if ways_out.search(path.read_text())] == []
