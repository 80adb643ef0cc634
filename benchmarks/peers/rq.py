"""rq with its SimpleWorker, which does not fork for every job, and `enqueue_many` by 500."""

from __future__ import annotations

from typing import Any

from redis import Redis
from rq import Queue

from benchmarks.counting import noop
from benchmarks.peers.base import FETCH_COUNT, RESULT_S, Peer, Setup

#: Jobs of one `enqueue_many`.
BATCH_COUNT = 500

setup = Setup()
connection: Any = Redis.from_url(setup.broker_url)
queue: Any = Queue(connection=connection)
#: Seconds a result is kept.
RESULT_TTL_S = 500 if setup.are_results_on else 0


class RqPeer(Peer):
    """rq's public calls."""

    def __init__(self) -> None:
        self._jobs: list[Any] = []

    def fill(self, count: int) -> None:
        for start in range(0, count, BATCH_COUNT):
            self._jobs.extend(_send_batch(start, min(start + BATCH_COUNT, count)))

    def send(self, count: int) -> None:
        for number in range(count):
            queue.enqueue(noop, number, result_ttl=RESULT_TTL_S)

    def send_batches(self, count: int) -> None:
        for start in range(0, count, BATCH_COUNT):
            _send_batch(start, min(start + BATCH_COUNT, count))

    def trip(self) -> None:
        job = queue.enqueue(noop, 1, result_ttl=RESULT_TTL_S)
        if job.latest_result(timeout=RESULT_S) is None:
            raise TimeoutError(job.id)

    def stored_count(self) -> int:
        return int(queue.finished_job_registry.get_job_count())

    def fetch(self) -> int:
        return sum(job.return_value() is not None for job in self._jobs[:FETCH_COUNT])

    def left_count(self) -> int:
        return int(queue.count + queue.started_job_registry.get_job_count())


def _send_batch(start: int, end: int) -> list[Any]:
    made: list[Any] = queue.enqueue_many(
        [
            Queue.prepare_data(noop, (number,), result_ttl=RESULT_TTL_S)
            for number in range(start, end)
        ]
    )
    return made


def make_peer() -> Peer:
    """Return the peer, for `benchmarks.drive`."""
    return RqPeer()
