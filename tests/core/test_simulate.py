from tqconsole.core.actions import ActionRequest
from tqconsole.core.export import export_rows
from tqconsole.core.port import ConsoleSession
from tqconsole.core.simulate import SimulatedSession


def build(**facts) -> ConsoleSession:
    session = SimulatedSession(seed=1, history_s=90, **facts)
    session.drain()
    return session


def test_the_same_seed_gives_the_same_cluster():
    one, other = build(), build()

    assert one.snapshot().workers == other.snapshot().workers
    assert export_rows(one.tasks(), "json") == export_rows(other.tasks(), "json")


def test_the_troubles_of_the_wireframes_are_there():
    session = SimulatedSession(seed=1)
    session.drain()

    kinds = {finding.kind for finding in session.snapshot().attention}

    assert kinds >= {"queue", "type", "worker", "task", "dead"}


def test_actions_answer_without_the_silent_worker():
    done = build().perform(ActionRequest("worker.ping")).result()

    assert (len(done.answers), done.missing) == (8, ("w7@ip-10-1-4",))


def test_a_read_only_simulation_refuses():
    done = build(is_read_only=True).perform(ActionRequest("task.revoke", ("t",))).result()

    assert "read-only" in done.error


def test_every_question_has_an_answer():
    session = build()
    worker = session.snapshot().workers[0].name

    assert session.inspect(worker, "stats").result().rows
    assert session.inspect("w7@ip-10-1-4", "stats").result().error
    assert session.peek("mail").result().messages
    assert session.dead_letters().result()
    assert session.fetch_task(session.tasks().row(0).task_id).result().args_json
    assert session.events("type:task-failed", 5)
    assert session.family(session.tasks().row(0).task_id)
