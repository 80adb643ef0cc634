from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from stub_cluster import Done, StubApp

from tqconsole.cli.main import main


@pytest.fixture
def app() -> Iterator[StubApp]:
    stub = StubApp()
    yield stub
    stub.stop()


@pytest.fixture
def run(app: StubApp, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def run_words(*words: str) -> Done:
        code = main(words, app)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run_words
