"""T-CHORD: chords whose workers are killed again and again: each body begins once.

Late ack: a killed body runs again, which is the same message. What must not be is a chord whose
body never begins, or a second message of it that does; a failed part fails the body and tells its
errback once. Afterwards nothing of a chord is kept for ever.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import redis

from faults.chord_tasks import BODY, FIRED, HEARD, PART, TOLD, WRONG
from faults.scenario import ENGINES, Beside, Case, Report, Scenario
from faults.site import QUIET_S, Site
from tqconsole.engine import chord

_CHILD_COUNT = 2
#: A worker that ends nothing for so long is killed all the same, in seconds.
_STALLED_S = 5.0
#: Keys that are asked for at once.
_SCAN_COUNT = 1_000


@dataclass(frozen=True, slots=True)
class Volume:
    """How much of it.

    `part_s`: how long a part takes, in seconds. One of `failing_share` chords has a part that
    fails; 0: none has.
    """

    chord_count: int
    kill_count: int
    part_count: int = 10
    part_s: float = 0.002
    failing_share: int = 8


VOLUMES = {
    "ci": Volume(60, 6),
    "night": Volume(500, 25),
    # As many as nobody kills, nor fails: one body each.
    "release": Volume(50_000, 0, part_s=0.0, failing_share=0),
}


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent: the ids of bodies, apart by what they must come to."""

    good_ids: tuple[str, ...]
    bad_ids: tuple[str, ...]

    @property
    def all_ids(self) -> tuple[str, ...]:
        """All bodies."""
        return self.good_ids + self.bad_ids


def _run(case: Case) -> Report:
    volume = case.of(VOLUMES)
    with Site(case, case.places.empty(case.broker), acks="late") as site:
        sent = _send(site, volume)
        _kill(site, volume)
        with site.worker("-c", str(_CHILD_COUNT)):
            site.await_ends(volume.chord_count * volume.part_count + len(sent.good_ids))
            _drain(site, sent)
        states = site.states(sent.all_ids)
        for_ever_count = _kept_for_ever(site)
    counts = _counts(site, sent, states)
    counts["keys for ever"] = for_ever_count
    runs_count = sum(len(stamps) for stamps in _by_id(site, FIRED).values())
    figures = {
        "chords": volume.chord_count,
        "kills": volume.kill_count,
        **counts,
        "bodies run again": runs_count - len(_by_id(site, FIRED)),
    }
    broken = [f"{name}: {count}" for name, count in counts.items() if count]
    return Report(None, figures, broken)


def _send(site: Site, volume: Volume) -> Sent:
    """Send all chords."""
    good_ids: list[str] = []
    bad_ids: list[str] = []
    app = site.client
    for number in range(volume.chord_count):
        fails = volume.failing_share > 0 and number % volume.failing_share == 0
        parts = [
            app.signature(PART, args=(index, volume.part_s, fails and index == 3))
            for index in range(volume.part_count)
        ]
        body = app.signature(BODY).on_error(app.signature(TOLD))
        result = chord(parts, body, app=app).apply_async()
        (bad_ids if fails else good_ids).append(result.id)
    return Sent(tuple(good_ids), tuple(bad_ids))


def _kill(site: Site, volume: Volume) -> None:
    chance = site.case.chance()
    part_count = volume.chord_count * volume.part_count
    for kill in range(volume.kill_count):
        with site.worker("-c", str(_CHILD_COUNT)) as process:
            share = (kill + chance.uniform(0.2, 0.8)) / (volume.kill_count + 1)
            site.await_ends(int(share * part_count), _STALLED_S)
            os.killpg(process.pid, signal.SIGKILL)


def _drain(site: Site, sent: Sent) -> None:
    """Return when every body has ended and every failure was told, or nothing moves any more."""
    waiting: Sequence[str] = sent.all_ids
    moved_mono, seen = time.monotonic(), (-1, -1, -1)
    while time.monotonic() - moved_mono < QUIET_S:
        known = site.states(waiting)
        waiting = [task_id for task_id in waiting if task_id not in known]
        end_count = len(site.reading.refresh().ends)
        now = (len(waiting), len(_by_id(site, HEARD)), end_count)
        if not waiting and now[1] >= len(sent.bad_ids):
            return
        if now != seen:
            moved_mono, seen = time.monotonic(), now
        time.sleep(0.1)


def _counts(site: Site, sent: Sent, states: Mapping[str, str]) -> dict[str, int]:
    """Return what must be 0, by name."""
    fired, heard = _messages(site, FIRED), _messages(site, HEARD)
    return {
        "bodies that never began": sum(not fired[it] for it in sent.good_ids),
        "bodies that began twice": _more_than_once(fired),
        "bodies with a wrong argument": len(_by_id(site, WRONG)),
        "bodies without success": sum(states.get(it) != "SUCCESS" for it in sent.good_ids),
        "failed chords whose body ran": sum(fired[it] for it in sent.bad_ids),
        "failed chords without failure": sum(states.get(it) != "FAILURE" for it in sent.bad_ids),
        "failures that nobody heard of": sum(not heard[it] for it in sent.bad_ids),
        "failures heard of twice": _more_than_once(heard),
    }


def _messages(site: Site, kind: str) -> Counter[str]:
    """Return how many messages of each body began."""
    return Counter(name.removeprefix(kind).rpartition(":")[0] for name in _by_id(site, kind))


def _by_id(site: Site, kind: str) -> dict[str, list[object]]:
    starts = site.reading.starts
    return {name: list(stamps) for name, stamps in starts.items() if name.startswith(kind)}


def _more_than_once(counts: Mapping[str, int]) -> int:
    return sum(count > 1 for count in counts.values())


def _kept_for_ever(site: Site) -> int:
    """Return how many keys of results and chords have no time to live, on Redis."""
    url = site.place.backend_url
    if not url.startswith("redis"):
        return 0
    for_ever_count = 0
    with redis.Redis.from_url(url) as link:
        names: Iterator[bytes] = link.scan_iter(b"celery-task*", count=_SCAN_COUNT)
        while batch := list(itertools.islice(names, _SCAN_COUNT)):
            ages = link.pipeline(transaction=False)
            for name in batch:
                ages.ttl(name)
            # -2 is one that went meanwhile.
            for_ever_count += ages.execute().count(-1)
    return for_ever_count


CHORD = Scenario(
    "T-CHORD",
    "chords of 10 parts while the worker group is killed",
    goal="each body begins once; a failed part fails it and is told once; nothing is kept for ever",
    fails_when="a part that comes again counts again, or its holder is forgotten",
    run=_run,
    engines=ENGINES,
    beside=Beside.ANYTHING,
)
