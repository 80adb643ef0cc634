"""The depth of a queue over time: from its first sample, the last one holding where none came."""

import pytest
from event_builders import NOW

from tqconsole.core.queues import COLUMN_S, Queue
from tqconsole.engine.protocol.transfer import QueueDepth


@pytest.mark.parametrize(
    ("samples", "history"),
    [
        ({}, ()),
        ({0: 4, 1: 5, 2: 6}, (4, 5, 6)),
        ({0: 4, 3: 6}, (4, 4, 4, 6)),
        ({1: 0, 2: 7}, (0, 7)),
    ],
)
def test_a_depth_holds_until_the_next_is_told(samples, history):
    queue = Queue("mail")
    for column, ready_count in samples.items():
        queue.note_depth(QueueDepth(ready_count), NOW + column * COLUMN_S)

    view = queue.view(NOW + max(samples, default=0) * COLUMN_S, None)

    assert view.history == history


def test_the_last_depth_holds_while_none_is_told():
    queue = Queue("mail")
    queue.note_depth(QueueDepth(4), NOW)

    assert queue.view(NOW + 2 * COLUMN_S, None).history == (4, 4, 4)
