"""Versions of Snakemake that this project cannot run on are refused in a sentence."""

from pathlib import Path

import pytest
import snakemake
from snakemake.exceptions import WorkflowError

from seedbed.run import snakemake_internals as internals

FILE = Path(internals.__file__)


class Changed:
    """A class of which a method, an argument and an attribute are gone."""

    def __init__(self) -> None:
        self.kept = 1

    def stay(self, kept: int) -> None:
        pass


def test_the_installed_version_has_all_parts():
    assert internals.missing_parts() == []
    assert internals.refusal(snakemake.__version__, []) is None


def test_each_part_that_is_gone_is_named():
    missing = internals.missing_parts(
        {Changed: ("stay", "go")}, {Changed: ("kept", "gone")}, {Changed.stay: ("kept", "lost")}
    )
    assert missing == ["Changed.go", "Changed.gone", "Changed.stay(lost)"]


@pytest.mark.parametrize(
    ("version", "missing"), [("9.27.4", ["DAG.finish"]), ("9.28.0", []), ("8.30.0", ["DAG.finish"])]
)
def test_another_version_is_refused_with_the_one_to_install(version, missing):
    said = internals.refusal(version, missing)
    assert version in said
    assert all(name in said for name in missing)
    assert "pip install 'snakemake==9.27.*'" in said


def test_the_check_is_made_on_import(monkeypatch):
    monkeypatch.setattr(snakemake, "__version__", "10.1.0")
    with pytest.raises(WorkflowError, match=r"Snakemake 10\.1\.0 .*9\.27"):
        exec(compile(FILE.read_text(), FILE, "exec"), {"__name__": "checked"})


def test_private_names_of_snakemake_stand_in_one_file():
    root = FILE.parents[3]
    files = [*root.glob("scripts/**/*.py"), *root.glob("rules/*.smk"), root / "Snakefile"]
    private = {name for names in (*internals.PARTS.values(), *internals.ATTRIBUTES.values())
               for name in names if name.startswith("_") and len(name) > 5}  # fmt: skip
    own = {"_finished", "_running"}  # Also names of objects of this project.
    found = [
        (str(file), name)
        for file in files
        if file != FILE
        for name in private - own
        if f".{name}" in file.read_text()
    ]
    assert found == []
