"""Our command line on a cluster of Celery's workers, by its broker's URL alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from brokers_up import redis_up
from kombu_fleet import PATIENCE_S, eventually
from redis_fleet import Place

pytestmark = [pytest.mark.server, pytest.mark.slow]

NODE = "c1@theirs"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with redis_up(tmp_path_factory.mktemp("redis")) as server:
        place = Place(server.url, tmp_path_factory.mktemp("fleet"))
        try:
            place.theirs(NODE, "celery", "-E", "-P", "prefork", "-c", "1")
            yield place
        finally:
            place.close()


def ours(place: Place, *words: str) -> subprocess.CompletedProcess[str]:
    return place.run("tqconsole", "-b", place.url, *words)


def told(place: Place, *words: str) -> Any:
    done = ours(place, *words, "--json", "-t", "10", "-d", NODE)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    # As Celery's own: `control` prints a list of replies.
    return (answers[0] if isinstance(answers, list) else answers)[NODE]


def test_status_shows_the_nodes(place: Place) -> None:
    done = ours(place, "status", "-t", "10")

    assert done.returncode == 0, done.stderr
    assert f"{NODE}: OK" in done.stdout


@pytest.mark.parametrize(
    ("what", "answer"),
    [("ping", {"ok": "pong"}), ("active", []), ("reserved", []), ("scheduled", [])],
)
def test_inspect_gets_their_answers(place: Place, what: str, answer: Any) -> None:
    assert told(place, "inspect", what) == answer


def test_inspect_reads_what_they_are(place: Place) -> None:
    assert told(place, "inspect", "stats")["pool"]["max-concurrency"] >= 1
    assert "add" in told(place, "inspect", "registered")
    assert [queue["name"] for queue in told(place, "inspect", "active_queues")] == ["celery"]


def test_call_reaches_them_and_its_result_comes_back(place: Place) -> None:
    words = ("call", "add", "-a", "[2,3]", "--wait")
    done = ours(place, "--result-backend", place.url, *words)

    assert (done.returncode, done.stdout.split()[-1]) == (0, "5"), done


def test_control_acts_on_them(place: Place) -> None:
    assert told(place, "control", "rate_limit", "add", "10/m") == {
        "ok": "new rate limit set successfully"
    }
    assert "add [rate_limit=10/m]" in told(place, "inspect", "registered")
    assert told(place, "control", "rate_limit", "add", "0")["ok"]
    count = _process_count(place)
    assert told(place, "control", "pool_grow", "1") == {"ok": "pool will grow"}
    assert eventually(lambda: _process_count(place) == count + 1)


def _process_count(place: Place) -> int:
    return len(told(place, "inspect", "stats")["pool"]["processes"])


def test_revoke_keeps_them_from_starting_it(place: Place) -> None:
    assert "flagged as revoked" in told(place, "control", "revoke", "too-much")["ok"]

    ours(place, "call", "note", "-a", '["late"]', "--task-id", "too-much")

    ours(place, "call", "note", "-a", '["later"]')
    assert eventually(lambda: "later" in place.notes())
    assert "late" not in place.notes()


def test_events_dump_tells_of_their_tasks(place: Place) -> None:
    dump = place.start("dump", "tqconsole", "-b", place.url, "events", "--dump")

    def is_told() -> bool:
        ours(place, "call", "add", "-a", "[1,1]")
        return "succeeded" in place.log("dump")

    assert eventually(is_told), place.log("dump")
    dump.terminate()
    dump.wait(PATIENCE_S)


def test_purge_empties_a_queue_they_do_not_read(place: Place) -> None:
    ours(place, "call", "add", "-a", "[1,1]", "--queue", "nobodys")

    done = ours(place, "purge", "-Q", "nobodys", "-f", "--json")

    assert done.returncode == 0, done.stderr
    assert place.link.run("LLEN", "nobodys") == 0


def test_dead_letters_are_not_theirs(place: Place) -> None:
    done = ours(place, "dead", "list")

    assert done.returncode == 0
    assert "Celery's do not" in done.stderr


def test_shutdown_ends_them_without_an_answer(place: Place) -> None:
    other = place.theirs("c2@theirs", "celery")

    done = ours(place, "control", "shutdown", "-d", "c2@theirs")

    assert other.wait(PATIENCE_S) == 0
    assert "without an answer" in done.stderr
