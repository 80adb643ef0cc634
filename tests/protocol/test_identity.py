"""New ids are random UUIDs of version 4, or numbered, and each its own."""

from __future__ import annotations

import os
import uuid

from tqconsole.engine.protocol.identity import new_id, numbered_id


def test_new_id_is_a_uuid_of_version_4() -> None:
    made = [new_id() for _ in range(200)]

    parsed = [uuid.UUID(it) for it in made]
    assert [str(it) for it in parsed] == made
    assert {(it.version, it.variant) for it in parsed} == {(4, uuid.RFC_4122)}
    assert len(set(made)) == 200


def test_numbered_id_is_given_once_also_by_a_forks_child() -> None:
    before = numbered_id()
    reading, writing = os.pipe()
    child_pid = os.fork()
    if child_pid == 0:
        os.write(writing, f"{numbered_id()} {numbered_id()}".encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child_pid, 0)
    with os.fdopen(reading) as answers:
        theirs = answers.read().split()

    ours = [before, numbered_id(), numbered_id()]
    assert len({*ours, *theirs}) == 5
    # Not by their numbers alone: another process counts alike.
    assert {it.rpartition(".")[0] for it in ours}.isdisjoint(it.rpartition(".")[0] for it in theirs)
