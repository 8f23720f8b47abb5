"""Many files: other processes give what this one gives, in order, and a bad file hinders no other."""

import json
import os
import pickle
import sys
from pathlib import Path

import pytest
from made_runs import write_staircase

from slingshot_analysis import InputError
from slingshot_analysis.many_runs import analyze_files, thin_curves
from slingshot_analysis.readers import read_log


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    transitions = [6000, 4000, None, 7000, 5000, 6500]
    made = [write_staircase(folder / f"{i}.h5", at, attributes={"seed": i}) for i, at in enumerate(transitions)]
    bad = folder / "bad.h5"
    bad.write_text("not a trace")
    return [*made[:3], bad, *made[3:], folder / "missing.h5"]


@pytest.mark.skipif(sys.platform != "linux", reason="files are read in a child process on Linux only")
def test_one_child_process_opens_file_after_file(files, monkeypatch):
    forks, fork = [], os.fork
    monkeypatch.setattr(os, "fork", lambda: forks.append(None) or fork())
    good = [path for path in files if path.stem.isdigit()]
    assert not any(found.problems for found in analyze_files(good))
    assert len(forks) == 1


def length(run, analysis):
    return len(run["batch_loss"]), len(analysis.slingshots)


def fail_of_one(path):
    if Path(path).stem == "1":
        raise ZeroDivisionError("of this\nreader")
    return read_log(path)


def refuse_to_keep(run, analysis):
    raise PermissionError("no place")


class Unpicklable:
    def __reduce__(self):
        raise RuntimeError("stays here")


def keep_unpicklable(run, analysis):
    return Unpicklable()


def process(run, analysis):
    return os.getpid()


def die_of_one(path):
    if Path(path).stem == "1":
        os._exit(1)
    return read_log(path)


def test_other_processes_give_the_same_in_the_same_order_and_one_that_dies_takes_only_its_file_with_it(files):
    here = list(analyze_files(files, keep=length))
    assert [result.file for result in here] == list(map(str, files))
    assert [len(result.analyses) for result in here] == [1, 1, 1, 0, 1, 1, 1, 0]
    assert [result.kept for result in here][:4] == [((1000, 1),), ((1000, 1),), ((1000, 0),), ()]
    assert [bool(result.problems) for result in here] == [False] * 3 + [True] + [False] * 3 + [True]
    assert "bad.h5" in here[3].problems[0]
    there = list(analyze_files(files, jobs=2, read=die_of_one, keep=length))
    assert [there[0], *there[2:]] == [here[0], *here[2:]]
    assert (there[1].file, there[1].analyses) == (here[1].file, ())
    assert "died" in there[1].problems[0]


@pytest.mark.parametrize("jobs", [1, 2])
def test_any_error_is_the_problem_of_its_file_alone(files, jobs):
    found = list(analyze_files(files[:3], jobs=jobs, read=fail_of_one))
    assert [result.problems for result in found] == [(), (f"{files[1]}: ZeroDivisionError: of this reader",), ()]
    assert [len(result.analyses) for result in found] == [1, 0, 1]
    (only,) = analyze_files(files[:1], jobs=jobs, keep=refuse_to_keep)
    assert (len(only.analyses), only.kept) == (1, (None,))
    assert only.problems == (f"{files[0]}: PermissionError: no place",)


def test_what_does_not_come_back_is_not_taken_for_a_dead_worker(files):
    (only,) = analyze_files(files[:1], jobs=2, keep=keep_unpicklable)
    assert "stays here" in only.problems[0]
    assert "died" not in only.problems[0]


def test_files_given_again_are_analyzed_once(files, tmp_path, monkeypatch):
    monkeypatch.chdir(files[0].parent)
    (tmp_path / "link.h5").symlink_to(files[0])
    *found, last = analyze_files([files[0], "0.h5", "./0.h5", tmp_path / "link.h5", files[2]])
    assert [result.file for result in found] == [str(files[0]), str(files[2])]
    assert last.notes == ("files given more than once are analyzed once: 3, the first 0.h5",)
    assert (last.analyses, last.problems) == ((), ())


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("0.h5.labels.json", {"format": "slingshot-labels", "version": 1, "runs": {}}, "the labels of a run"),
        ("manifest.json", {"format": "slingshot-sweep", "version": 1, "probes": []}, "the manifest of a sweep"),
        ("found.json", {"format": "slingshot-analysis", "version": 1}, "an analysis"),
    ],
)
def test_what_we_write_beside_runs_is_left_out(files, tmp_path, name, text, what):
    path = tmp_path / name
    path.write_text(json.dumps(text, indent=1))
    skipped, run = analyze_files([path, files[0]])
    assert (skipped.problems, len(run.analyses)) == ((), 1)
    assert skipped.notes == (f"left out: {path}: holds {what}, and no run; give the run itself",)


def test_a_problem_of_all_runs_of_a_file_is_told_once(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("seed,step,note,other\n" + "".join(f"{s},{t},{t},1\n" for s in range(3) for t in range(5)))
    (found,) = analyze_files([path])
    assert len(read_log(path)) == 3
    assert len(found.problems) == 1


def test_one_job_works_in_this_process(files):
    assert {pid for result in analyze_files(files[:2], keep=process) for pid in result.kept} == {os.getpid()}


def test_results_are_small(files):
    (result,) = analyze_files(files[:1])
    assert len(pickle.dumps(result)) < 10_000 < Path(files[0]).stat().st_size


def test_an_engine_that_is_not_there(files):
    with pytest.raises(InputError, match="unknown engine 'clouds'"):
        list(analyze_files(files, engine="clouds", jobs=2))


def test_a_dask_cluster_gives_the_same(files, dask_cluster):
    address, _ = dask_cluster

    def keep(run, analysis):
        return thin_curves(run)

    here, there = (list(analyze_files(files[:4], keep=keep, **engine)) for engine in (
        {}, {"engine": "dask", "scheduler": address}
    ))  # fmt: skip
    assert [(one.analyses, one.problems) for one in there] == [(one.analyses, one.problems) for one in here]
    assert there[0].kept[0]["loss"].value.tolist() == here[0].kept[0]["loss"].value.tolist()
