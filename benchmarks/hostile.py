"""Measure what files that are damaged, or made to do harm, cost at full size: seconds and memory of each verb.

Each file of ``tests/readers/hostile_files.py`` is given to each verb in a process of its own. The bounds are 20 s of
processor time, 3 GB, and exit status 0 or 2. Run ``python benchmarks/hostile.py [NAME ...]``.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "readers"))
import hostile_files

VERBS = ("analyze", "inspect", "label", "evaluate")
MOST_SECONDS, MOST_MEGABYTES = 20, 3000
KILLED_AFTER = 120


def measure(verb: str, path: Path) -> tuple[int, float, float, float, str]:
    """Return the exit status of a verb, its processor and wall seconds, its memory in MB, and its last line."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            ["timeout", "-k", "1", str(KILLED_AFTER), sys.executable, "-m", "cli.main", verb, str(path)],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        lines = out.read().decode(errors="replace").strip().splitlines()
    said = next((line for line in lines if "Traceback" in line), lines[-1] if lines else "")
    return (
        process.returncode,
        used.ru_utime + used.ru_stime,
        time.perf_counter() - began,
        used.ru_maxrss / 1024,
        said,
    )


def main(names: list[str]) -> None:
    """Print a line for each file and verb, and mark those beyond a bound."""
    hostile_files.SCALE = 20
    print(f"{'file':45} {'verb':9} {'exit':>4} {'CPU s':>7} {'wall s':>7} {'MB':>6}")
    beyond = 0
    for name in names or list(hostile_files.HOSTILE):
        with tempfile.TemporaryDirectory() as folder:
            path = hostile_files.HOSTILE[name](Path(folder))
            for verb in VERBS:
                status, cpu, wall, memory, said = measure(verb, path)
                bad = status not in (0, 2) or cpu > MOST_SECONDS or memory > MOST_MEGABYTES or "Traceback" in said
                beyond += bad
                mark = f"  BEYOND  {said[:100]}" if bad else ""
                print(f"{name:45} {verb:9} {status:4} {cpu:7.1f} {wall:7.1f} {memory:6.0f}{mark}", flush=True)
    print(f"beyond a bound: {beyond}")


if __name__ == "__main__":
    main(sys.argv[1:])
