"""`tqconsole upgrade settings FILE`: old names of settings in a module become the new ones."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import click

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.verb import VerbGroup
from tqconsole.cli.verb import verb as make_verb
from tqconsole.engine.settings_table import OLD_NAMES

_WORD = re.compile(r"\b[A-Z][A-Z0-9_]+\b")


@make_verb(
    "settings",
    click.Argument(["filename"], type=click.Path(exists=True, dir_okay=False, path_type=Path)),
    click.Option(
        ["--django"], is_flag=True, help="New names as CELERY_...: for namespace='CELERY'."
    ),
    click.Option(["--compat"], is_flag=True, help="The same as --django."),
    click.Option(["--no-backup"], is_flag=True, help="Keep no copy as FILE.orig."),
)
def settings(
    invocation: Invocation,
    filename: Path,
    django: bool,  # noqa: FBT001 - click passes options by name
    compat: bool,  # noqa: FBT001 - click passes options by name
    no_backup: bool,  # noqa: FBT001 - click passes options by name
) -> int:
    """Rewrite the old, upper-case names of settings in a Python file."""
    try:
        text = filename.read_text()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{filename} is no text: {error.reason}") from error
    upgraded, renamed = upgraded_text(text, is_prefixed=django or compat)
    output = invocation.output
    if renamed and not no_backup:
        shutil.copy2(filename, f"{filename}.orig")
    if renamed:
        filename.write_text(upgraded)
    if output.is_json:
        output.json({"renamed": renamed})
        return exits.OK
    for old, new in renamed.items():
        output.line(f"{old} -> {new}")
    output.note(
        "Changes to your setting have been made!"
        if renamed
        else "Does not seem to require any changes :-)"
    )
    return exits.OK


def upgraded_text(text: str, *, is_prefixed: bool) -> tuple[str, dict[str, str]]:
    """Return the text with new names, and old name -> new name of those it had."""
    renamed: dict[str, str] = {}

    def new(found: re.Match[str]) -> str:
        old = found[0]
        name = OLD_NAMES.get(old)
        if name is None:
            return old
        renamed[old] = f"CELERY_{name.upper()}" if is_prefixed else name
        return renamed[old]

    upgraded = _WORD.sub(new, text)
    return upgraded, {old: name for old, name in renamed.items() if old != name}


verb = VerbGroup("upgrade", help="Bring a project up to date.", commands=[settings])
