from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tqconsole.engine import current
from tqconsole.engine.app.path import find_app
from tqconsole.engine.exceptions import ImproperlyConfigured

APP = "from tqconsole.engine import Celery\n{name} = Celery({main!r}, set_as_current=False)\n"
Project = Callable[[dict[str, str]], None]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Files of a project in the working directory; its modules are forgotten afterwards."""
    known, path = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)

    yield write
    sys.path[:] = path
    for name in set(sys.modules) - known:
        if name.startswith("pathproj"):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("path", "files"),
    [
        ("pathproj", {"pathproj.py": APP.format(name="app", main="found")}),
        ("pathproj", {"pathproj.py": APP.format(name="celery", main="found")}),
        ("pathproj", {"pathproj.py": APP.format(name="queue", main="found")}),
        ("pathproj:queue", {"pathproj.py": APP.format(name="queue", main="found")}),
        ("pathproj.queue", {"pathproj.py": APP.format(name="queue", main="found")}),
        (
            "pathproj",
            {
                "pathproj/__init__.py": "",
                "pathproj/celery.py": APP.format(name="app", main="found"),
            },
        ),
        (
            "pathproj.celery:app",
            {
                "pathproj/__init__.py": "",
                "pathproj/celery.py": APP.format(name="app", main="found"),
            },
        ),
        (
            "pathproj",
            {
                "pathproj/__init__.py": APP.format(name="other", main="wrong"),
                "pathproj/celery.py": APP.format(name="app", main="found"),
            },
        ),
        (
            "pathproj",
            {
                "pathproj/__init__.py": "from pathproj import celery as app\n",
                "pathproj/celery.py": APP.format(name="app", main="found"),
            },
        ),
    ],
)
def test_every_layout_is_found(project: Project, path: str, files: dict[str, str]) -> None:
    project(files)

    app = find_app(path)

    assert app.main == "found"
    assert current.get_default_app() is app


@pytest.mark.parametrize(
    ("path", "files", "reason"),
    [
        ("pathproj_none", {}, "No module named 'pathproj_none'"),
        ("pathproj_none:app", {}, "No module named 'pathproj_none'"),
        ("pathproj:nosuch", {"pathproj.py": "x = 1"}, "has no attribute 'nosuch'"),
        ("pathproj.nosuch", {"pathproj.py": "x = 1"}, "has no attribute 'nosuch'"),
        ("pathproj", {"pathproj.py": "x = 1"}, "no attribute 'app' or 'celery'"),
        ("pathproj:x", {"pathproj.py": "x = 1"}, "is a int, not an app"),
        (":app", {}, "names no module"),
    ],
)
def test_what_is_wrong_is_said(
    project: Project, path: str, files: dict[str, str], reason: str
) -> None:
    project(files)

    with pytest.raises(ImproperlyConfigured, match="Unable to load celery application") as caught:
        find_app(path)

    assert reason in str(caught.value)


def test_errors_inside_the_project_pass(project: Project) -> None:
    project({"pathproj.py": "import pathproj_missing"})

    with pytest.raises(ModuleNotFoundError, match="pathproj_missing"):
        find_app("pathproj")
