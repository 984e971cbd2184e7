"""No command line grows with a study: jobs that read all cells or datasets have a list of them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml

from project import planned

READERS = {"collect_results", "plot", "write_report"}


def longest(clone, study):
    """Return how long the longest command of each script is."""
    said = planned(clone.folder, "-n", "-p", "--forceall", "all", "--config", f"study={study}")
    found = {}
    for script, rest in re.findall(r"python \S+/scripts/(\w+)\.py (.*)$", said, re.MULTILINE):
        found[script] = max(len(rest), found.get(script, 0))
    return found


def test_commands_are_as_long_in_a_study_of_ten_times_the_cells(fresh):
    content = yaml.safe_load((fresh.folder / "config/studies/micro.yaml").read_text())
    for block in content["blocks"]:
        block["replicates"] = 10
    (fresh.folder / "config/studies/wider.yaml").write_text(yaml.safe_dump(content))
    small, large = longest(fresh, "micro"), longest(fresh, "wider")
    assert small.keys() == large.keys() > READERS
    # A replicate's number has one digit more, in each of some paths.
    assert all(large[script] <= small[script] + 20 for script in small)


def test_a_job_reads_the_list_of_its_own_inputs(copied):
    clone = copied
    lists = clone.folder / "results/micro/state/lists"
    expected = {
        str(path.relative_to(clone.folder)) for path in clone.results("evaluations/**/*.json")
    }
    assert expected in [set(path.read_text().split()) for path in lists.iterdir()]
    # A list of an earlier run is not taken for it, and does not stay.
    for path in lists.iterdir():
        path.write_text("")
    (lists / "0123456789abcdef.txt").write_text("results/micro/of/an/earlier/run.json\n")
    tables = {path.name: path.read_bytes() for path in clone.results("tables/cells.csv")}
    done = clone.snakemake("collect_results", "--forcerun", "collect_results")
    assert done.returncode == 0, done.stdout
    (own,) = lists.iterdir()
    assert set(own.read_text().split()) == expected
    assert {path.name: path.read_bytes() for path in clone.results("tables/cells.csv")} == tables


@pytest.mark.parametrize("script", ["collect_results", "plot"])
def test_a_list_that_nobody_wrote_is_named(fresh, script):
    options = {"collect_results": ["--evaluations", "@gone.txt"]}
    given = options.get(script, ["--datasets", "@gone.txt"])
    done = subprocess.run(
        [sys.executable, f"scripts/{script}.py", *given],
        cwd=fresh.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "gone.txt: No such file or directory; `snakemake` writes it" in done.stderr
