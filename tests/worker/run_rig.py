"""An app on memory, and runs of its tasks without a worker: call, message, payload, outcome."""

from __future__ import annotations

from typing import Any

import msgspec

from tqconsole.engine.app import App
from tqconsole.engine.clock import ManualClock
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.result import ResultRecord, decode_record
from tqconsole.engine.protocol.transfer import Publication
from tqconsole.engine.worker.outcome import Outcome, decode_outcome
from tqconsole.engine.worker.payload import RunPayload, encode_payload
from tqconsole.engine.worker.run import make_runner


class RunRig:
    """Runs calls as a slot of a pool would."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock()
        self.app = App(
            "rig",
            broker="memory://",
            backend="cache+memory://",
            set_as_current=False,
            clock=self.clock,
            **settings,
        )
        self.runner = make_runner(self.app, "w1@host")

    def run(self, task: Any, *args: Any, **options: Any) -> Outcome:
        """Run one call of a task."""
        kwargs = options.pop("kwargs", None)
        given = {**task.sent_options(), **options}
        publication, _ = self.app.build_call(task.name, args, kwargs, **given)
        return self.run_message(publication.message)

    def run_message(self, message: Message, **fields: Any) -> Outcome:
        """Run a message as it stands."""
        given = {"hostname": "w1@host", "queue": "celery", "routing_key": "celery", **fields}
        return decode_outcome(self.runner(encode_payload(RunPayload(message, **given))))

    def run_again(self, outcome: Outcome) -> Outcome:
        """Run the only message that an outcome wants published."""
        (publication,) = outcome.publications
        return self.run_message(publication.message)


def record(outcome: Outcome) -> ResultRecord:
    """Return the only record an outcome wants stored."""
    (write,) = outcome.results
    return decode_record(write.record)


def body(publication: Publication) -> Any:
    """Return [args, kwargs, embed] of a message."""
    return msgspec.json.decode(publication.message.body)
