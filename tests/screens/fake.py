"""A session without a cluster: fixed rows, a fixed clock, and a record of what was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from tqconsole.core.actions import ActionRequest
from tqconsole.core.beat_views import BeatPicture, BeatRun, BeatView
from tqconsole.core.equivalent import equivalent_command
from tqconsole.core.errors import FilterError
from tqconsole.core.flows import FlowView, flow_views
from tqconsole.core.sorting import SORT_KEYS
from tqconsole.core.stamps import Stamped
from tqconsole.core.type_views import ErrorView, TypeView
from tqconsole.core.views import (
    ActionDone,
    Attention,
    AuditLine,
    Changes,
    Charts,
    DeadLetterView,
    EventLine,
    Inspected,
    NodeAnswer,
    PeekedMessage,
    QueuePeek,
    QueueView,
    Snapshot,
    TaskFacts,
    TaskList,
    TaskRow,
    Totals,
    WorkerView,
)

NOW_AT = 1_795_183_351.0
EVERYTHING = Changes(1, True, True, True, True, True, True)
TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/img.py", line 44, in resize
    im = Image.open(path)
OSError: cannot identify image file '/srv/u/91.png'"""


class Rows:
    def __init__(self, rows: list[TaskRow]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, index: int) -> TaskRow:
        return self.rows[index]

    def index_of(self, task_id: str) -> int | None:
        return next((i for i, row in enumerate(self.rows) if row.task_id == task_id), None)

    def __iter__(self) -> Iterator[TaskRow]:
        return iter(self.rows)


class LiveRows(Rows):
    """As the real one: a view on what the session holds now."""

    def __init__(
        self, session: FakeSession, expression: str, key: str, is_descending: bool
    ) -> None:
        self.session, self.expression = session, expression
        self.key, self.is_descending = key, is_descending
        self._made: list[TaskRow] = []
        self._made_of: tuple[int, int] = (-1, -1)

    @property
    def rows(self) -> list[TaskRow]:
        held = self.session.rows
        state = (len(held), sum(row.revision for row in held))
        if state != self._made_of:
            self._made, self._made_of = self._make(), state
        return self._made

    def _make(self) -> list[TaskRow]:
        words = self.expression.lower().replace("id:", "").split()
        kept = [
            row
            for row in self.session.rows
            if all(w in f"{row.name} state:{row.state} {row.task_id}".lower() for w in words)
        ]
        return sorted(kept, key=SORT_KEYS[self.key], reverse=self.is_descending)


def make_row(number: int, **fields: Any) -> TaskRow:
    row = TaskRow(f"{number * 2654435761 % 2**32:08x}-5d1e-4a55-b0f2-2f0c6d0a{number:04x}", number)
    row.updated_at = NOW_AT
    for name, value in fields.items():
        setattr(row, name, value)
    return row


def make_rows(count: int = 400) -> list[TaskRow]:
    names = ("mail.send", "img.resize", "import.batch", "report.build", "gallery.publish")
    states = ("SUCCESS",) * 7 + ("FAILURE", "RETRY", "STARTED", "RECEIVED", "REVOKED", "PENDING")
    rows = []
    for number in range(count):
        state = states[number * 7 % len(states)]
        name = names[number * number % len(names)]
        sent_at = NOW_AT - (count - number) * 0.9
        row = make_row(number, name=name, state=state, sent_at=sent_at, queue=name.split(".")[0])
        row.worker = f"w{number % 3 + 1}@ip-10-1-{number % 3}" if state != "PENDING" else ""
        row.args = f"({number}, 'thumb')" if name == "img.resize" else f"({number},)"
        row.kwargs = "{'kind': 'full'}" if number % 5 == 0 else "{}"
        if state not in ("PENDING", "RECEIVED", "REVOKED"):
            row.started_at = sent_at + 0.2 + number % 4 / 10
        if state in ("SUCCESS", "FAILURE", "RETRY"):
            row.runtime_s = 0.05 + number % 40 / 16
            row.ended_at = row.started_at + row.runtime_s
        if state == "FAILURE":
            row.exception = f"OSError: cannot identify image file '/srv/u/{number}.png'"
            row.traceback = TRACEBACK
            row.retries = 2
        if state == "SUCCESS":
            row.result = f"{{'ok': True, 'count': {number}}}"
        if state == "STARTED" and name == "report.build":
            row.progress_done, row.progress_total = 41.0, 60.0
        rows.append(row)
    return rows


def make_flow() -> list[TaskRow]:
    """A batch that calls nine resizes, one of which failed; the gallery waits for them all."""
    root = make_row(1, name="import.batch", state="SUCCESS", worker="w1@ip-10-1-0", args="(7,)")
    root.root_id = root.task_id
    root.sent_at, root.started_at, root.ended_at = NOW_AT - 12.4, NOW_AT - 12.2, NOW_AT - 11.8
    root.runtime_s = 0.4
    rows = [root]
    for number in range(9):
        row = make_row(2 + number, name="img.resize", state="SUCCESS", parent_id=root.task_id)
        row.worker, row.args = (
            f"w{number % 3 + 1}@ip-10-1-{number % 3}",
            f"({90 + number}, 'thumb')",
        )
        row.sent_at = NOW_AT - 11.8
        row.started_at = NOW_AT - 11.5 + number % 3 * 0.9
        row.runtime_s = 0.8 + number % 4 * 0.4
        row.ended_at = row.started_at + row.runtime_s
        rows.append(row)
    rows[4].state, rows[4].exception = "FAILURE", "OSError('cannot identify image file')"
    rows[4].traceback = TRACEBACK
    publish = make_row(20, name="gallery.publish", state="STARTED", parent_id=rows[8].task_id)
    publish.sent_at, publish.started_at = NOW_AT - 6.1, NOW_AT - 4.0
    publish.worker, publish.args = "w2@ip-10-1-1", "([...],)"
    mail = make_row(21, name="mail.send", state="PENDING", parent_id=publish.task_id)
    mail.sent_at, mail.args = NOW_AT - 3.9, "('done',)"
    rows += [publish, mail]
    small = [make_row(30, name="report.build", state="SUCCESS")]
    small.append(make_row(31, name="mail.send", state="SUCCESS", parent_id=small[0].task_id))
    for row in small:
        row.root_id = small[0].task_id
        row.sent_at, row.started_at, row.ended_at = NOW_AT - 90, NOW_AT - 89, NOW_AT - 40
    for row in rows:
        row.root_id = root.task_id
    return rows + small


def wave(count: int, low: float, high: float, period: int, phase: int = 0) -> tuple[float, ...]:
    half = period / 2
    return tuple(
        low + (high - low) * abs((index + phase) % period - half) / half for index in range(count)
    )


def make_beat() -> BeatPicture:
    """Return a schedule: one entry in time, one that waits, one that missed two runs."""

    def runs(*states: str, every_s: float, ago_s: float, ran_s: float) -> tuple[BeatRun, ...]:
        count = len(states)
        return tuple(
            BeatRun(
                f"{(index + 3) * 2654435761 % 2**32:08x}-5d1e-4a55-b0f2-2f0c6d0a41e7",
                NOW_AT - ago_s - (count - 1 - index) * every_s,
                state,
                ran_s if state != "STARTED" else None,
            )
            for index, state in enumerate(states)
        )

    def every(step_s: float) -> Callable[[float, int], tuple[float, ...]]:
        return lambda at, count: tuple(at + step_s * number for number in range(1, count + 1))

    good = ("SUCCESS",) * 5
    return BeatPicture(
        (
            BeatView(
                "nightly-report",
                "report.build",
                "30 7 * * mon-fri",
                "(2026, 11)",
                args_json="[2026, 11]",
                kwargs_json="{}",
                queue="report",
                options="queue 'report', expires 3600",
                next_at=NOW_AT + 62_849.0,
                runs=runs(*good[:3], "FAILURE", *good, every_s=86400, ago_s=23_551, ran_s=44.1),
                run_count=9,
                upcoming=every(86400.0),
            ),
            BeatView(
                "heartbeat",
                "mail.send",
                "every 30 s",
                "()",
                args_json="[]",
                kwargs_json="{}",
                interval_s=30.0,
                next_at=NOW_AT + 18.0,
                runs=runs(*good, *good, every_s=30, ago_s=12, ran_s=0.01),
                run_count=204_117,
                upcoming=every(30.0),
            ),
            BeatView(
                "import-feeds",
                "import.batch",
                "*/15 * * * *",
                "(['eu', 'us'],)",
                "{'full': False}",
                args_json='[["eu", "us"]]',
                kwargs_json='{"full": false}',
                next_at=NOW_AT + 749.0,
                runs=runs(*good, "RETRY", "SUCCESS", every_s=900, ago_s=1951, ran_s=8.2),
                run_count=7,
                missed_count=2,
                missed_at=NOW_AT - 151.0,
                upcoming=every(900.0),
            ),
            BeatView(
                "gallery",
                "gallery.publish",
                "solar: sunset at latitude 48.1, longitude 11.6",
                next_at=NOW_AT + 9_122.0,
                args_json="[]",
                kwargs_json="{}",
            ),
            BeatView("cleanup", "db.vacuum", "every 6 h", interval_s=21600.0),
        ),
        "read",
    )


def make_snapshot(rows: list[TaskRow]) -> Snapshot:
    failures = tuple(row for row in reversed(rows) if row.state == "FAILURE")[:20]
    return Snapshot(
        now_at=NOW_AT,
        context="prod",
        broker_url="amqp://app@mq1//shop",
        broker_reason="-b",
        link="live",
        events_per_s=4812.0,
        has_task_events=True,
        has_sent_events=True,
        totals=Totals(18, 20, 142, 288, 12408, 1604.0, 0.0042, 3.0, 1.8),
        charts=Charts(
            done_per_s=wave(600, 800, 1900, 170),
            failed_per_s=wave(600, 0, 40, 90),
            retries_per_s=wave(600, 0, 12, 60, 20),
            p50_s=wave(600, 0.1, 0.2, 100),
            p95_s=wave(600, 0.8, 2.2, 130),
            p99_s=wave(600, 2.0, 3.8, 210),
        ),
        workers=(
            WorkerView(
                "w1@ip-10-1-0",
                "online",
                4471,
                "prefork",
                16,
                12,
                91204,
                412,
                61.0,
                (3.1, 2.9, 2.2),
                64,
                ("celery", "img"),
                NOW_AT,
                NOW_AT,
                0.03,
                259200.0,
                "tqconsole 0.1",
                0,
            ),
            WorkerView(
                "w2@ip-10-1-1",
                "silent",
                4460,
                "prefork",
                16,
                8,
                88010,
                12,
                None,
                None,
                64,
                ("celery", "mail"),
                NOW_AT - 74,
                NOW_AT - 80,
                None,
                None,
                "py-celery 5.7.0",
                None,
            ),
            WorkerView(
                "w3@ip-10-1-2",
                "online",
                512,
                "threads",
                32,
                9,
                40001,
                3,
                190.0,
                (0.4, 0.4, 0.4),
                128,
                ("mail",),
                NOW_AT - 1,
                NOW_AT - 1,
                0.01,
                21600.0,
                "tqconsole 0.1",
                0,
            ),
            WorkerView("w4@ip-10-1-3", "lost", 77, "prefork", 4, last_heartbeat_at=NOW_AT - 31),
            WorkerView("w5@ip-10-1-3", "gone", 78, "prefork", 4, last_heartbeat_at=NOW_AT - 300),
        ),
        queues=(
            QueueView(
                "celery", 120, 64, 3, 0, 12, ((0, 120),), 410, 412, 0.3, 60, wave(40, 2, 4, 9)
            ),
            QueueView(
                "mail",
                10902,
                16,
                0,
                0,
                2,
                ((0, 10880), (3, 22), (6, 0), (9, 0)),
                700,
                390,
                372,
                float("inf"),
                tuple(float(i) for i in range(40)),
            ),
            QueueView("img", 1386, 62, 0, 12, 4, (), 70, 61, 21, float("inf"), wave(40, 3, 6, 80)),
            QueueView("old.reports", 4, 0, 0, None, 0, (), 0, 0, 259200, None, (4.0,) * 40),
        ),
        types=(
            TypeView(
                "mail.send", 980, 58000, 0.001, 3, 0.01, 0.2, 0.05, 0.2, 0.4, wave(40, 5, 8, 13)
            ),
            TypeView(
                "img.resize",
                61,
                3600,
                0.17,
                40,
                0.8,
                2.1,
                1.2,
                3.9,
                6.1,
                tuple(map(float, range(40))),
                (
                    ErrorView("OSError", 412, NOW_AT - 1, "OSError('no such file')", "9f3c1a20"),
                    ErrorView("MemoryError", 3, NOW_AT - 90, "MemoryError()", "77aa01c4"),
                ),
            ),
            TypeView(
                "report.build", 0.1, 6, p50_s=44.0, p95_s=90.1, history=(1.0,) * 30 + (2.0,) * 10
            ),
        ),
        attention=(
            Attention(
                "error",
                "queue",
                "mail",
                "10,902 waiting, +310/s, 2 consumers, oldest 6m12s, drains: never",
                "queue",
                "mail",
            ),
            Attention(
                "error",
                "type",
                "img.resize",
                "412 failures in 5 min (17 %)  OSError: cannot identify image file",
                "tasks",
                "name:img.resize state:FAILURE",
            ),
            Attention(
                "warning",
                "worker",
                "w2@ip-10-1-1",
                "no heartbeat for 74 s; 8 tasks had started there: LOST?",
                "worker",
                "w2@ip-10-1-1",
            ),
            Attention(
                "warning",
                "task",
                "report.build",
                "running 41 min (p99 is 90 s) on w3@ip-10-1-2",
                "task",
                rows[0].task_id if rows else "",
            ),
        ),
        beat=make_beat(),
        failures=failures,
        task_names=("img.resize", "import.batch", "mail.send", "report.build"),
        rows_kept=len(rows),
        rows_limit=100_000,
        bytes_kept=54 << 20,
        oldest_at=NOW_AT - 3480,
    )


def done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


class FakeSession:
    """Answers at once; `requests` keeps what was performed."""

    def __init__(self, rows: list[TaskRow] | None = None, *, is_read_only: bool = False) -> None:
        self.rows = make_rows() if rows is None else rows
        self.is_read_only = is_read_only
        self.requests: list[ActionRequest] = []
        self.view = replace(make_snapshot(self.rows), is_read_only=is_read_only)
        self.changes: list[Changes] = [EVERYTHING]
        self.asked: list[tuple[str, ...]] = []
        self.answer = ActionDone(
            "revoke",
            (
                NodeAnswer("w1@ip-10-1-0", "tasks flagged as revoked"),
                NodeAnswer("w3@ip-10-1-2", "", "unknown task"),
            ),
            ("w2@ip-10-1-1",),
            0.31,
            equivalent="tqconsole control revoke 9f3c1a20",
        )
        self.audit_lines: tuple[AuditLine, ...] = ()
        self.abortable: tuple[str, ...] = ()
        self.fetched_kwargs = "{}"
        self.letters = tuple(
            DeadLetterView(
                f"letter-{number}",
                f"9f3c1a2{number}-5d1e",
                "img.resize",
                "img",
                ("worker-lost", "undecodable", "too-large")[number % 3],
                "started 5 times, its worker died each time",
                "w2@ip-10-1-1",
                NOW_AT - 60 * number,
                f"({number}, 'thumb')",
            )
            for number in range(5)
        )

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def drain(self, budget_s: float = 0.008) -> Changes:
        return self.changes.pop() if self.changes else Changes()

    def touch(self) -> None:
        """Make the next frame draw everything."""
        self.changes = [EVERYTHING]

    def snapshot(self) -> Snapshot:
        return self.view

    def tasks(
        self, expression: str = "", sort_key: str = "age", *, is_descending: bool = False
    ) -> TaskList:
        if expression.endswith("("):
            raise FilterError("a ) is missing", len(expression) - 1)
        return LiveRows(self, expression, sort_key, is_descending)

    def task(self, task_id: str) -> TaskRow | None:
        return next((row for row in self.rows if row.task_id == task_id), None)

    def family(self, task_id: str) -> tuple[TaskRow, ...]:
        row = self.task(task_id)
        return tuple(r for r in self.rows if row and row.root_id and r.root_id == row.root_id)

    def flows(self) -> tuple[FlowView, ...]:
        return flow_views(self.rows)

    def save_filter(self, name: str, expression: str) -> None:
        if expression.endswith("("):
            raise FilterError("a ) is missing", len(expression) - 1)
        self.asked.append(("save", name, expression))

    def suggest(self, text: str, cursor: int) -> tuple[str, ...]:
        return ("state:FAILURE", "state:SUCCESS", "name:")

    def events(self, expression: str = "", limit: int = 1000) -> tuple[EventLine, ...]:
        kinds = ("task-received", "task-started", "task-succeeded", "worker-heartbeat")
        return tuple(
            EventLine(
                NOW_AT - number / 7,
                kinds[number % 4],
                f"w{number % 3 + 1}@ip-10-1-{number % 3}",
                "img.resize" if number % 4 < 3 else "",
                self.rows[number].task_id if number % 4 < 3 and number < len(self.rows) else "",
                ("(91, 'thumb')", "pid 4471", "0.05 s", "active 9  processed 40,001")[number % 4],
                '{"type": "' + kinds[number % 4] + '", "n": ' + str(number) + "}",
            )
            for number in range(min(limit, 200))
            if expression in kinds[number % 4]
        )

    def audit(self) -> tuple[AuditLine, ...]:
        return self.audit_lines

    def note(self, what: str, targets: tuple[str, ...], outcome: str) -> None:
        self.audit_lines = (AuditLine(NOW_AT, what, targets, "", outcome), *self.audit_lines)

    def perform(self, request: ActionRequest) -> Future[ActionDone]:
        self.requests.append(request)
        return done(replace(self.answer, title=request.action_id))

    def signature(self, task_name: str) -> str:
        return "(image_id: int, kind: str = 'thumb')" if task_name == "img.resize" else ""

    def call_complaint(self, task_name: str, args: list[Any], kwargs: Mapping[str, Any]) -> str:
        return "missing a required argument: 'image_id'" if not args and not kwargs else ""

    def equivalent(self, request: ActionRequest) -> str:
        if request.action_id == "beat.run":
            return equivalent_command(request)
        return f"tqconsole control {request.action_id} " + " ".join(request.targets)

    def inspect(self, worker: str, what: str) -> Future[Inspected]:
        self.asked.append(("inspect", worker, what))
        if what == "active":
            return done(
                Inspected(
                    worker,
                    what,
                    ("ID", "NAME", "ARGS", "RUNNING", "PID", "QUEUE"),
                    (
                        ("9f3c1a20-5d1e", "img.resize", "(91, 'thumb')", "0.8 s", "4471", "img"),
                        ("77aa01c4-1a2b", "report.build", "(2026, 11)", "41m02s", "4460", "celery"),
                    ),
                    elapsed_s=0.03,
                )
            )
        return done(Inspected(worker, what, text='{\n  "pid": 4471\n}', elapsed_s=0.03))

    def peek(self, queue: str, count: int = 100) -> Future[QueuePeek]:
        self.asked.append(("peek", queue))
        messages = tuple(
            PeekedMessage(
                f"9f3c1a2{n}-5d1e-4a55", "mail.send", f"({n},)", "{}", "", 0, "web-3@ip", 3, 412
            )
            for n in range(8)
        )
        return done(QueuePeek(queue, messages, (("mail.send", 7), ("mail.digest", 1))))

    def find_stamped(self, stamps: Mapping[str, str]) -> Future[Stamped]:
        self.asked.append(("stamped", *map("=".join, stamps.items())))
        found = (("mail", "mail.send", 31), ("img", "img.resize", 4)) if "batch" in stamps else ()
        return done(Stamped(found, looked_at=164, queue_count=4))

    def is_abortable(self, task_name: str) -> bool:
        return task_name in self.abortable

    def dead_letters(self, queue: str = "") -> Future[tuple[DeadLetterView, ...]]:
        self.asked.append(("dead", queue))
        return done(tuple(item for item in self.letters if not queue or item.queue == queue))

    def fetch_task(self, task_id: str) -> Future[TaskFacts]:
        self.asked.append(("fetch", task_id))
        return done(
            TaskFacts(
                task_id,
                "img.resize",
                "img",
                "FAILURE",
                "(91, 'thumb')",
                self.fetched_kwargs,
                '[91, "thumb"]',
                "{}",
                "result store",
                is_args_complete=True,
                exception="OSError: cannot identify image file '/srv/u/91.png'",
                traceback=TRACEBACK,
                has_result=True,
            )
        )

    def pause(self) -> None:
        self.view = replace(self.view, link="paused")
        self.touch()

    def resume(self) -> None:
        self.view = replace(self.view, link="live")
        self.touch()

    def refresh(self) -> None:
        self.asked.append(("refresh",))
