"""New ids are random UUIDs of version 4, and each its own."""

from __future__ import annotations

import uuid

from tqconsole.engine.protocol.identity import new_id


def test_new_id_is_a_uuid_of_version_4() -> None:
    made = [new_id() for _ in range(200)]

    parsed = [uuid.UUID(it) for it in made]
    assert [str(it) for it in parsed] == made
    assert {(it.version, it.variant) for it in parsed} == {(4, uuid.RFC_4122)}
    assert len(set(made)) == 200
