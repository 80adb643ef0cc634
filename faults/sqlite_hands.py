"""One process of T-SQLITE's: it writes, and says on its output what was confirmed, a line each.

    python -m faults.sqlite_hands URL NUMBER SECONDS

It publishes, fetches, starts, settles, parks and stores until its time is over or it is killed. An
error ends it: nobody who uses the store shall ever see one.
"""

from __future__ import annotations

import itertools
import sys
import time

from tqconsole.engine.brokers import open_broker
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    Handover,
    Publication,
    QueueSpec,
    ResultWrite,
    Riding,
    Settlement,
    Verdict,
)

#: Those that end with this digit are kept: nobody acknowledges them, so they must still be there.
KEPT_DIGIT = "7"


def work(url: str, name: str, seconds_s: float) -> None:
    """Write for so long."""
    broker = open_broker(url)
    consumer = broker.consumer([QueueSpec("work")], f"hands{name}@here")
    until = time.monotonic() + seconds_s
    for number in itertools.count():
        if time.monotonic() > until:
            break
        task_id = f"{name}-{number}"
        queue = "kept" if task_id.endswith(KEPT_DIGIT) else "work"
        broker.publish([Publication(_message(task_id), queue)])
        sys.stdout.write(f"{task_id}\n")
        sys.stdout.flush()
        taken = consumer.exchange(wanted=2)
        consumer.exchange(started=[Handover(it.tag, is_acked=False) for it in taken])
        if number % 5 == 0 and taken:
            consumer.park([(taken[0].tag, time.time() + 0.05)])
        riding = Riding(tuple(ResultWrite(_id(it), "SUCCESS", b"{}") for it in taken))
        verdicts = itertools.cycle((Verdict.ACK, Verdict.ACK, Verdict.RETURN, Verdict.DEAD))
        consumer.exchange(
            [
                Settlement(it.tag, verdict, "r")
                for it, verdict in zip(taken, verdicts, strict=False)
            ],
            riding=riding,
        )
    consumer.close()
    broker.close()


def _message(task_id: str) -> Message:
    return Message(b"[[], {}, {}]" * 20, headers={"id": task_id, "task": "t"})


def _id(delivery: object) -> str:
    return str(delivery.message.headers["id"])  # type: ignore[attr-defined]


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], float(sys.argv[3]))
