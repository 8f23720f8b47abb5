"""``slingshot reproduce``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli._completion import complete_claims
from cli._engines import engine_options, slurm_parameters
from cli._messages import print_errors
from cli._verb import Verb
from cli.figure import FORMATS, formats_of
from slingshot_analysis.errors import InputError

if TYPE_CHECKING:
    from trainers.claims import Claim, Result, Scale

SCALES: tuple[Scale, ...] = ("small", "paper")


@click.command(
    cls=Verb,
    examples=("reproduce --list", "reproduce features", "reproduce epsilon_slingshots --seeds 0-4 --jobs 8"),
)
@click.argument("names", nargs=-1, shell_complete=complete_claims, metavar="[NAME]...")
@click.option("--list", "listing", is_flag=True, help="List the claims with their figures, rules and cost, and stop.")
@click.option(
    "--scale",
    type=click.Choice(SCALES),
    default="small",
    show_default=True,
    help="The runs that fit a CPU, or those of the paper's length.",
)
@click.option(
    "--seeds", metavar="SEEDS", help="Seeds of each run, such as 0-4; by default those of the claim's sweeps."
)
@click.option("--out", default="claims", show_default=True, metavar="DIR", help="Folder of traces, verdicts, figures.")
@click.option(
    "--training/--no-training",
    default=True,
    show_default=True,
    help="Train the runs that are missing, or decide by those that are there.",
)
@click.option("--data-dir", metavar="DIR", help="Folder of the data files, for setups that read files.")
@click.option("--figures", "suffixes", default="png", show_default=True, metavar="KINDS", help=f"Any of {FORMATS}.")
@engine_options(None, "Number of processes, by default one per CPU.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def reproduce(
    names: tuple[str, ...],
    listing: bool,
    scale: Scale,
    seeds: str | None,
    out: str,
    training: bool,
    data_dir: str | None,
    suffixes: str,
    engine: str,
    jobs: int | None,
    scheduler: str | None,
    slurm: tuple[str, ...],
    form: str,
) -> None:
    """Train the runs behind claims of the paper that are missing, and say whether each claim holds here.

    The same command continues a reproduction that was stopped. DIR gets a folder of traces for each sweep, and for each
    claim NAME-SCALE.json and a figure.
    """
    if listing:
        _list_claims(form)
        return
    from cli.sweep import Progress
    from trainers.claims import find_claim
    from trainers.claims import reproduce as reproduce_claim

    if not names:
        raise InputError("no claim is named; `slingshot reproduce --list` lists them")
    kinds, claims = formats_of(suffixes), {name: find_claim(name) for name in names}
    results: dict[str, Result] = {}
    for name, claim in claims.items():
        with Progress() as show:
            try:
                results[name] = reproduce_claim(
                    claim,
                    out,
                    scale=scale,
                    seeds=seeds,
                    data_dir=data_dir,
                    train=training,
                    jobs=jobs,
                    engine=engine,
                    scheduler=scheduler,
                    slurm=slurm_parameters(slurm),
                    progress=show,
                )
            except KeyboardInterrupt:
                show.close()
                click.echo("Stopped. The same command continues the reproduction.", err=True)
                sys.exit(130)
        command = f"slingshot reproduce {name} --scale {scale}{f' --seeds {seeds}' if seeds else ''}"
        figures = _keep(name, claim, command, results[name], Path(out), kinds)
        if form == "text":
            _print(name, claim, command, results[name], figures)
        print_errors(results[name].problems)
    if form == "json":
        documents = [{"claim": name} | result.to_dict() for name, result in results.items()]
        click.echo(json.dumps(documents, indent=2))
    if any(result.problems for result in results.values()):
        sys.exit(1)


def _keep(name: str, claim: Claim, command: str, result: Result, out: Path, kinds: list[str]) -> list[Path]:
    """Write the verdict and, where there are runs, the figure; return the files of the figure."""
    from slingshot_analysis.files import replaced
    from slingshot_analysis.report.paper import PaperRun, save_figure
    from slingshot_analysis.trace import open_trace

    try:
        out.mkdir(parents=True, exist_ok=True)
        with replaced(out / f"{name}-{result.scale}.json") as aside:
            document = {"claim": name, "command": command} | result.to_dict()
            aside.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out}: can't be written ({error.strerror}); choose another out=") from error
    if not result.measured:
        return []
    runs = [PaperRun(open_trace(run.analysis.path), run.analysis) for run in result.measured]
    return save_figure(claim.draws, runs, out, name, kinds)


def _print(name: str, claim: Claim, command: str, result: Result, figures: list[Path]) -> None:
    found, made = result.finding, len(result.measured)
    click.echo(f"{name}: {found.verdict}")
    click.echo(f"  claim: {claim.title}")
    click.echo(f"  rule: {claim.rule}")
    if claim.changed:
        click.echo(f"  the rule was changed: {claim.changed}")
    click.echo(f"  found: {found.because}")
    click.echo(f"  n: {found.n}; {made} of {result.planned} runs were made")
    if not made:
        cost = f", about {claim.core_hours:g} core-hours" if result.scale == "small" else ""
        click.echo(f"  not run here: {command} makes {result.planned} runs{cost}")
    for figure in figures:
        click.echo(f"  figure: {figure}")


def _list_claims(form: str) -> None:
    from trainers.claims import CLAIMS

    rows = [_row(name, claim) for name, claim in CLAIMS.items()]
    if form == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    from rich.table import Table

    from cli._console import open_console

    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("figures", overflow="fold")
    for heading in ("runs", "updates", "core-hours"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("claim", overflow="fold")
    for row in rows:
        small = row["small"]
        counts = f"{small['runs']:,}", f"{small['updates']:,}", f"{row['core_hours']:g}"
        table.add_row(row["name"], row["figures"], *counts, row["title"])
    console = open_console()
    console.print(table)
    console.print("Runs, updates and core-hours are those of --scale small. --format json has the rules too.")


def _row(name: str, claim: Claim) -> dict[str, Any]:
    from trainers.claims import planned_runs

    shown = ("title", "figures", "rule", "core_hours", "shortened", "changed")
    row: dict[str, Any] = {"name": name} | {field: getattr(claim, field) for field in shown}
    for scale in SCALES:
        runs = planned_runs(claim, scale)
        row[scale] = {"sweeps": list(claim.sweeps[scale]), "runs": len(runs), "updates": sum(r.steps for r in runs)}
    return row
