"""The options that say where work is done: ``--jobs``, ``--engine``, ``--scheduler`` and ``--slurm``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import click

from slingshot_analysis.engines import ENGINES
from slingshot_analysis.errors import InputError

Command = Callable[..., Any]


def engine_options(jobs: int | None, jobs_help: str) -> Callable[[Command], Command]:
    """Return a decorator that adds the options to a command.

    Parameters
    ----------
    jobs : int or None
        Default of ``--jobs``.
    jobs_help : str
        Help of ``--jobs``.
    """
    options = (
        click.option(
            "--slurm",
            multiple=True,
            metavar="KEY=VALUE",
            callback=_only_with("slurm"),
            help="A parameter of submitit, such as timeout_min=600 or slurm_partition=gpu; repeatable.",
        ),
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            callback=_only_with("dask"),
            help="Address of the Dask scheduler, such as tcp://10.0.0.1:8786.",
        ),
        click.option(
            "--engine",
            type=click.Choice(ENGINES),
            default="processes",
            show_default=True,
            is_eager=True,
            help="Where the work runs.",
        ),
        click.option(
            "--jobs",
            type=click.IntRange(min=1),
            default=jobs,
            show_default=jobs is not None,
            metavar="N",
            help=jobs_help,
        ),
    )

    def add(command: Command) -> Command:
        for option in options:
            command = option(command)
        return command

    return add


def _only_with(engine: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return a callback that refuses an option unless the engine that it belongs to was chosen."""

    def check(context: click.Context, option: click.Parameter, value: Any) -> Any:
        if value and context.params.get("engine") != engine:
            raise InputError(f"{option.opts[0]}: works only with --engine {engine}; give that too, or leave it out")
        return value

    return check


def slurm_parameters(given: Sequence[str]) -> dict[str, int | float | str]:
    """Return the parameters that ``--slurm`` gives; numbers become numbers.

    Raises
    ------
    InputError
        If one is not KEY=VALUE.

    Examples
    --------
    >>> slurm_parameters(["timeout_min=600", "mem_gb=0.5", "slurm_partition=cpu"])
    {'timeout_min': 600, 'mem_gb': 0.5, 'slurm_partition': 'cpu'}
    """
    parameters: dict[str, int | float | str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise InputError(f"--slurm {text}: write it as KEY=VALUE, such as timeout_min=600")
        number = float if re.fullmatch(r"\d+\.\d+", value) else int if value.isdecimal() else str
        parameters[key] = number(value)
    return parameters
