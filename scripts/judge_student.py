"""Have a judge grade a student's answers to a task's test items.

The judge's answers enter the response cache as they arrive, so a killed job resumes from there.
Writes three files: verdicts.parquet, the judge's prompts and answers, one row per request;
predictions.parquet, one row per item; and evaluation.json with the scores, as `evaluate_student`
does. If the task has labels (answers graded by hand), the judge grades these first, once for all
students of the task. Each evaluation then states the agreement between judge and labels.

If the judge had to be loaded, the job then grades the answers of the students in --pending.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedbed.artifacts import read_metadata, whole_file, write_parquet
from seedbed.command_line import Checked, json_of, json_value, option, optional, run
from seedbed.config.words import Coordinates
from seedbed.engines import Completion, Request
from seedbed.engines.pending_jobs import PendingJudging, claimed
from seedbed.evaluation.evaluation import summarise
from seedbed.evaluation.judge import Posed, grades, judge
from seedbed.evaluation.judged import check_answered, graded_answers, posed_answers
from seedbed.evaluation.labels import agreement, read_labels
from seedbed.evaluation.record import Agreement, EvaluationRecord, Judged
from seedbed.evaluation.settings import JudgingSettings
from seedbed.evaluation.students import costs
from seedbed.progress import reporter
from seedbed.provenance import Provenance, provenance
from seedbed.streams.options import Asking, Sharing
from seedbed.tasks.items import read_items


@dataclass(frozen=True, kw_only=True)
class Options(Asking, Sharing, Checked):
    """Whose answers to grade, and how."""

    cell: Coordinates = option(json_value, "coordinates of the cell, as JSON")
    test: Path = option(whole_file, "test.parquet of the task")
    answers: Path = option(whole_file, "the student's answers")
    settings: JudgingSettings = option(
        json_of(JudgingSettings), "rubric, form of the verdict and limits, as JSON"
    )
    labels: Path | None = optional(whole_file, "answers that were graded by hand")
    labels_cache: Path = option(Path, "folder of the response cache of their verdicts")
    dataset: Path | None = optional(whole_file, "JSON of the adapter's dataset")
    trained: Path | None = optional(whole_file, "training.json of the adapter")
    verdicts: Path = option(Path, "Parquet file to write")
    predictions: Path = option(Path, "Parquet file to write")
    scores: Path = option(Path, "JSON file to write")


def job(args: Options) -> None:
    """Have a student's answers graded."""
    args.check(args.test, args.answers, args.dataset, args.trained)
    report = reporter("judge_student")
    settings, options = args.settings, args.settings.options
    engine = args.starting(report)
    made_by = provenance(__file__, [args.engine.module])
    seconds: list[float] = []

    def verdicts(folder: Path, posed: Sequence[Posed]) -> pl.DataFrame:
        kept = args.response_cache(folder)

        def ask(requests: Sequence[Request]) -> Iterable[Completion]:
            for completion in kept.complete(engine.start, requests, report):
                seconds.append(completion.seconds)
                yield completion

        return judge(settings, posed, ask)

    agreed = None
    if args.labels is not None:
        labelled, given = read_labels(args.labels, options)
        with claimed(args.labels_cache, args.labels, report):
            of_labels = verdicts(args.labels_cache, labelled)
        check_answered(of_labels)
        found = grades(options, of_labels)
        agreed = agreement(given, [found[one.key] for one in labelled])
        report(_agreement(agreed))
    seconds.clear()
    items, answers = read_items(args.test), pl.read_parquet(args.answers)
    with claimed(args.cache, args.scores, report):
        said = verdicts(args.cache, posed_answers(items, answers))
    write_parquet(args.verdicts, said, {"cell": args.cell, "settings": settings.content()})
    predictions, judged = graded_answers(options, items, answers, said)
    if agreed is not None:
        judged = judged.model_copy(update={"agreement": agreed})
    write_evaluation(args, predictions, judged, said, round(sum(seconds), 3), made_by)
    report(f"{int(predictions['correct'].sum())} of {predictions.height} right")

    def share(job: PendingJudging) -> None:
        verdicts(job.cache, posed_answers(items, pl.read_parquet(job.answers)))

    engine.share(args.pending, args.scores, args.runtime, PendingJudging, share)


def write_evaluation(
    args: Options,
    predictions: pl.DataFrame,
    judged: Judged,
    verdicts: pl.DataFrame,
    seconds: float,
    made_by: Provenance,
) -> None:
    """Write the predictions, and then the scores with the counts and durations.

    Args:
        args: the command line.
        predictions: rows of `graded_answers`.
        judged: the judge's part of the evaluation record.
        verdicts: rows of the judge's verdicts.
        seconds: how long the judge took.
        made_by: code and versions.
    """
    counts, taken = costs(args.dataset, args.trained)
    answered = sum(pl.read_parquet(args.answers, columns=["seconds"])["seconds"].to_list())
    write_parquet(args.predictions, predictions, {"cell": args.cell})
    scores = summarise(predictions)
    record = EvaluationRecord(
        judged=judged,
        model=str(read_metadata(args.answers)["model"]),
        counts={
            **counts,
            "judge_queries": verdicts.height,
            "judge_unreadable": judged.unreadable,
            "judge_prompt_tokens": int(verdicts["prompt_tokens"].sum()),
            "judge_completion_tokens": int(verdicts["completion_tokens"].sum()),
        },
        seconds={**taken, "evaluation": round(answered, 3), "judging": seconds},
        cell=args.cell,
        settings=args.settings.content(),
        **made_by,
        **{name: getattr(scores, name) for name in scores.model_fields_set},
    )
    record.write(args.scores)


def _agreement(found: Agreement) -> str:
    if found.kappa is None:
        return f"no agreement with {found.labels} labels can be stated"
    return (
        f"agreement with {found.labels} labels: weighted kappa {found.kappa:.2f} "
        f"({found.kappa_low:.2f} to {found.kappa_high:.2f}), {found.same:.0%} the same"
    )


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, (ValueError,))


if __name__ == "__main__":
    main()
