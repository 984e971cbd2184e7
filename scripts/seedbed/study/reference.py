"""Generates config/README.md, config/schemas/ and the captions of Snakemake's report.

The reference comes from the classes of the configuration, the captions from those of the study's
page. Run it (`make reference`) after a change of a key or a caption; a test checks that the files
are up to date.
"""

from __future__ import annotations

from pathlib import Path

from seedbed.analysis.decide.settings import Contrast
from seedbed.analysis.report.captions import CAPTIONS
from seedbed.artifacts import write_text
from seedbed.config.reference import page, schema
from seedbed.config.sections import Section
from seedbed.engines.settings import KINDS
from seedbed.streams.settings import MethodConfig
from seedbed.study.config import ModelConfig, RunConfig, StudyConfig, TrainingChanges
from seedbed.tasks.settings import TaskConfig
from seedbed.training.settings import Trainer

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config"
FILES: dict[str, type[Section]] = {
    "config.yaml": RunConfig,
    "studies/NAME.yaml": StudyConfig,
    "tasks/NAME/task.yaml": TaskConfig,
    "methods/NAME.yaml": MethodConfig,
    "models/NAME.yaml": ModelConfig,
    "contrasts/NAME.yaml": Contrast,
}
"""By configuration file, the class of its content."""

SCHEMAS: dict[str, type[Section]] = {
    "config": RunConfig,
    "study": StudyConfig,
    "task": TaskConfig,
    "method": MethodConfig,
    "model": ModelConfig,
    "contrast": Contrast,
}
"""By name of a schema, its class."""

BY_NAME = frozenset((*KINDS.values(), Trainer, TrainingChanges))
"""Sections that the page describes once, and not again where a key maps names to them."""


def reference() -> dict[Path, str]:
    """Return the content of the reference's files, by path."""
    readme = CONFIG / "README.md"
    found = {readme: page(readme.read_text(encoding="utf-8"), FILES, BY_NAME)}
    found |= {CONFIG / "schemas" / f"{name}.json": schema(model) for name, model in SCHEMAS.items()}
    return found | {
        ROOT / "report/captions" / f"{name}.rst": f"**{title}.** {text}\n"
        for name, (title, text) in CAPTIONS.items()
    }


if __name__ == "__main__":
    for path, text in reference().items():
        write_text(path, text)
