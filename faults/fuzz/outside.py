"""T-FUZZ end to end: hostile messages to a real worker over a real broker, and good ones."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from subprocess import Popen

import msgspec
import redis

from faults.figures import beyond, p95, quantile
from faults.fuzz import mutate, shapes, traps
from faults.ledger import TAKE
from faults.scenario import Case, Report
from faults.site import Site
from tests.protocol.golden import VECTORS, message_of
from tqconsole.engine.exceptions import EngineError, RefusedError
from tqconsole.engine.protocol.envelope import from_envelope, to_envelope
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.task import decode_body
from tqconsole.engine.protocol.transfer import DeadLetter, Delivery, Publication
from tqconsole.engine.worker.reading import Reader

VOLUMES = {"ci": 200, "night": 3_000, "release": 10_000}
#: Hostile messages between two good tasks.
ROUND_COUNT = 100
#: Seconds for a good task behind a round: past that the worker hangs; and the milliseconds in which
#: it has run when the machine has nothing else to do.
GOOD_S, _NEXT_MS = 15.0, 100.0
LARGE_BYTES = 50 * 1024 * 1024
#: Megabytes that may stay of what a large body took, and the seconds for giving the others back.
KEPT_MB, KEPT_S = 20.0, 20.0
#: How a refused body is told that lies in an envelope, and how such an envelope begins.
_KEPT_WHOLE, _BODY_FIRST = b"in an envelope: ", re.compile(rb'\{"body": ?"([\w+/=]*)"')
ACCEPT = frozenset({"application/json"})
_QUEUE = "celery"
#: Headers by which a message is not read before its time, or not at all.
_WAITING = ("eta", "expires")
#: Lines that a worker writes when it lost its broker, or its head.
_BAD_LINES = (
    *("trying again until it answers", "Unrecoverable", "cannot be read"),
    *("the engine failed", "failed outside of its task"),
)
#: A run that fails says why with a traceback, as a link that cannot be called makes it fail.
_FAILED_RUN = "raised unexpected"


class Attack:
    """One case's hostile messages, and what must become of each."""

    def __init__(self, site: Site, chance: Random) -> None:
        self._site = site
        self._chance = chance
        self._broker = site.client.broker
        self._reader = Reader(ACCEPT, UTC)
        self._vectors = [
            (name, vector) for name, vector in VECTORS.items() if vector["kind"] == "task"
        ]
        self.sent_count = self.unsendable_count = self.letter_count = 0
        self.reasons: Counter[str] = Counter()
        self.broken: list[str] = []
        self._expected: Counter[bytes] = Counter()

    def send(self, message: Message) -> None:
        """Send a message as it is; some cannot even be written."""
        try:
            self._broker.publish([Publication(message, _QUEUE)])
        except (EngineError, UnicodeError):
            self.unsendable_count += 1
            return
        self.sent_count += 1
        if not self._can_be_opened(message):
            self._expected[_KEPT_WHOLE + base64.b64encode(message.body)] += 1
        elif self._is_refused(self._as_it_arrives(message)):
            self._expected[bytes(message.body)] += 1

    def send_raw(self, envelope: bytes) -> None:
        """Put bytes where Redis keeps envelopes."""
        with redis.Redis(port=self._site.place.redis_port) as link:
            link.lpush(_QUEUE, envelope)
        self.sent_count += 1
        try:
            message = from_envelope(envelope)[0]
        except RefusedError:
            self._expected[envelope] += 1
            return
        if self._is_refused(message):
            self._expected[bytes(message.body)] += 1

    def mutation(self) -> None:
        """Send one mutation of a message of Celery's."""
        chance = self._chance
        _, vector = chance.choice(self._vectors)
        message = _harmless(message_of(vector))
        kind = chance.randrange(3)
        if kind == 0 and self._site.place.redis_port:
            envelope = to_envelope(message, "", _QUEUE, "tag")
            change = chance.choice((mutate.bytes_of, mutate.json_of))
            self.send_raw(change(chance, envelope))
        elif kind == 1:
            change = chance.choice((mutate.bytes_of, mutate.json_of))
            self.send(msgspec.structs.replace(message, body=change(chance, message.body)))
        else:
            headers = mutate.value_of(chance, message.headers)
            properties = mutate.value_of(chance, message.properties)
            self.send(
                msgspec.structs.replace(
                    message,
                    headers=headers if isinstance(headers, dict) else {},
                    properties=properties if isinstance(properties, dict) else {},
                )
            )

    def collect(self) -> None:
        """Hold the dead letters against what had to become one, and drop them."""
        until = time.monotonic() + GOOD_S
        while True:
            letters = self._broker.dead_letters(None, 100_000)
            missing = self._expected - Counter(map(self._key_of, letters))
            if not missing or time.monotonic() > until:
                break
            time.sleep(0.02)
        for body, count in list(missing.items())[:3]:
            self.broken.append(f"no dead letter for {count} of {body[:120]!r}")
        for letter in letters:
            self.reasons[str(letter.reason)] += 1
            if not letter.reason:
                self.broken.append(f"a dead letter without a reason: {letter.message.body[:120]!r}")
        self.letter_count += len(letters)
        self._expected.clear()
        self._broker.drop([letter.letter_id for letter in letters])

    def _key_of(self, letter: DeadLetter) -> bytes:
        """Return by what a letter is expected: its body, or the one in an envelope of the client's
        own that nobody can read, which is kept whole.
        """
        kept = bytes(letter.message.body)
        found = None if kept in self._expected else _BODY_FIRST.match(kept)
        return _KEPT_WHOLE + found[1] if found else kept

    def _can_be_opened(self, message: Message) -> bool:
        """Tell whether a broker that keeps envelopes can read again what it has written."""
        if self._site.case.broker != "redis":
            return True
        try:
            from_envelope(to_envelope(message, "", _QUEUE, "tag"))
        except RefusedError:
            return False
        return True

    def _as_it_arrives(self, message: Message) -> Message:
        """Return it with the priority that it has over there: AMQP's is a byte, True a 1; in an
        envelope, as kombu writes it, whatever is empty is a 0.
        """
        priority = message.properties.get("priority")
        if self._site.case.broker == "rabbitmq" and isinstance(priority, bool):
            priority = int(priority)
        elif self._site.case.broker == "redis":
            priority = priority or 0
        properties = {**message.properties, "priority": priority}
        return msgspec.structs.replace(message, properties=properties)

    def _is_refused(self, message: Message) -> bool:
        ((delivery, header),) = self._reader.read([Delivery("t", message, _QUEUE)])
        if isinstance(header, RefusedError):
            return True
        if header.eta_at is not None or header.expires_at is not None:
            return False  # it may never be read
        try:
            decode_body(delivery.message, ACCEPT)
        except RefusedError:
            return True
        return False


def run(case: Case) -> Report:
    """Shapes, bombs, mutations, a large body; a good task behind each round."""
    mark = case.folder / "sprung"
    os.environ[traps.VARIABLE] = str(mark)
    try:
        with Site(case, case.places.empty(case.broker)) as site, site.worker("-c", "2") as worker:
            return _run(case, site, worker, mark)
    finally:
        del os.environ[traps.VARIABLE]


def _run(case: Case, site: Site, worker: Popen[bytes], mark: Path) -> Report:
    attack = Attack(site, case.chance())
    first_ms = _good_ms(site)
    kept_mb = _rss_mb(worker.pid)
    bombs_ms = _met(site, attack, _bombs(case, attack))
    waits_ms = [_met(site, attack, batch) for batch in _rounds(case, attack)]
    before_mb = _rss_mb(worker.pid)
    large_s = _large(site, attack)
    hung_count = [first_ms, bombs_ms, *waits_ms].count(-1.0)
    broken = [
        *attack.broken,
        *([f"{hung_count} good tasks did not run"] if hung_count else []),
        *([f"the worker left with {worker.poll()}"] if worker.poll() is not None else []),
        *(["code from a message ran"] if mark.exists() else []),
        *([] if large_s else ["the large body did not run"]),
        *_bad_lines(site.log),
    ]
    after_mb = _settled_mb(worker.pid, before_mb + KEPT_MB)
    if after_mb > before_mb + KEPT_MB:
        broken.append(f"{after_mb - before_mb:.0f} MB of a 50 MB body stayed")
    if case.depth != "ci":
        broken += beyond({"good task behind 100 p95 ms": (p95(waits_ms), _NEXT_MS)})
    figures: dict[str, float | str] = {
        "sent": attack.sent_count,
        "not sendable": attack.unsendable_count,
        "dead letters": attack.letter_count,
        **{f"as {reason}": count for reason, count in attack.reasons.most_common()},
        "good task behind 100 p50 ms": quantile(waits_ms, 0.5),
        "p95 ms": p95(waits_ms),
        "worst ms": max(waits_ms),
        "behind the bombs ms": bombs_ms,
        "50 MB body ran in s": large_s,
        "MB at first": kept_mb,
        "MB before the large one": before_mb,
        "MB after it": after_mb,
    }
    return Report(figures=figures, broken=broken)


def _rounds(case: Case, attack: Attack) -> Iterator[list[Callable[[], None]]]:
    good = _good_message()
    yield [partial(attack.send, shape(good)) for _, shape in shapes.shapes()]
    for _ in range(case.of(VOLUMES) // ROUND_COUNT):
        yield [attack.mutation] * ROUND_COUNT


def _bombs(case: Case, attack: Attack) -> list[Callable[[], None]]:
    good, is_all = _good_message(), case.depth != "ci"
    return [partial(attack.send, shape(good)) for _, shape in shapes.bombs(is_all=is_all)]


def _met(site: Site, attack: Attack, batch: Sequence[Callable[[], None]]) -> float:
    """Send a batch, and a good task behind it; return the milliseconds until that has ended."""
    for send in batch:
        send()
    wait_ms = _good_ms(site)
    attack.collect()
    return wait_ms


def _good_message() -> Message:
    headers = {"lang": "py", "task": TAKE, "id": "hostile", "root_id": "hostile", "retries": 0}
    return Message(b"[[0.0], {}, {}]", headers=headers, properties={"correlation_id": "hostile"})


def _harmless(message: Message) -> Message:
    """Return it as a call of a task that only takes what it gets."""
    headers = {name: it for name, it in message.headers.items() if name not in _WAITING}
    if headers.get("task"):
        headers["task"] = TAKE
    return Message(
        message.body,
        message.content_type,
        message.content_encoding,
        headers,
        dict(message.properties),
    )


def _good_ms(site: Site) -> float:
    """Send a good task; return the milliseconds until it ended, -1 when it did not."""
    sent_mono = time.monotonic()
    (task_id,) = site.publish(1)
    ended = site.wait(lambda: task_id in site.reading.ends, GOOD_S)
    return (site.reading.last_end_mono - sent_mono) * 1000 if ended else -1.0


def _large(site: Site, attack: Attack) -> float:
    """Send a body of 50 MB that runs, then a good task; return the seconds of both, 0 for never."""
    started = time.monotonic()
    message = _good_message()
    body = json.dumps([["x" * LARGE_BYTES], {}, {}]).encode()
    attack.send(msgspec.structs.replace(message, body=body))
    is_run = _good_ms(site) >= 0 and _good_ms(site) >= 0
    attack.collect()
    return time.monotonic() - started if is_run else 0.0


def _bad_lines(log: Path) -> list[str]:
    lines = log.read_text(errors="replace").splitlines()
    found = [line for line in lines if any(bad in line for bad in _BAD_LINES)]
    traced = [before for before, line in pairwise(lines) if line.startswith("Traceback")]
    found += [f"{line:.150}: Traceback" for line in traced if _FAILED_RUN not in line]
    return [f"the worker's log: {line:.200}" for line in found[:5]]


def _settled_mb(group: int, goal_mb: float) -> float:
    """Return what a group holds when it has come down to the goal, or has had its time."""
    until = time.monotonic() + KEPT_S
    while (now_mb := _rss_mb(group)) > goal_mb and time.monotonic() < until:
        time.sleep(0.2)
    return now_mb


def _rss_mb(group: int) -> float:
    """Return what all processes of a group hold, in megabytes."""
    total_kb = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                total_kb += int(fields[21]) * 4
    return total_kb / 1024
