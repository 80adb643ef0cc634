"""The detail of a task follows the task: what is stored anew is looked up anew."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

from driving import press, settle, shown_text
from fake import NOW_AT, FakeSession, done

from tqconsole.console import Console
from tqconsole.core.views import TaskFacts, TaskRow
from tqconsole.widgets.task_facts import Known, result_text

SIZE = (120, 36)


class OneTask(FakeSession):
    """A session on one task that reports progress; `facts` is what the store has."""

    def __init__(self) -> None:
        self.row = running_row()
        self.facts = progress_facts(done_count=0)
        super().__init__([self.row])

    def fetch_task(self, task_id: str) -> Future[TaskFacts]:
        self.asked.append(("fetch", task_id))
        return done(self.facts)


def running_row() -> TaskRow:
    row = TaskRow("9f3c1a20-5d1e", 1)
    row.name, row.state, row.worker = "report.build", "STARTED", "w1@ip-10-1-0"
    row.received_at = row.started_at = NOW_AT - 5
    return row


def progress_facts(done_count: int) -> TaskFacts:
    return TaskFacts(
        "9f3c1a20-5d1e",
        "report.build",
        state="PROGRESS",
        result=f'{{"done": {done_count}, "total": 12}}',
        has_result=True,
    )


async def test_a_task_that_ends_shows_its_result() -> None:
    session = OneTask()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "enter")
        assert '"done": 0' in shown_text(app)

        session.row.state, session.row.ended_at = "SUCCESS", NOW_AT
        session.facts = replace(
            session.facts, state="SUCCESS", result="report of month 3", done_at=NOW_AT
        )
        session.touch()
        await settle(pilot)

        assert "report of month 3" in shown_text(app)
        assert '"done"' not in shown_text(app)


async def test_nothing_new_is_not_asked_for_again() -> None:
    session = OneTask()
    app = Console(session, screen="tasks")
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "enter")
        session.touch()
        await settle(pilot)

    assert session.asked.count(("fetch", session.row.task_id)) == 1


def test_progress_told_by_events_is_newer_than_the_record() -> None:
    row = running_row()
    row.progress_done, row.progress_total = 7.0, 12.0

    known = Known.of(row.task_id, row, progress_facts(done_count=0))

    assert result_text(known) == '{\n  "done": 7,\n  "total": 12\n}'


def test_a_record_of_the_run_is_not_taken_for_its_end() -> None:
    row = running_row()
    row.state, row.ended_at, row.result = "SUCCESS", NOW_AT, "'as the event told'"

    known = Known.of(row.task_id, row, progress_facts(done_count=11))

    assert known.result == "'as the event told'"


async def test_a_small_window_shows_the_call_and_the_end_of_a_long_traceback() -> None:
    session = OneTask()
    session.facts = TaskFacts("9f3c1a20-5d1e", "report.build")
    row = session.row
    row.state, row.ended_at, row.args, row.kwargs = "FAILURE", NOW_AT, "(7, 'full')", "{'x': 2}"
    frames = "".join(f'  File "/srv/app.py", line {n}, in step{n}\n' for n in range(40))
    row.traceback = f"Traceback (most recent call last):\n{frames}ValueError: too deep"
    app = Console(session, screen="tasks")
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await press(pilot, "enter")
        opened = shown_text(app)
        await press(pilot, "g")

        assert "called report.build(7, 'full', x=2)" in opened
        assert "ValueError: too deep" in opened
        assert "most recent call last" in shown_text(app)
