"""What the help of several commands says about jobs. `mtntui --help` loads this, so it loads nothing itself."""

from __future__ import annotations

import argparse

STATES = ("queued", "running", "stopping", "succeeded", "failed", "cancelled", "interrupted")
"""As `engine.store.jobs.State` has them; importing that would load SQLite for `mtntui --help`."""

JOB_FIELDS = (
    "id, kind, title, state, config, resource, parent, argument, policy, attempts,\nprocess, phase, done, total, unit, seconds, "
    "eta_seconds, result, error, hint, created_at, started_at, ended_at"
)
SHOW_FIELDS = (
    "children, artefacts [{kind, name, path}],\nmetrics {NAME: {name, step, value, seconds}} (the last of each), folder, output"
)

EXIT_TEXT = """\
exit status:
  0    the job succeeded
  1    it failed or was interrupted, or it cannot be followed
  3    Ctrl+C: you follow it no longer; the job goes on
  130  the job was cancelled"""

EVENTS_TEXT = """\
--json writes one object per line; each has event:
  state     id, state, attempts, waits_for (the id of the job that this one follows, or null)
  progress  phase, done, total, unit, seconds (of work), rate (per second), eta_seconds; the last three may be null
  log       id, time, line                  every line, those from before first
  metric    name, step, value, seconds      every point, those from before first
  artefact  kind, name, path
  end       job: the object that `jobs show --json` writes
  detached  id, state                       in place of end, after Ctrl+C"""


def add_detach(parser: argparse.ArgumentParser) -> None:
    """The `--detach` option of commands that put a job into the queue."""
    parser.add_argument("--detach", action="store_true", help="do not follow the job: write its id and end")
