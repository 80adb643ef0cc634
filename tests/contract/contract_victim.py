"""A consumer in a process of its own, to be killed: it takes messages, starts them, and waits."""

from __future__ import annotations

import sys

from tqconsole.engine.brokers import open_broker
from tqconsole.engine.protocol.transfer import Delivery, ExchangeSpec, Handover, QueueSpec


def main(url: str, worker_name: str, count: str, started: str) -> None:
    consumer = open_broker(url).consumer(
        [QueueSpec("celery", ExchangeSpec("celery"), "celery")], worker_name
    )
    held: list[Delivery] = []
    while len(held) < int(count):
        held += consumer.exchange(wanted=int(count) - len(held))
        if len(held) < int(count):
            consumer.wait(1)
    if started != "no":
        consumer.exchange(started=[Handover(it.tag, is_acked=started == "early") for it in held])
    sys.stdout.write(f"holding {len(held)}\n")
    sys.stdout.flush()
    sys.stdin.read()


main(*sys.argv[1:])
