"""Write the table of docs/claims.md from the results of ``slingshot reproduce``.

Run it from the project's root. With a folder it first takes over the results and figures of that folder::

    slingshot reproduce features --out claims
    python benchmarks/claims_page.py claims
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import click

from trainers.claims import CLAIMS, Claim, planned_runs

PAGE = Path(__file__).parents[1] / "docs" / "claims.md"
RESULTS = PAGE.parent / "claims"
BEGIN, END = "<!-- table -->", "<!-- end of the table -->"
HEADINGS = ("claim", "figures", "verdict", "found", "n", "rule", "runs", "command", "training", "versions", "figure")


def cell(text: str) -> str:
    """Return a text that stays in its cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def row(name: str, claim: Claim, result: dict[str, Any] | None) -> list[str]:
    """Return the cells of a claim; without a result, what its runs would cost."""
    command = f"`slingshot reproduce {name} --scale small`"
    planned = planned_runs(claim, "small")
    runs = f"small: {len(planned)} runs, {sum(run.steps for run in planned):,} updates"
    start = [f"**{name}**: {claim.title}", claim.figures]
    rule = f"{claim.rule} The rule was changed: {claim.changed}" if claim.changed else claim.rule
    if result is None or not result["runs"]:
        found = f"not run here; it costs about {claim.core_hours:g} core-hours"
        return [*start, "**not decided**", found, "0", rule, runs, command, "–", "–", claim.draws]
    made = f"{runs}; {result['runs']} of {result['planned']} were made"
    libraries = result["versions"]
    versions = f"torch {libraries['torch']}, {libraries.get('cpu_kernels', '')}"
    minutes = f"{result['seconds'] / 60:.0f} min"
    picture = f"[{claim.draws}](claims/{name}.png)"
    command = f"`{result['command']}`"
    verdict, found = f"**{result['verdict']}**", result["because"]
    return [*start, verdict, found, result["n"], rule, made, command, minutes, versions, picture]


def table() -> str:
    """Return the table of all claims."""
    lines = [HEADINGS, ["---"] * len(HEADINGS)]
    for name, claim in CLAIMS.items():
        file = RESULTS / f"{name}-small.json"
        lines.append(row(name, claim, json.loads(file.read_text(encoding="utf-8")) if file.exists() else None))
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines)


def page() -> str:
    """Return the page with its table made anew."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path | None) -> None:
    """Write the table, with the results of FOLDER."""
    RESULTS.mkdir(exist_ok=True)
    for file in sorted(folder.glob("*-small.json")) if folder else ():
        name = file.stem.removesuffix("-small")
        if json.loads(file.read_text(encoding="utf-8"))["runs"]:
            shutil.copy(file, RESULTS)
            shutil.copy(file.with_name(f"{name}.png"), RESULTS)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
