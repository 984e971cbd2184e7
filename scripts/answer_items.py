"""Answer a judged task's test items with a student, with or without an adapter.

Works like `evaluate_student`, but writes only the answers, one row per item. A separate job asks
the judge, which may need other GPUs, or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedbed.artifacts import write_parquet
from seedbed.command_line import Checked, json_of, option, run
from seedbed.evaluation.evaluation import item_requests
from seedbed.evaluation.settings import ItemAnswering
from seedbed.evaluation.students import ANSWERS_SCHEMA, Student, StudentOptions
from seedbed.models import read_fingerprint
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.tasks.items import read_items


@dataclass(frozen=True, kw_only=True)
class Options(StudentOptions, Checked):
    """Which student to ask, and what."""

    settings: ItemAnswering = option(
        json_of(ItemAnswering), "prompt, answer_tokens and test_items, as JSON"
    )
    answers: Path = option(Path, "Parquet file to write")

    def check_inputs(self) -> None:
        """Exit with a message if a file that the answers depend on is damaged."""
        folder = self.adapter_folder
        config = None if folder is None else folder / "adapter_config.json"
        model = (self.model / name for name in ("model.json", "model.safetensors"))
        self.check(self.test, *self.adapter, config, *model)


def job(args: Options) -> None:
    """Answer the items."""
    args.check_inputs()
    report = reporter("answer_items")
    settings = args.settings
    items = read_items(args.test)[: settings.test_items]
    requests = item_requests(
        items, settings.prompt, settings.answer_tokens, settings.system, settings.stop
    )
    student = Student(args, args.answers, requests, report)
    rows = {
        int(one.key): {
            "item_id": items[int(one.key)].item_id,
            "prompt": requests[int(one.key)].messages[-1][1],
            "output": one.text,
            "finish_reason": one.finish_reason,
            "prompt_tokens": one.prompt_tokens,
            "completion_tokens": one.completion_tokens,
            "seconds": one.seconds,
        }
        for one in student.answers()
    }
    about = {
        "settings": settings.content(),
        "model": read_fingerprint(args.model),
        **provenance(__file__, [args.engine.module]),
    }
    table = pl.DataFrame([rows[number] for number in range(len(items))], schema=ANSWERS_SCHEMA)
    write_parquet(args.answers, table, about)
    report(f"{table.height} answers")
    student.share()


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
