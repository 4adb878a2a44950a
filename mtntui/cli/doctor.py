"""`mtntui doctor`: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mtntui.cli.options import add_json_option
from mtntui.cli.output import note, print_json, print_text
from mtntui.cli.screen import on_terminal, terminal_problem

if TYPE_CHECKING:
    from engine.doctor import Check
    from engine.settings import Settings
    from engine.store.repair import Repair
    from mtntui.cli.context import Context

_SMALLEST_SCREEN = (60, 15)

_DESCRIPTION = """\
Look at what mtntui needs: Python and its packages, the workspace, the database, models, the inference host,
processor, memory and this terminal. Nothing is asked of the network unless --network is given."""

_EPILOG = """\
--repair, for a damaged database: the damaged files are kept beside it under another name, and every message that
can still be read is saved into a new database. Models whose files are here but not on record are recorded again.

exit status:
  0  everything works, perhaps with warnings
  1  something does not work; its remedy is shown

--json writes one object: ok (true or false), checks (a list of name, status, message, remedy; status is "ok", "warn"
or "fail"), and after --repair also repair (null when the database was sound; else kept, rows by table, lost_rows,
missing_messages, mended_messages, relinked_messages, untitled_conversations) and adopted_models (names)."""


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "doctor", help="what works on this machine, and what to do about the rest", description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.add_argument("--network", action="store_true", help="also ask whether the places that models come from can be reached")
    parser.add_argument("--repair", action="store_true", help="save what can be read of a damaged database into a new one")
    add_json_option(parser, "what was found")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, context: Context) -> int:
    from engine.errors import EngineError

    repaired = _repair(context) if arguments.repair else None
    found = _adopt(context) if arguments.repair else []
    try:
        settings: Any = context.settings
    except EngineError as error:
        settings = error

    from engine.doctor import examine

    checks = []
    remarks = [] if isinstance(settings, EngineError) else _remarks(settings)
    for check in (*_terminal(), *examine(settings, network=arguments.network, remarks=remarks)):
        checks.append(check)
        if not context.json:
            _print(check)
    ok = all(check.status != "fail" for check in checks)
    if context.json:
        result: dict[str, Any] = {"ok": ok, "checks": [asdict(check) for check in checks]}
        if arguments.repair:
            result["repair"] = asdict(repaired) | {"kept": str(repaired.kept)} if repaired else None
            result["adopted_models"] = found
        print_json(result)
    return 0 if ok else 1


def _remarks(settings: Settings) -> list[str]:
    """What is wrong with the settings of the screen, which the engine knows nothing about."""
    from engine.settings import ScreenSettings, source_of

    found: list[str] = []
    theme = settings.screen.theme
    if theme != ScreenSettings().theme:
        from textual.theme import BUILTIN_THEMES

        if theme not in BUILTIN_THEMES:
            names = ", ".join(sorted(BUILTIN_THEMES))
            found.append(f"There is no theme named {theme!r} ({source_of('screen.theme')}). There are: {names}.")
    if settings.keys:
        from mtntui.app import MtntuiApp
        from mtntui.keymap import commands, complaints

        found += complaints(settings.keys, commands(MtntuiApp.command_sources(), settings.keys), source_of("keys"))
    return found


def _print(check: Check) -> None:
    print_text(f"{check.status:4}  {check.name}: {check.message}")
    if check.remedy:
        print_text(f"      {check.remedy}")


def _repair(context: Context) -> Repair | None:
    """Repair a damaged database; None when it is sound."""
    import asyncio

    from engine.doctor import damage
    from engine.inference.client import HostClient
    from engine.store.repair import repair

    path = context.workspace.database
    if not damage(path):
        if not context.json:
            print_text("The database is sound; there is nothing to repair.\n")
        return None
    if asyncio.run(HostClient(context.settings).shut_down(say=note)):
        note("The inference host was stopped: nobody may use the database while it is repaired.")
    result = repair(path)
    if not context.json:
        _print_repair(result)
    return result


def _adopt(context: Context) -> list[str]:
    """Put model folders that the database has forgotten on record again; returns their names."""
    from engine.models.adopt import adopt, unrecorded

    if not context.workspace.database.exists() or not unrecorded(context.workspace, context.database):
        return []
    from mtntui.cli.model_progress import Stop, reporting

    with Stop().listening() as stop, reporting(as_json=False, stop=stop) as reporter:
        names = adopt(context.workspace, context.database, reporter)
    if names and not context.json:
        print_text(f"Models that are on record again: {', '.join(names)}.\n")
    return names


def _print_repair(result: Repair) -> None:
    print_text(f"The damaged database is kept as {result.kept}.")
    saved = {table.replace("_", " "): count for table, count in result.rows.items() if count}
    print_text(f"Saved {', '.join(f'{table}: {count:,}' for table, count in saved.items()) or 'nothing: there was nothing'}.")
    remarks = (
        ("Messages that are lost", result.missing_messages),
        ("Messages that lost a part of their text, and are marked", result.mended_messages),
        ("Messages that follow an earlier one now, because the one before them is lost", result.relinked_messages),
        ("Conversations that lost their title, and have one made of their first message", result.untitled_conversations),
    )
    for what, count in remarks:
        if count:
            print_text(f"{what}: {count:,}.")
    print_text("")


def _terminal() -> Iterator[Check]:
    """What this terminal can do for the screen."""
    from engine.doctor import Check

    if not on_terminal():
        yield Check("terminal", "ok", "Input or output is no terminal here, so nothing can be said about the screen.")
        return
    if problem := terminal_problem():
        yield Check("terminal", "warn", problem, "Everything but the screen works here; set TERM to what the terminal is.")
        return
    size = shutil.get_terminal_size()
    text = f"TERM is {os.environ['TERM']}, {size.columns}×{size.lines}, {_colours()}."
    if size.columns < _SMALLEST_SCREEN[0] or size.lines < _SMALLEST_SCREEN[1]:
        yield Check("terminal", "warn", text, "The screen needs 60×15 or more: make the window larger.")
    else:
        yield Check("terminal", "ok", text)
    encoding = (sys.stdout.encoding or "unknown").lower()
    if encoding.replace("-", "") == "utf8":
        yield Check("characters", "ok", "Text is written as UTF-8.")
    else:
        yield Check("characters", "warn", f"Text is written as {encoding}.", "Set LANG to a UTF-8 locale, such as C.UTF-8.")
    if os.environ.get("TMUX"):
        yield _tmux()
    if os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"):
        yield Check("ssh", "ok", "This is an SSH session: the screen is drawn less often unless --no-low-bandwidth is given.")


def _colours() -> str:
    if os.environ.get("NO_COLOR"):
        return "without colours (NO_COLOR is set)"
    if os.environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"}:
        return "16 million colours"
    return "256 colours" if "256" in os.environ["TERM"] else "16 colours"


def _tmux() -> Check:
    import subprocess

    from engine.doctor import Check

    try:
        done = subprocess.run(
            ["tmux", "display-message", "-p", "#{version} #{set-clipboard}"],  # noqa: S607
            check=False,
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(
            "tmux", "warn", f"TMUX is set, but tmux does not answer ({error}).", "Copying will not reach your clipboard."
        )
    if done.returncode != 0:
        return Check(
            "tmux", "warn", f"TMUX is set, but tmux says: {done.stderr.strip()}.", "Copying will not reach your clipboard."
        )
    version, _, clipboard = done.stdout.strip().partition(" ")
    return Check("tmux", "ok", f"tmux {version} with set-clipboard {clipboard}; copying goes through `tmux load-buffer -w`.")
