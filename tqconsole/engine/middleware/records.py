"""Result records as the settings want them, for whoever writes one: runs, workers, programs."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from tqconsole.engine import states
from tqconsole.engine.clock import Clock
from tqconsole.engine.context import Context
from tqconsole.engine.protocol.result import ResultRecord, encode_record
from tqconsole.engine.protocol.transfer import ResultWrite


class RecordHub(Protocol):
    """What writing records needs of the app."""

    conf: Any
    wall_clock: Clock

    @property
    def result_content_type(self) -> str:
        """Content type of the records it writes."""
        ...


class _Wanted(NamedTuple):
    """What the settings say of records, at one version of theirs."""

    version: int
    serializer: str
    compression: str | None
    content_type: str
    is_extended: bool
    expires_s: float | None
    failure_expires_s: float | None


class Records:
    """Makes the writes of records. The settings are read again when one of them has changed."""

    def __init__(self, hub: RecordHub) -> None:
        self._hub = hub
        self._known: _Wanted | None = None

    def write_of(
        self, run: Context, state: str, value: Any, traceback: str | None = None
    ) -> ResultWrite:
        """Return the write of a run's record in `state`. Raises: EncodeError."""
        wanted = self._wanted()
        record = ResultRecord(
            task_id=str(run.id),
            state=state,
            result=value,
            traceback=traceback or None,
            children=[child.as_tuple() for child in run.children],
            date_done_at=self._hub.wall_clock.now() if state in states.READY_STATES else None,
            group_id=run.group,
            parent_id=run.parent_id,
            extended=_extended(run) if wanted.is_extended else {},
        )
        return _write(record, run.reply_to, wanted)

    def write(self, record: ResultRecord, reply_to: str | None) -> ResultWrite:
        """Return the write of a record. Raises: EncodeError."""
        return _write(record, reply_to, self._wanted())

    def _wanted(self) -> _Wanted:
        conf = self._hub.conf
        if self._known is None or self._known.version != conf.version:
            expires_s = conf.seconds("result_expires")
            is_set = conf.result_failure_expires is not None
            failure_s = conf.seconds("result_failure_expires") if is_set else expires_s
            self._known = _Wanted(
                serializer=conf.result_serializer,
                compression=conf.result_compression,
                content_type=self._hub.result_content_type,
                is_extended=conf.result_extended,
                expires_s=expires_s,
                failure_expires_s=failure_s,
                # Last: looking may read the configuration, which is a change.
                version=conf.version,
            )
        return self._known


def _write(record: ResultRecord, reply_to: str | None, wanted: _Wanted) -> ResultWrite:
    return ResultWrite(
        record.task_id,
        record.state,
        encode_record(record, wanted.serializer, wanted.compression),
        wanted.content_type,
        reply_to or "",
        wanted.failure_expires_s if record.state == states.FAILURE else wanted.expires_s,
    )


def _extended(run: Context) -> dict[str, Any]:
    fields = {
        "name": run.task,
        "args": run.args,
        "kwargs": run.kwargs,
        "worker": run.hostname,
        "retries": run.retries,
        "queue": (run.delivery_info or {}).get("routing_key"),
    }
    if run.stamped_headers:
        fields["stamped_headers"] = run.stamped_headers
        fields.update(run.stamps or {})
    return fields
