"""Progress with the time left, on standard error, for what takes more than two seconds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import click

from cli._verb import is_quiet, is_verbose

LEAST_SECONDS = 2.0
"""Seconds after which the bar appears."""

Item = TypeVar("Item")


def track(items: Iterable[Item], total: int | None, what: str) -> Iterator[Item]:
    """Yield the items, and show in a terminal how many are done and how long the others will take.

    Parameters
    ----------
    items : iterable
        What is worked on, lazily.
    total : int or None
        How many there are, if that is known.
    what : str
        What is done, such as ``"analyzing"``.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    start = time.monotonic()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    bar = Progress(*columns, console=console, transient=True, disable=is_quiet() or not console.is_terminal)
    task = bar.add_task(what, total=total)
    try:
        for done, item in enumerate(items, start=1):
            yield item
            bar.update(task, completed=done)
            if time.monotonic() - start > LEAST_SECONDS and not bar.live.is_started:
                bar.start()
            if is_verbose():
                click.echo(
                    f"{what}: {done}{f' of {total}' if total else ''}, {time.monotonic() - start:.1f} s", err=True
                )
    finally:
        if bar.live.is_started:  # earlier versions of rich print an empty line where nothing was shown
            bar.stop()
