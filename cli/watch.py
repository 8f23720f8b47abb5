"""``slingshot watch``."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import click
from rich.console import Console
from rich.live import Live

from cli._messages import print_note
from cli._reading import Reading, reading_options
from cli._verb import Verb, is_quiet
from slingshot_analysis.watching import CommandRunner, Event, LivePage, RunState, Watcher, runs_view

SECONDS = 1.0
"""Seconds between two looks."""


@click.command(
    cls=Verb,
    examples=(
        "watch runs",
        "watch train.log --web --on-event 'notify-send \"$SLINGSHOT_MESSAGE\"'",
    ),
)
@click.argument("path", metavar="FILE|FOLDER", type=click.Path())
@reading_options
@click.option("--web", is_flag=True, help="Show the runs on a page of this machine, whose address is printed.")
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="N", help="Port of the page on 127.0.0.1; by default a free one."
)
@click.option(
    "--on-event",
    metavar="COMMAND",
    help="Run this command of yours in the shell at each event, which stands in its environment: SLINGSHOT_EVENT "
    "(transition, warning, slingshot, spike or ended), SLINGSHOT_RUN, SLINGSHOT_FILE, SLINGSHOT_STEP, SLINGSHOT_SEEN "
    "and SLINGSHOT_MESSAGE.",
)
@click.option("--once", is_flag=True, help="Show the present state and stop.")
@click.option(
    "--idle",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="MINUTES",
    help="A log has ended, and a trace was abandoned, when nothing was written for so long.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    metavar="N",
    help="Length of the runs, for the time left, if no file tells it.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def watch(
    path: str,
    reading: Reading,
    web: bool,
    port: int | None,
    on_event: str | None,
    once: bool,
    idle: float,
    steps: int | None,
    form: str,
) -> None:
    """Follow runs while they are recorded, or any log while it grows.

    Shows norm and loss, the present phase, slingshots so far, warnings, pace and time left. Ends when every run has
    ended. A transition is shown as soon as its rows are written; a slingshot only when the rows after it show one. With
    --format json, prints one line for each event and the states at the end.
    """
    watcher = Watcher(path, reading.runs_of, idle=60 * idle, steps=steps)
    command = CommandRunner(on_event) if on_event else None
    with ExitStack() as stack:
        page = stack.enter_context(_Served(port or 0)) if web or port else None
        view = stack.enter_context(_View(form, quiet=once))
        try:
            _follow(watcher, view, page, command, once)
        except KeyboardInterrupt:
            view.close()
            click.echo("Stopped watching; the runs go on.", err=True)
            click.get_current_context().exit(130)
        finally:
            if command is not None and (status := command.finish()):
                _print_failed(status)


def _follow(watcher: Watcher, view: _View, page: LivePage | None, command: CommandRunner | None, once: bool) -> None:
    """Look until all runs have ended."""
    while True:
        events = watcher.look()
        states = watcher.states
        view.show(states, events)
        if page is not None:
            page.publish(states)
        if command is not None:
            for event in events:
                command.add(event)
            if status := command.poll():
                _print_failed(status)
        if watcher.ended or (once and not watcher.pending):
            break
        if not watcher.pending:
            time.sleep(SECONDS)
    view.end(watcher.states)
    if page is not None:
        page.finish()
        page.wait_until_seen()


def _print_failed(status: int) -> None:
    print_note(f"the command of --on-event ended with status {status}")


class _Served:
    """A page that is served until the block ends."""

    def __init__(self, port: int) -> None:
        self._page = LivePage(port)

    def __enter__(self) -> LivePage:
        click.echo(f"page: {self._page.url}", err=True)
        return self._page

    def __exit__(self, *error: object) -> None:
        self._page.close()


class _View:
    """Shows the runs: in a terminal as a view that changes, elsewhere as a line for each event."""

    def __init__(self, form: str, quiet: bool) -> None:
        self._console = Console(highlight=False, markup=False)
        self._json = form == "json"
        changes = self._console.is_terminal and not self._json and not quiet
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if changes else None

    def __enter__(self) -> _View:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop changing the view."""
        if self._live:
            self._live.stop()

    def show(self, states: Sequence[RunState], events: Sequence[Event]) -> None:
        """Show what is known now, and what has happened."""
        for event in () if is_quiet() and not self._json else events:
            text = f"{event.run}: {event.kind}: {event.words}"
            self._console.print(json.dumps(vars(event)) if self._json else text, soft_wrap=True)
        if self._live:
            self._live.update(runs_view(states, self._console.height), refresh=True)

    def end(self, states: Sequence[RunState]) -> None:
        """Leave the last state in the terminal."""
        self.close()
        if self._json:
            click.echo(json.dumps([_plain(state) for state in states], indent=2))
        else:
            self._console.print(runs_view(states, 10**6))


def _plain(state: RunState) -> dict[str, Any]:
    names = ("run", "file", "step", "steps", "pace", "seconds_left", "ended", "phase")
    return {name: getattr(state, name) for name in names} | {
        "facts": list(state.facts),
        "slingshots": list(state.slingshots),
        "transitions": list(state.transitions),
        "last_norm": _number(state.norm.last),
        "last_loss": _number(state.loss.last),
    }


def _number(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
