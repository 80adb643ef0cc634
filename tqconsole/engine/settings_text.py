"""`docs/settings.md`, from the table: `python -m tqconsole.engine.settings_text`.

The table is the only place where a setting is described; `tests/engine/test_settings_text.py` fails
when the page was not written anew.
"""

from __future__ import annotations

import sys
from itertools import groupby

from tqconsole.engine.settings import ENVIRONMENT
from tqconsole.engine.settings_own import OWN_SETTINGS
from tqconsole.engine.settings_table import SETTINGS, Setting

_INTRODUCTION = """\
# Settings

Names, old names and defaults are those of Celery 5.7; every one of them is accepted, what Celery
does not have comes first, and what differs here says so: `worker_send_task_events` is `"auto"`
(task events are sent while somebody listens), and an app without `broker_url` uses the embedded
broker, which keeps results too. The settings of a result store act once that store is the one in
use.

A value is taken from the first of these that has one: the command line (`-b`,
`--result-backend`, worker options), the environment, the program (`app.conf`, `App(...)`), the
configuration (`config_from_object`, `celeryconfig`), added defaults, this table.

Old, upper-case names work as long as a configuration uses nothing else; mixing them with new ones
is refused with a list of what to rename. With `namespace="CELERY"` every name is prefixed:
`CELERY_TASK_ACKS_LATE`.
"""

_BUSY_POLL = """\
To be put to sleep and woken takes a process about as long as a short task does, and its processor's
caches are cold afterwards. So a worker looks a moment for what it waits for before it sleeps (busy
polling), but only if the last wait of the same kind was over within that moment: for the answer of
the broker, for the end of a run, or for the next message. A caller that waits for one result after
the other has it a fifth sooner; a worker that gets a task now and then, or has nothing to do,
sleeps as ever. Whoever waits for the processor meanwhile is let through. It costs processor time
where tasks follow each other in less than `worker_busy_poll`: set it to 0 where that is dear, as on
machines that are paid for by use. While threads, coroutines or greenlets run, which need the
interpreter themselves, a worker sleeps at once.
"""

#: First part of the names -> heading; all others are stores that few people use.
_GENERAL = frozenset(
    {
        "accept_content",
        "enable_utc",
        "imports",
        "include",
        "result_accept_content",
        "timezone",
    }
)


def settings_markdown() -> str:
    """Return the page."""
    parts = [_INTRODUCTION, _environment(), _own()]
    for group, settings in groupby(SETTINGS.values(), _group):
        parts.append(f"## {group}\n\n{_table(list(settings))}")
    return "\n".join(parts)


def _environment() -> str:
    lines = ["## Environment", "", "| Setting | Variables, the first that is set |", "|---|---|"]
    for name, variables in ENVIRONMENT.items():
        lines.append(f"| `{name}` | {', '.join(f'`{variable}`' for variable in variables)} |")
    return "\n".join(lines) + "\n"


def _own() -> str:
    lines = ["## not in Celery", "", "| Setting | Default | Unit | What for |", "|---|---|---|---|"]
    for setting in OWN_SETTINGS.values():
        cells = f"`{setting.name}`", f"`{setting.default!r}`", setting.unit, setting.reason
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", _BUSY_POLL])


def _group(setting: Setting) -> str:
    return "general" if setting.name in _GENERAL else setting.name.partition("_")[0]


def _table(settings: list[Setting]) -> str:
    lines = ["| Setting | Default | Unit | What for | Old name |", "|---|---|---|---|---|"]
    for setting in settings:
        default = repr(setting.default).replace("|", "\\|")
        cells = (
            f"`{setting.name}`",
            f"`{default}`",
            setting.unit,
            setting.reason.replace("|", "\\|"),
            f"`{setting.old_name}`",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(settings_markdown())
