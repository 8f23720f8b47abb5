"""The runs that the file of a sweep asks for, where no option changes it."""

from __future__ import annotations

from dataclasses import replace

from trainers.overrides import override_all
from trainers.setup import Setup, settings_of
from trainers.setups import find_setup
from trainers.sweep.config import SweepConfig
from trainers.sweep.plan import as_text, by_name, parse_seeds, plan_runs


def plan_file(file: SweepConfig, seeds: str | None = None, folder: str | None = None) -> list[Setup]:
    """Return the runs of a sweep.

    Parameters
    ----------
    file : SweepConfig
        Contents of its file.
    seeds : str, optional
        Seeds of each run, such as ``"0-4"``, in place of those of the file.
    folder : str, optional
        Folder of the data files, for setups that read files.

    Raises
    ------
    InputError
        If a setup or a field does not exist, or a value does not fit its field.

    Examples
    --------
    >>> from trainers.sweep import read_config
    >>> len(plan_file(read_config("parity_epsilon"), seeds="0-1"))
    18
    """
    asked = seeds or (None if file.seeds is None else as_text(file.seeds))
    planned: list[Setup] = []
    for name in dict.fromkeys([*file.setups, *(run["setup"] for run in file.runs if "setup" in run)]):
        varied = name in file.setups
        own = [run for run in file.runs if run.get("setup", name if varied else None) == name]
        planned += plan_runs(
            _common(name, file, folder),
            file.grid if varied else None,
            draw=file.draw if varied else None,
            draws=file.draws or 1,
            draw_seed=file.draw_seed or 0,
            runs=[{key: value for key, value in run.items() if key != "setup"} for run in own],
            seeds=None if asked is None else parse_seeds(asked),
        )
    return list(by_name(planned).values())


def _common(name: str, file: SweepConfig, folder: str | None) -> Setup:
    """Return a setup with the changes that every run has."""
    setup = override_all(find_setup(name), [f"{key}={as_text(value)}" for key, value in file.set.items()], "set")
    if folder is not None and "data.folder" in settings_of(setup):
        setup = override_all(setup, [f"data.folder={folder}"])
    return setup if file.steps is None else replace(setup, steps=file.steps)
