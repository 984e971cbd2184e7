"""What other tools read of this repository: the workflow catalog, and Snakemake's own report."""

import re
from pathlib import Path

import yaml

from seedbed.analysis.report.captions import CAPTIONS
from seedbed.config.folders import ConfigFolders
from seedbed.study.cells import grid
from seedbed.study.figures import ABLATIONS, figures
from seedbed.study.loading import load_study

ROOT = Path(__file__).parents[2]


def test_the_catalog_is_told_what_works():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"]["conda"] is True
    assert usage["software-stack-deployment"]["report"] is True
    assert (ROOT / "config/README.md").is_file()
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme


def test_each_figure_has_a_caption_in_the_report():
    rules = (ROOT / "rules/figures.smk").read_text()
    charts = set(re.findall(r'^    "(\w+)": \(', rules, re.MULTILINE))
    assert charts == CAPTIONS.keys() and {*figures(grid(micro())), *ABLATIONS} <= charts
    assert 'reported(f"figures/{chart}.svg", chart' in rules
    captions = {path.stem for path in (ROOT / "report/captions").glob("*.rst")}
    assert captions == charts | {"page", "summary"}


def micro():
    return load_study("micro", ConfigFolders((ROOT / "config",)))


def test_rules_name_captions_that_are_there():
    found = [
        name
        for file in ROOT.glob("rules/*.smk")
        for name in re.findall(r'reported\("[^"]+", "(\w+)"', file.read_text())
    ]
    assert len(found) == 2
    for name in found:
        assert (ROOT / f"report/captions/{name}.rst").is_file()
