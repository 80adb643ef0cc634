"""Workflows of every shape, and what each comes to, for either engine's client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Name -> (what builds it of the client's module and tasks, the value it comes to).
CASES: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {
    "chain": (lambda m, t: m.chain(t["add"].s(1, 2), t["add"].s(4), t["double"].s()), 14),
    "group": (lambda m, t: m.group(t["add"].s(i, i) for i in range(3)), [0, 2, 4]),
    "chord": (lambda m, t: m.chord([t["add"].s(i, i) for i in range(4)], t["xsum"].s()), 12),
    "chord of one": (lambda m, t: m.chord([t["add"].s(1, 1)], t["xsum"].s()), 2),
    "empty header": (lambda m, t: m.chord([], t["xsum"].s()), 0),
    "group in a chain": (
        lambda m, t: t["add"].s(1, 1) | m.group(t["add"].s(1), t["add"].s(2)) | t["xsum"].s(),
        7,
    ),
    "group at the end": (
        lambda m, t: t["add"].s(1, 1) | m.group(t["add"].s(1), t["add"].s(2)),
        [3, 4],
    ),
    "two groups in a chain": (
        lambda m, t: m.chain(
            m.group(t["add"].s(1, 1), t["add"].s(2, 2)),
            t["xsum"].s(),
            m.group(t["double"].s(), t["ident"].s()),
            t["xsum"].s(),
        ),
        18,
    ),
    "group after group": (
        lambda m, t: (
            m.group(t["add"].s(1, 1), t["add"].s(2, 2))
            | m.group(t["xsum"].s(), t["ident"].s())
            | t["ident"].s()
        ),
        [6, [2, 4]],
    ),
    "chains in a header": (
        lambda m, t: m.chord(
            [m.chain(t["add"].s(i, i), t["double"].s()) for i in range(3)], t["xsum"].s()
        ),
        12,
    ),
    "group in a header": (
        lambda m, t: m.chord(
            [t["add"].s(1, 1), m.chain(t["add"].s(1, 1), m.group(t["double"].s(), t["ident"].s()))],
            t["ident"].s(),
        ),
        [2, [4, 2]],
    ),
    "chord in a header": (
        lambda m, t: m.chord(
            [m.chord([t["add"].s(1, 1), t["add"].s(2, 2)], t["xsum"].s()), t["add"].s(0, 1)],
            t["xsum"].s(),
        ),
        7,
    ),
    "chord of a chain": (
        lambda m, t: m.chord(
            [t["add"].s(1, 1), t["add"].s(2, 2)], t["xsum"].s() | t["double"].s() | t["double"].s()
        ),
        24,
    ),
    "chord of a group": (
        lambda m, t: m.chord(
            [t["add"].s(1, 1), t["add"].s(2, 2)], m.group(t["xsum"].s(), t["ident"].s())
        ),
        [6, [2, 4]],
    ),
    "chord of a chord": (
        lambda m, t: m.chord(
            [t["add"].s(1, 1), t["add"].s(2, 2)],
            m.chord([t["xsum"].s(), t["xsum"].s()], t["xsum"].s()),
        ),
        12,
    ),
    "chunks": (
        lambda m, t: t["add"].chunks(list(zip(range(4), range(4), strict=True)), 3),
        [[0, 2, 4], [6]],
    ),
    "starmap": (lambda m, t: t["add"].starmap([(1, 2), (3, 4)]), [3, 7]),
    "map": (lambda m, t: t["xsum"].map([[1, 2], [3]]), [3, 3]),
    "replaced by a group": (lambda m, t: t["branch"].s(1) | t["xsum"].s(), 5),
    "replaced in a chord": (
        lambda m, t: m.chord([t["branch"].s(1), t["add"].s(0, 1)], t["ident"].s()),
        [[2, 3], 1],
    ),
}
