"""The runs that the options and the file of ``slingshot sweep`` ask for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from cli.record import with_data_folder
from slingshot_analysis.errors import InputError
from trainers.overrides import override_all
from trainers.setup import Setup
from trainers.setups import find_setup
from trainers.sweep import SweepConfig, parse_seeds, parse_values, plan_runs
from trainers.sweep.plan import as_text, by_name

Value = TypeVar("Value")


@dataclass(frozen=True)
class Options:
    """Options of the command line that say which runs there are; `config` is the file, for messages."""

    config: str | None = None
    setup: str | None = None
    steps: int | None = None
    assignments: tuple[str, ...] = ()
    data_dir: str | None = None
    grid: tuple[str, ...] = ()
    draw: tuple[str, ...] = ()
    draws: int | None = None
    draw_seed: int | None = None
    seeds: str | None = None

    @property
    def fixed(self) -> dict[str, str]:
        """The options that give a field one value in all runs, by the name of the field."""
        fixed = {text.partition("=")[0]: "--set" for text in self.assignments}
        fixed |= {} if self.steps is None else {"steps": "--steps"}
        return fixed | ({} if self.data_dir is None else {"data.folder": "--data-dir"})


def plan(file: SweepConfig, options: Options) -> list[Setup]:
    """Return the runs; options come before the file.

    Parameters
    ----------
    file : SweepConfig
        Contents of the file; without a file, an empty configuration.
    options : Options
        Options of the command line.

    Raises
    ------
    InputError
        If options or file contradict each other, or name what does not exist.
    """
    varied = [options.setup] if options.setup else file.setups
    own = [run["setup"] for run in file.runs if "setup" in run]
    if not varied and (len(own) < len(file.runs) or not own):
        raise InputError("--setup is missing; see `slingshot setups`")
    if not varied and (options.grid or options.draw or file.grid or file.draw):
        raise InputError("each run names its setup, so there is none for a grid or draws; --setup gives one")
    planned: list[Setup] = []
    for name in dict.fromkeys([*varied, *own]):
        runs = [
            {key: value for key, value in run.items() if key != "setup"}
            for run in file.runs
            if run.get("setup", name if name in varied else None) == name
        ]
        if name in varied:
            planned += _vary(name, dataclasses.replace(file, runs=runs), options)
        else:
            alone = dataclasses.replace(file, runs=runs, grid={}, draw={}, draws=None, draw_seed=None)
            planned += _vary(name, alone, dataclasses.replace(options, grid=(), draw=(), draws=None, draw_seed=None))
    return list(by_name(planned).values())


def _vary(name: str, file: SweepConfig, options: Options) -> list[Setup]:
    """Return the runs of one setup."""
    setup = _common(name, file, options)
    grids = _once("--grid", [parse_values(setup, text, "--grid") for text in options.grid])
    drawn = _once("--draw", [_pair("--draw", text) for text in options.draw])
    part = {field.name: f"--config {options.config}: {field.name}" for field in dataclasses.fields(file)}
    of_draws = {"--draws": options.draws, "--draw-seed": options.draw_seed}
    of_draws |= {part["draws"]: file.draws, part["draw_seed"]: file.draw_seed}
    for place, number in of_draws.items():
        if number is not None and not (drawn or file.draw):
            raise InputError(f"{place} needs a --draw KEY=DISTRIBUTION; give one, or leave it out")
    of_file = dict.fromkeys(file.grid, part["grid"]) | dict.fromkeys(file.draw, part["draw"])
    of_file |= {} if file.seeds is None else {"seed": part["seeds"]}
    varied = of_file | dict.fromkeys(grids, "--grid") | dict.fromkeys(drawn, "--draw")
    varied |= {} if options.seeds is None else {"seed": "--seeds"}
    _refuse_both(options.fixed, varied)
    _refuse_both(
        dict.fromkeys(file.set, part["set"]) | ({} if file.steps is None else {"steps": part["steps"]}), of_file
    )
    asked, place = (file.seeds, part["seeds"]) if options.seeds is None else (options.seeds, "--seeds")
    return plan_runs(
        setup,
        file.grid | grids,
        draw=file.draw | drawn,
        draws=options.draws or file.draws or 1,
        draw_seed=options.draw_seed if options.draw_seed is not None else file.draw_seed or 0,
        runs=file.runs,
        seeds=None if asked is None else parse_seeds(as_text(asked), place),
        places=varied | {"seeds": place, "runs": part["runs"]},
    )


def _common(name: str, file: SweepConfig, options: Options) -> Setup:
    """Return the setup with the changes that every run has."""
    of_file = [f"{key}={as_text(value)}" for key, value in file.set.items()]
    setup = override_all(find_setup(name), of_file, f"--config {options.config}: set")
    setup = setup if file.steps is None else dataclasses.replace(setup, steps=file.steps)
    setup = override_all(with_data_folder(setup, options.data_dir), options.assignments, "--set")
    return setup if options.steps is None else dataclasses.replace(setup, steps=options.steps)


def _pair(option: str, text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not value:
        raise InputError(f"{option} {text}: write it as KEY=VALUE")
    return key, value


def _once(option: str, pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    """Return the values of a repeatable option by key.

    Raises
    ------
    InputError
        If a key is given twice.
    """
    for i, (key, _) in enumerate(pairs):
        if key in dict(pairs[:i]):
            how = f"write {option} {key}=A,B" if option == "--grid" else "leave one of them out"
            raise InputError(f"{option} {key} is given twice; {how}")
    return dict(pairs)


def _refuse_both(fixed: Mapping[str, str], varied: Mapping[str, str]) -> None:
    """Refuse a field that has one value in all runs and also varies; each mapping names the option by field."""
    for key in fixed.keys() & varied.keys():
        raise InputError(f"{fixed[key]}: {key} is given by {varied[key]} too; leave one of them out")
