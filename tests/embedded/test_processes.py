"""Several processes on one file: forks, kills in the middle of writes, rings across processes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedded_values import acks, fetch, names, task

from tqconsole.engine.backends.sqlite import SqliteBackend
from tqconsole.engine.brokers.sqlite import SqliteBroker
from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.protocol.transfer import QueueSpec, ResultWrite

PROLOGUE = """
import os, sys, threading
sys.path.insert(0, {folder!r})
from embedded_values import *
from tqconsole.engine.backends.sqlite import SqliteBackend
from tqconsole.engine.brokers.sqlite import SqliteBroker
from tqconsole.engine.protocol.transfer import *
url = {url!r}
broker = SqliteBroker(url)

def say(*words):
    print(*words, flush=True)

"""

PUBLISHER = """
number = 0
while True:
    sent = [f"{sys.argv[1]}.{number + offset}" for offset in range(number % 4 + 1)]
    broker.publish([task(it) for it in sent])
    say(*sent)
    number += len(sent)
"""

# A worker that runs nothing: it stores a result and settles in one exchange, as ours does.
WORKER = """
consumer = broker.consumer([QUEUE], sys.argv[1])
consumer.give_back(1000)
settled, riding = (), None
while True:
    held = consumer.exchange(settled, (), 8, riding)
    consumer.exchange(started=[Handover(it.tag, is_acked=False) for it in held])
    settled = acks(held)
    riding = Riding(results=tuple(ResultWrite(it, "SUCCESS", b"{}") for it in names(held)))
    if not held:
        consumer.wait(0.2)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/queue.db"


class Spawner:
    """Runs scripts against the store in processes of their own, and ends them."""

    def __init__(self, url: str) -> None:
        self._prologue = PROLOGUE.format(folder=str(Path(__file__).parent), url=url)
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", self._prologue + textwrap.dedent(script), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def run(self, script: str, *arguments: str) -> str:
        output, errors = self.start(script, *arguments).communicate(timeout=60)
        assert not errors, errors
        return output

    def close(self) -> None:
        for process in self._processes:
            # A child of its own that hangs would keep the pipes open, and us waiting for ever.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=20)


@pytest.fixture
def spawner(url: str) -> Iterator[Spawner]:
    made = Spawner(url)
    yield made
    made.close()


@pytest.mark.slow
def test_nothing_confirmed_is_lost_when_processes_are_killed(
    url: str, tmp_path: Path, spawner: Spawner
) -> None:
    chance = random.Random(4)
    confirmed: set[str] = set()
    for round_number in range(6):
        publishers = [spawner.start(PUBLISHER, f"{round_number}.{it}") for it in range(2)]
        workers = [spawner.start(WORKER, f"w{it}@here") for it in range(2)]
        # The first line shows that the slowest is at work; then anything may be cut anywhere.
        for publisher in publishers:
            assert publisher.stdout is not None
            confirmed.update(publisher.stdout.readline().split())
        threading.Event().wait(chance.uniform(0.05, 0.4))
        for process in (*publishers, *workers):
            process.kill()
        for process in (*publishers, *workers):
            # Who is not quite gone yet still has its bell, and keeps its work.
            process.wait(20)
        for publisher in publishers:
            assert publisher.stdout is not None
            # A line that was cut was not confirmed.
            lines = publisher.stdout.read().splitlines(keepends=True)
            confirmed.update(it for line in lines if line.endswith("\n") for it in line.split())

    broker, backend = SqliteBroker(url), SqliteBackend(url)
    consumer = broker.consumer([QueueSpec("celery")], "last@here")
    consumer.give_back(1000)
    left: list[str] = []
    while held := fetch(consumer, 1000):
        left += names(held)
        consumer.exchange(acks(held))
    done = set(backend.fetch(sorted(confirmed)))
    consumer.close()
    broker.close()

    assert len(confirmed) > 20
    assert confirmed - done - set(left) == set()
    # In one transaction: whoever has a result is not in the queue.
    assert done & set(left) == set()
    assert len(left) == len(set(left))
    connection = sqlite3.connect(tmp_path / "queue.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_child_of_a_fork_uses_the_store(spawner: Spawner) -> None:
    # Each round has a file of its own: a fork also meets connections that are just being made.
    output = spawner.run(
        """
        import signal

        def publish():
            number = 0
            while not stop.is_set():
                broker.publish([task(f"parent{number}")])
                broker.depth("celery")
                number += 1
            counts.append(number)

        for round_number in range(20):
            broker = SqliteBroker(f"{url}{round_number}")
            broker.publish([task("before")])
            counts, stop = [], threading.Event()
            threads = [threading.Thread(target=publish) for _ in range(3)]
            for thread in threads:
                thread.start()
            for child_number in range(4):
                pid = os.fork()
                if not pid:
                    signal.alarm(30)
                    for number in range(3):
                        broker.publish([task(f"child{child_number}.{number}")])
                        assert broker.depth("celery").ready_count > 0
                    os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0, "the child died or hung"
            stop.set()
            for thread in threads:
                thread.join()
            assert broker.depth("celery").ready_count == 1 + 12 + sum(counts)
        say("done")
        """
    )

    assert output == "done\n"


def test_last_process_to_close_leaves_no_journal_to_the_others(
    spawner: Spawner, tmp_path: Path
) -> None:
    """A child that trusted its parent's locks would write into a deleted journal."""
    output = spawner.run(
        """
        broker.publish([task("before")])
        here, there = os.pipe()
        back, forth = os.pipe()
        pid = os.fork()
        if not pid:
            broker.publish([task("child1")])
            os.write(forth, b"x")
            os.read(here, 1)
            broker.publish([task("child2")])
            os._exit(0)
        os.read(back, 1)
        broker.publish([task("parent")])
        broker.close()
        os.write(there, b"x")
        os.waitpid(pid, 0)
        say(*[it.headers["id"] for it in broker.peek("celery", 10)])
        """
    )

    assert output == "before child1 parent child2\n"


def test_child_does_not_keep_its_parents_bell_alive(url: str, spawner: Spawner) -> None:
    script = """
        broker.publish([task("a")])
        consumer = broker.consumer([QUEUE], "w1@here")
        consumer.exchange(wanted=1)
        pid = os.fork()
        if not pid:
            import time
            time.sleep(30)
            os._exit(0)
        say(pid)
        threading.Event().wait()
        """
    process = spawner.start(script)
    assert process.stdout is not None
    child_pid = int(process.stdout.readline())
    process.kill()
    process.wait()

    with SqliteBroker(url) as broker:
        consumer = broker.consumer([QueueSpec("celery")], "w2@here")
        assert consumer.give_back(5).worker_names == ("w1@here",)
        consumer.close()
    os.kill(child_pid, 9)


def test_forked_childs_copy_of_a_consumer_harms_nobody(spawner: Spawner) -> None:
    output = spawner.run(
        """
        broker.publish([task("a")])
        consumer = broker.consumer([QUEUE], "w1@here")
        held = consumer.exchange(wanted=1)
        pid = os.fork()
        if not pid:
            consumer.close()
            os._exit(0)
        os.waitpid(pid, 0)
        say(broker.depth("celery").unacked_count, len(broker.live_workers()))
        broker.publish([task("b")])
        say(consumer.wait(5), *names(consumer.exchange(wanted=1)))
        consumer.close()
        """
    )

    assert output == "1 1\nTrue b\n"


@pytest.mark.parametrize("bell", ["auto", "udp", "poll"])
def test_ring_crosses_processes(url: str, spawner: Spawner, bell: str) -> None:
    process = spawner.start(
        f"""
        broker = SqliteBroker(url + "?bell={bell}")
        consumer = broker.consumer([QUEUE], "w1@here")
        say("ready")
        while not (held := consumer.exchange(wanted=1)):
            consumer.wait(30)
        write = ResultWrite("a", "SUCCESS", b"x", reply_to="me")
        consumer.exchange(acks(held), riding=Riding((write,)))
        consumer.close()
        """
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    broker, backend = SqliteBroker(url), SqliteBackend(url)
    watch = backend.watch(["a"], "me")

    broker.publish([task("a", reply_to="me")])

    deadline = SYSTEM_CLOCK.mono() + 20
    while not backend.fetch(["a"]) and SYSTEM_CLOCK.mono() < deadline:
        watch.wait(5)
    assert backend.fetch(["a"]) == {"a": b"x"}
    watch.close()
    broker.close()


def test_second_process_sees_a_result_it_did_not_ask_for(url: str, spawner: Spawner) -> None:
    backend = SqliteBackend(url)
    backend.store([ResultWrite("other", "SUCCESS", b"x")])
    process = spawner.start(
        """
        backend = SqliteBackend(url)
        watch = backend.watch(["a"], "somebody")
        say("ready")
        while not backend.fetch(["a"]):
            watch.wait(30)
        say(backend.fetch(["a"]))
        """
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    backend.store([ResultWrite("a", "SUCCESS", b"x")])

    assert process.stdout.readline() == "{'a': b'x'}\n"
    backend.close()


def test_eight_processes_open_a_new_file_at_once(spawner: Spawner) -> None:
    script = """
        broker.publish([task(sys.argv[1])])
        say(len(broker.queue_names()))
        """
    processes = [spawner.start(script, str(number)) for number in range(8)]

    assert [process.communicate(timeout=60) for process in processes] == [("1\n", "")] * 8


@pytest.mark.slow
def test_stored_state_is_sound_after_kills_in_every_write(
    url: str, tmp_path: Path, spawner: Spawner
) -> None:
    """Writers of all kinds at once: results, keys, events, letters, parking, sweeping."""
    script = """
        import json, random
        from tqconsole.engine.embedded import sweep
        backend = SqliteBackend(url)
        consumer = broker.consumer([QUEUE], sys.argv[1])
        feed = broker.subscribe(QueueSpec("f", EVENTS), ["#"])
        say("ready")
        number = 0
        while True:
            number += 1
            broker.publish([task(f"{number}", body=b"x" * random.randrange(20_000))])
            for it in consumer.exchange(wanted=3):
                verdict = random.choice(list(Verdict))
                consumer.exchange([Settlement(it.tag, verdict, "x")])
                consumer.park([(it.tag, 0.0)])
            backend.store([ResultWrite(str(number), "SUCCESS", b"x" * 2000, expires_s=0.1)])
            backend.put("k", b"x", 0.1)
            broker.broadcast(EVENTS, [Publication(Message(b"x" * 500), "k")] * 20)
            feed.receive(0)
            consumer.give_back(5)
            if number % 10 == 0:
                sweep.sweep(broker.store)
            broker.drop([it.letter_id for it in broker.dead_letters(limit=5)])
        """
    for _ in range(4):
        processes = [spawner.start(script, f"w{it}@here") for it in range(2)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        threading.Event().wait(0.4)
        for process in processes:
            process.kill()
            assert process.communicate()[1] == ""

    for name in ("queue.db", "queue.db-events"):
        connection = sqlite3.connect(tmp_path / name)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",), name
        connection.close()
    assert json.dumps(SqliteBroker(url).queue_names()) == '["celery"]'
