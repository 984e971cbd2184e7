"""Hooks of a run: before planning, before the first job, and after the last job."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakemake.exceptions import WorkflowError

from seedbed.config.documents import StudyError, read_document
from seedbed.config.folders import ConfigFolders
from seedbed.run import snakemake_internals as internals
from seedbed.run.explaining import explanation
from seedbed.run.jobs import own_name, rename, rule_name
from seedbed.run.manifest import Manifest
from seedbed.run.owners import RESULTS_FOLDER, Sign, this_run
from seedbed.run.partitions import Partitions, write_offers
from seedbed.run.paying import Paying
from seedbed.run.planning import Planner
from seedbed.run.progress import PLANNING_FOLDER, Progress, measured_seconds
from seedbed.run.record import RUN_FILE
from seedbed.run.recovery import Tenancy, note_begun, note_ended
from seedbed.run.renames import old_folders, refusal, rename_folders
from seedbed.run.requests import Site, check_jobs, partitions_of
from seedbed.run.scheduling import plan_by
from seedbed.run.shared import Shared
from seedbed.run.slurm import check_status_command, jobs_of
from seedbed.run.submitting import become_patient, leave_own_allocation, note_own_allocation
from seedbed.run.targets import unknown_target, wrong_kind
from seedbed.run.terminal import Interrupt, is_error
from seedbed.run.writing import can_write, temporary_folder
from seedbed.snakemake_folder import LOCKS, NOTES
from seedbed.study.checks import (
    check_downloads,
    check_keys,
    check_prices,
    check_publishing,
    check_question,
)
from seedbed.study.equivalence import same_result
from seedbed.study.estimate import few_steps
from seedbed.study.job_settings import ASKING
from seedbed.study.paths import RESOURCES
from seedbed.study.resources import ENDPOINT, ENDPOINT_ROOM
from seedbed.training.record import rows_left_out

if TYPE_CHECKING:
    from snakemake.jobs import Job

QUESTIONS = frozenset({"adopt", "adopt_confirmed", "explain", "quote"})
"""Targets that change no result."""

ANALYSIS = frozenset({"collect_results", "fit_decay", "advise"})
"""Rules that the target `advise` alone may run."""

DATA = frozenset({*ASKING, "build_dataset"})
"""Rules that ask teachers and augmenters, and build datasets from their answers."""

WARNINGS = 5
"""The most warnings about streams with many losses at the end of a run."""


def begin(workflow: internals.Workflow, logger: logging.Logger) -> tuple[ConfigFolders, Interrupt]:
    """Set up error messages and the handling of Ctrl-C, and find the configuration.

    Args:
        workflow: the workflow that is being read.
        logger: Snakemake's logger.

    Returns:
        The folders of the configuration, and the handler of Ctrl-C.

    Raises:
        WorkflowError: if `config.yaml` cannot be read. Snakemake reads it too, but its error names
            neither the file nor the line.
    """
    internals.name_user()
    internals.filter_errors(logger, is_error)
    interrupt = Interrupt()
    if internals.is_main(workflow):
        interrupt.watch(logger)
    folders = ConfigFolders.of_run()
    try:
        read_document(folders.find("config.yaml"))
    except StudyError as error:
        raise WorkflowError(str(error)) from None
    return folders, interrupt


class Hooks:
    """The hooks of one run of the workflow: before it, at its start and at its end.

    Args:
        workflow: the workflow that is being read.
        logger: Snakemake's logger.
        rules: the Snakefile's global `rules`.
        shared: objects that all rules share.
        interrupt: knows whether Ctrl-C was pressed.
    """

    def __init__(
        self,
        workflow: internals.Workflow,
        logger: logging.Logger,
        rules: Any,
        shared: Shared,
        interrupt: Interrupt,
    ) -> None:
        self._workflow, self._logger, self._rules = workflow, logger, rules
        self._shared, self._flow, self._interrupt = shared, shared.flow, interrupt
        config, flow, folders = shared.run, shared.flow, shared.folders
        self._results = Path(flow.results)
        self._begun = Path(flow.state, "begun.jsonl")
        self._site = Site(config.gpu_request, config.cores_per_gpu)
        self._partitions: Partitions | None = None  # If the run submits its jobs to SLURM.
        self._planning: Sign | None = None  # While the run is planned.
        self._progress: Progress | None = None
        self._paying = Paying(flow)
        self._tenancy = Tenancy(Path.cwd(), flow.study.name, self._results, logger.info)
        # The main process decides by the content of files which results are stale.
        internals.ignore_dates(workflow)
        if internals.is_main(workflow):
            self.planner = Planner(
                Manifest([flow.results, RESOURCES]), shared.code, same_result, folders=folders
            )
            self._statuses = plan_by(
                workflow, self.planner, self._skip, self._take_over, self._planned
            )
            internals.before_plan(workflow, self._check_targets)
            # Compute nodes often have no network, and such a job would hold one while it waits.
            internals.run_here(lambda job: self._waits(job.rule, job.wildcards_dict))
            internals.before_run(workflow, self._prepare, self._finish)
            internals.before_unlock(workflow, self._check_unlock)
            internals.when_locked(workflow, self._note_lock)
        elif internals.is_job(workflow):
            internals.take_whole_allocation()
        if internals.is_module(workflow):
            if internals.has_prefix(workflow):
                raise WorkflowError(
                    "this workflow writes to results/ and resources/ of the working directory: "
                    "leave out `prefix` and `replace_prefix` of the module"
                )
            end = (lambda: self.end(True)), (lambda: self.end(False))
            internals.run_handlers(workflow, self.start, *end)

    def rules_are_read(self) -> None:
        """Complete all rules, once the Snakefile has been read."""
        names = internals.names_of_rules(self._rules)
        rename(names)
        for rule in internals.rules_of(self._workflow):
            self._shared.command.complete(rule)
            if own_name(rule.name) in ASKING:
                internals.set_cores(rule, partial(self._cores, rule))
        internals.limit(self._workflow, ENDPOINT, ENDPOINT_ROOM)
        internals.show_names(self._workflow, names)
        internals.keep_signatures(self._workflow)

    # --- before jobs are planned

    @cached_property
    def _targets(self) -> list[str]:
        return [*map(own_name, internals.targets_of(self._workflow))]

    @cached_property
    def advice_alone(self) -> bool:
        """Whether `advise` is the only target that runs jobs.

        This is not known before jobs are planned.
        """
        return {*self._targets} - QUESTIONS == {"advise"}

    @cached_property
    def _changes(self) -> bool:
        """Whether this run may write: not a dry run, not a question, and no read-only folder."""
        return (
            not internals.shows_only(self._workflow)
            and QUESTIONS.isdisjoint(self._targets)
            and not self._closed
        )

    @cached_property
    def _closed(self) -> list[str]:
        """The read-only folders among those that a run writes to."""
        needed = {
            str(NOTES): [LOCKS],
            str(self._results): [
                self._results / "manifest.jsonl",
                self._results / RESULTS_FOLDER,
            ],
        }
        return [place for place, files in needed.items() if not all(map(can_write, files))]

    def _check_targets(self) -> None:
        """Refuse targets that no rule makes, and let Snakemake plan in read-only folders."""
        self._check_names()
        spends = self._flow.study.config.spend is not None
        if (said := wrong_kind(self._targets, self._flow.study.name, spends)) is not None:
            raise WorkflowError(said)
        rules = internals.rules_of(self._workflow)
        for target in self._targets:
            if (said := unknown_target(rules, target, self._flow.files)) is not None:
                raise WorkflowError(said)
        if not can_write(LOCKS):
            internals.borrow_notes(NOTES, temporary_folder)
        if "explain" in self._targets or not can_write(LOCKS):
            # Planning may include protected files, because `start` stops before any job writes.
            internals.allow_protected()

    def _check_names(self) -> None:
        """Refuse results whose folders have names of earlier versions, or rename them and exit."""
        if not old_folders(self._results):
            return
        if internals.shows_only(self._workflow) or "adopt_confirmed" not in self._targets:
            spends = self._flow.study.config.spend is not None
            raise WorkflowError(refusal(self._results, spends))
        try:
            found = rename_folders(self._results, Path.cwd(), self._logger.info)
        except (OSError, RuntimeError) as error:
            raise WorkflowError(str(error)) from None
        sys.stdout.write(f"Renamed in {self._results}: {', '.join(found)}.\n")
        sys.stdout.flush()
        raise SystemExit

    def _prepare(self, slurm: bool, partitions: Path | None) -> None:
        """Clean up after killed runs, and read the limits of the cluster's partitions."""
        self._check_names()  # Before this run writes its sign into a folder with a present name.
        if not self._changes:
            return
        try:
            note_own_allocation()
            if slurm:
                leave_own_allocation()
            self._tenancy.take_over(slurm)
            self._say_planning()
            if slurm:
                self._partitions = partitions_of(partitions)
                write_offers(self._partitions.offers)
        except (ValueError, RuntimeError) as error:
            raise WorkflowError(str(error)) from None

    def _say_planning(self) -> None:
        """Leave a sign that this run is being planned: minutes for tens of thousands of cells."""
        folder = self._results / PLANNING_FOLDER
        for left in folder.glob("*.json"):
            left.unlink(missing_ok=True)
        self._planning = Sign(this_run(self._flow.study.name, Path.cwd(), [], None), folder)

    def _end_planning(self) -> None:
        if self._planning is not None:
            self._planning.take_back()
            self._planning = None

    def _cores(self, rule: Any, wildcards: Mapping[str, str]) -> int:
        """Return the number of cores that a job occupies."""
        return 0 if self._waits(rule, wildcards) else 1

    def _waits(self, rule: Any, wildcards: Mapping[str, str]) -> bool:
        """Return whether a job of a rule only waits for an endpoint."""
        models = self._flow.asked_models([(own_name(rule.name), dict(wildcards))])
        return any(self._flow.study.engine(name).kind == "openai" for name in models)

    def _finish(self) -> None:
        """Remove all signs of this run."""
        self._end_planning()
        self._tenancy.end()

    def _note_lock(self, files: list[Path]) -> None:
        """Record the owner of the lock, so that the next run can lift it if this one is killed."""
        if self._changes:
            self._tenancy.locked(files)

    def _check_unlock(self) -> None:
        """Refuse to remove the lock of a run that is alive."""
        try:
            self._tenancy.check_unlock()
        except RuntimeError as error:
            raise WorkflowError(str(error)) from None

    def _take_over(self, jobs: Iterable[Job]) -> bool:
        """Record the results of a killed run's jobs; return whether this run may write."""
        if self._changes:
            note_ended(self._begun, self.planner, jobs, self._logger.info)
        return self._changes

    def _planned(self, jobs: Iterable[Job]) -> None:
        """Warn about planned trainings with few steps, and include new jobs."""
        jobs = [*jobs]
        if self._progress is not None:
            # A checkpoint's decision has added these jobs during the run.
            self._note(jobs)
            self._progress.grow()
        trained = (job for job in jobs if rule_name(job) == "train_student")
        cells = [self._flow.cell(job.wildcards_dict["trained_cell"]) for job in trained]
        if (said := few_steps(self._flow.study, cells)) is not None:
            self._logger.warning(said)

    def _check_advice(self, planned: Sequence[str]) -> None:
        """Refuse advice if jobs would run first that query models or train students."""
        first = [name for name in planned if name not in (*ANALYSIS, *QUESTIONS)]
        if not first:
            return
        study = self._flow.study.name
        counts = [f"{first.count(name):,} {name}" for name in dict.fromkeys(first)]
        raise WorkflowError(
            f"advise answers from results, and {len(first):,} jobs would run first, whose results "
            f"are missing or stale: {', '.join(counts)}. `snakemake evaluations --config "
            f"study={study}` runs them; with `partial=true`, advise answers from what has been "
            "evaluated."
        )

    def _skip(self, job: Job) -> None:
        """Count a skipped job as done."""
        if self._progress is not None:
            self._progress.skip(job)

    # --- before the first job; not called in a dry run

    def start(self) -> None:
        """Answer a question, or check and set up everything that the jobs need.

        Raises:
            SystemExit: after the answer to a question.
            WorkflowError: if jobs lack something that they need.
        """
        workflow = self._workflow
        jobs = [*internals.Jobs(workflow).needed()]
        self._answer({rule_name(job) for job in jobs})
        made = [str(file) for job in jobs for file in job.output]
        if internals.is_main(workflow) and made and self._closed:
            raise WorkflowError(
                f"{self._closed[-1]} may only be read here, and {len(made)} files would be made: "
                "`snakemake explain` says why. quote, explain, advise and -n need not write there."
            )
        try:
            self._check(jobs)
            self._begin(jobs)
        except (StudyError, RuntimeError) as error:
            raise WorkflowError(str(error)) from None
        internals.look_once_at_a_time(workflow)
        internals.make_room(workflow, ENDPOINT_ROOM)
        if internals.is_main(workflow) and made:
            self._note(jobs)
            self._shared.lists.write(jobs)
            self._paying.open()
            self._follow(asks=not DATA.isdisjoint(map(rule_name, jobs)))
        self._end_planning()

    def _note(self, jobs: Iterable[Job]) -> None:
        """Write the planned outputs, for the next run and for jobs that share a model."""
        jobs = [*jobs]
        note_begun(self._begun, self.planner, jobs)
        self._shared.pending.write(str(file) for job in jobs for file in job.output)

    def _answer(self, asked: set[str]) -> None:
        """Print the answer to a question, and exit."""
        if "explain" in asked:
            answer = explanation(
                self.planner,
                self._statuses,
                rule="explain",
                alone=len([*internals.Jobs(self._workflow).all()]) == 1,
                forced=internals.is_forced(self._workflow),
            )
        elif asked & {"adopt", "adopt_confirmed"}:
            answer = self._adopted("adopt_confirmed" in asked)
        else:
            return
        sys.stdout.write(answer)
        sys.stdout.flush()
        raise SystemExit

    def _adopted(self, confirmed: bool) -> str:
        """Return a text about the results that can be adopted; adopt them if confirmed."""
        # Imported here because it loads PyArrow, which few plans need.
        from seedbed.run.adopting import adopt, review

        jobs, notes = internals.Jobs(self._workflow).all(), internals.notes_of(self._workflow)
        found = review(jobs, self.planner, notes)
        try:
            if confirmed:
                adopt(found, self.planner)
        except OSError as error:
            raise WorkflowError(f"the manifest cannot be written: {error}") from None
        return found.text(confirmed, f"make adopt STUDY={self._flow.study.name} CONFIRM=yes")

    def _check(self, jobs: Sequence[Job]) -> None:
        """Raise an error if jobs lack data, keys or prices that they need."""
        study, asked = self._flow.study, [(rule_name(job), job.wildcards_dict) for job in jobs]
        if self._shared.run.data_dir is None and "get_task" in dict(asked):
            check_downloads(study)
        if "publish" in dict(asked):
            check_publishing(self._shared.run)
        if "advise" in dict(asked):
            check_question(self._shared.run, study, self._shared.folders)
            if self.advice_alone:
                self._check_advice([name for name, _ in asked])
        models = self._flow.asked_models(asked)
        if "decide_purchase" in dict(asked):
            models |= self._flow.to_be_asked()
        check_keys(study, models)
        if self._flow.max_usd is not None:
            check_prices(study, models)

    def _begin(self, jobs: Sequence[Job]) -> None:
        """Leave a sign that this run is alive, and set up the SLURM executor."""
        workflow, name = self._workflow, None
        if self._partitions is not None:
            if (said := self._shared.resources.unknown()) is not None:
                raise RuntimeError(said)
            check_status_command(internals.executor_settings(workflow), self._logger.info)
            check_jobs(jobs, self._partitions, self._site)
            name = become_patient(workflow, self._partitions, self._site)
        if internals.is_main(workflow) and self._changes and (jobs or name):
            self._tenancy.begin(internals.lock_files(workflow), name)

    def _follow(self, asks: bool) -> None:
        """Start the progress display.

        Args:
            asks: whether jobs ask teachers. The run then prints at its end what was lost.
        """
        slurm = internals.sends_to_slurm(self._workflow)
        self._progress = Progress(
            internals.Jobs(self._workflow),
            self._results / RUN_FILE,
            measured_seconds(self._results),
            self._logger.info,
            interrupt=self._interrupt,
            paying=self._paying,
            ending=self._losses if asks else tuple,
            queue=(lambda: jobs_of(Path.cwd())) if slurm else None,
        )
        for handler in self._logger.handlers:
            self._progress.hush(handler)
        self._logger.addHandler(self._progress)
        internals.follow_submissions(self._workflow, self._progress.submitted)
        self._progress.start()

    def _losses(self) -> list[str]:
        """Return lines about paid answers that were lost."""
        # Imported here because it loads Polars, which planning does not need.
        from seedbed.study.losses import losses, summary

        return summary(losses(self._flow), WARNINGS)

    # --- after the last job

    def end(self, well: bool) -> None:
        """Finish the progress display, and print warnings about the run's results."""
        if well and internals.is_main(self._workflow) and self._changes:
            self._begun.unlink(missing_ok=True)
        if self._progress is not None:
            self._progress.end(well)
            records = self._progress.made("train_student", "record")
            if (said := rows_left_out(map(Path, records))) is not None:
                self._logger.warning(said)
            if not well:
                self._shared.pending.keep(self._progress.left())
