"""`examples/migration`: a project that ran under Celery does the same here, but for its imports."""

from __future__ import annotations

import difflib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from brokers_up import redis_up
from kombu_fleet import PATIENCE_S, eventually

from tqconsole.engine.app import App
from tqconsole.engine.protocol.event import decode_events, event_mailbox

pytestmark = [pytest.mark.server, pytest.mark.slow]

PROJECT = Path(__file__).parents[2] / "examples" / "migration" / "shop"
#: An import line here -> the same with Celery; the first that fits.
IMPORTS = [
    (r"from tqconsole\.engine\.log import", "from celery.utils.log import"),
    (r"from tqconsole\.engine\.", "from celery."),
    (r"from tqconsole\.engine import", "from celery import"),
]
#: Words of a task's log lines that say what became of it.
WORDS = ("received", "succeeded", "raised expected", "raised unexpected", "retry: ", "Discarding")


def with_celerys_imports(text: str) -> str:
    for pattern, theirs in IMPORTS:
        text = re.sub(rf"^{pattern}", theirs, text, flags=re.MULTILINE)
    return text


@dataclass
class Day:
    """What one day of the shop left behind."""

    results: dict[str, Any] = field(default_factory=dict)
    journal: Counter[str] = field(default_factory=Counter)
    log: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    def lives(self) -> Counter[tuple[str, tuple[str, ...]]]:
        """Return (task, its events in order) -> how many tasks had such a life."""
        names: dict[str, str] = {}
        told: dict[str, list[str]] = defaultdict(list)
        for event in sorted(self.events, key=lambda event: event["timestamp"]):
            if event["type"].startswith("task-"):
                names[event["uuid"]] = event.get("name") or names.get(event["uuid"], "")
                told[event["uuid"]].append(event["type"])
        return Counter((names[uuid], tuple(sorted(types))) for uuid, types in told.items())

    def facts(self) -> Counter[tuple[str, str]]:
        """Return (task, word) of the log's lines -> how many there are."""
        pattern = re.compile(r"(shop\.tasks\.\w+)\[[\w-]+\]:? (.*)")
        lines = [found for line in self.log.splitlines() if (found := pattern.search(line))]
        return Counter(
            (found[1], word) for found in lines for word in WORDS if found[2].startswith(word)
        )


def spend(program: str, folder: Path, url: str) -> Day:
    """Let a worker of `program` and a client have their day; return what it left."""
    environ = {
        **os.environ,
        "SHOP_BROKER": url,
        "SHOP_JOURNAL": str(folder / "journal"),
        "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
        "PYTHONWARNINGS": "ignore",
    }
    day, log = Day(), folder / "worker.log"
    app = App("listener", broker=url, set_as_current=False)
    feed = app.broker.subscribe(event_mailbox("listener"), ["#"])
    is_over = threading.Event()

    def listen() -> None:
        while not is_over.is_set():
            for heard in feed.receive(0.1):
                day.events.extend(decode_events(heard.message))

    listener = threading.Thread(target=listen)
    listener.start()
    command = [sys.executable, "-m", program, "-A", "shop", "worker", "-n", "w1@shop", "-l", "INFO"]
    with log.open("w") as out:
        worker = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=out, stderr=out, start_new_session=True
        )
    try:
        assert eventually(lambda: "w1@shop ready." in log.read_text()), log.read_text()
        client = subprocess.run(
            [sys.executable, "-m", "shop.day"],
            cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert client.returncode == 0, client.stderr + log.read_text()
        day.results = json.loads(client.stdout)
        # The callback is the last to run, and has no result that the client could wait for.
        assert eventually(
            lambda: "postrun shop.tasks.note SUCCESS" in (folder / "journal").read_text()
        )
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_S) == 0
        assert eventually(lambda: any(e["type"] == "worker-offline" for e in list(day.events)))
    finally:
        is_over.set()
        listener.join()
        feed.close()
        app.close()
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
    day.log = log.read_text()
    day.journal = Counter((folder / "journal").read_text().splitlines())
    return day


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Day, Day]]:
    """Return (ours, theirs)."""
    with redis_up(tmp_path_factory.mktemp("redis")) as server:
        spent = []
        for number, program in enumerate(("tqconsole", "celery")):
            folder = tmp_path_factory.mktemp(program)
            (folder / "shop").mkdir()
            for file in PROJECT.glob("*.py"):
                text = file.read_text()
                copied = text if program == "tqconsole" else with_celerys_imports(text)
                (folder / "shop" / file.name).write_text(copied)
            url = f"{server.url.rpartition('/')[0]}/{number}"
            spent.append(spend(program, folder, url))
        yield spent[0], spent[1]


def test_only_imports_differ() -> None:
    for file in PROJECT.glob("*.py"):
        text = file.read_text()
        changed = [
            line[2:]
            for line in difflib.ndiff(text.splitlines(), with_celerys_imports(text).splitlines())
            if line.startswith(("- ", "+ "))
        ]
        assert [line for line in changed if not line.startswith("from ")] == []
        assert "tqconsole" not in with_celerys_imports(text)


def test_results_and_states_are_the_same(days: tuple[Day, Day]) -> None:
    ours, theirs = days

    assert ours.results == theirs.results
    assert ours.results["charge"] == ["SUCCESS", "order-1 charged after 2 retries", False]


def test_signals_and_handlers_see_the_same(days: tuple[Day, Day]) -> None:
    ours, theirs = days

    assert ours.journal == theirs.journal


def test_logs_tell_the_same(days: tuple[Day, Day]) -> None:
    ours, theirs = days

    assert ours.facts() == theirs.facts()
    for day in days:
        assert "WARNING/" in next(line for line in day.log.splitlines() if "mail for ann" in line)
        assert re.search(r"shop\.tasks\.price\[[\w-]+\]: pricing 3 of 2\.50 EUR", day.log)


def test_events_tell_the_same(days: tuple[Day, Day]) -> None:
    ours, theirs = days

    assert ours.lives() == theirs.lives()
