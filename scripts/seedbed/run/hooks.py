"""What happens around a run: before its jobs are planned, before the first, and after the last."""

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
"""Rules that advice may run by itself."""

DATA = frozenset({*ASKING, "build_dataset"})
"""Rules that ask teachers and augmenters, and make rows of what these say."""

WARNINGS = 5
"""Of streams that lost much, at the end of a run."""


def begin(workflow: internals.Workflow, logger: logging.Logger) -> tuple[ConfigFolders, Interrupt]:
    """Show errors, end on Ctrl-C with a line, and look where the configuration lies.

    Args:
        workflow: that is being read.
        logger: Snakemake's.

    Returns:
        Where the configuration lies; and whether Ctrl-C was pressed.

    Raises:
        WorkflowError: if `config.yaml` cannot be read. Snakemake reads it too, and does not say
            which file it cannot read, nor in which line.
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
    """A run of the workflow, and what is done before, at its start and at its end.

    Args:
        workflow: the run, as Snakemake reads it.
        logger: Snakemake's.
        rules: the rules of the Snakefile, by name.
        shared: what they share.
        interrupt: knows of Ctrl-C.
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
        self._partitions: Partitions | None = None  # Where a run sends jobs to SLURM.
        self._planning: Sign | None = None  # While the run is planned.
        self._progress: Progress | None = None
        self._paying = Paying(flow)
        self._tenancy = Tenancy(Path.cwd(), flow.study.name, self._results, logger.info)
        # What is stale is decided by the content of files, and by the process that starts jobs.
        internals.ignore_dates(workflow)
        if internals.is_main(workflow):
            self.planner = Planner(
                Manifest([flow.results, RESOURCES]), shared.code, same_result, folders=folders
            )
            self._statuses = plan_by(
                workflow, self.planner, self._skip, self._take_over, self._planned
            )
            internals.before_plan(workflow, self._check_targets)
            # Compute nodes often have no network, and would be held while a job waits.
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
        """Take note that all rules are known."""
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
        """Whether advice is asked for, and no target whose results it should wait for.

        It is not known before jobs are planned.
        """
        return {*self._targets} - QUESTIONS == {"advise"}

    @cached_property
    def _changes(self) -> bool:
        """Whether this run may change anything: a dry run does not, nor does a question."""
        return (
            not internals.shows_only(self._workflow)
            and QUESTIONS.isdisjoint(self._targets)
            and not self._closed
        )

    @cached_property
    def _closed(self) -> list[str]:
        """The folders that may only be read."""
        needed = {
            str(NOTES): [LOCKS],
            str(self._results): [
                self._results / "manifest.jsonl",
                self._results / RESULTS_FOLDER,
            ],
        }
        return [place for place, files in needed.items() if not all(map(can_write, files))]

    def _check_targets(self) -> None:
        """Refuse targets that nothing makes, and let Snakemake plan where it may only read."""
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
            # Nothing will be written, so it need not be possible: `start` sees to that.
            internals.allow_protected()

    def _check_names(self) -> None:
        """Refuse results that have names of an earlier version, or rename them, and end."""
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
        """Clear up after runs that were killed, and read what the cluster offers."""
        self._check_names()  # Before this run leaves a sign of itself under the present names.
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
        """Say that this run is planned, which takes minutes for tens of thousands of cells."""
        folder = self._results / PLANNING_FOLDER
        for left in folder.glob("*.json"):
            left.unlink(missing_ok=True)
        self._planning = Sign(this_run(self._flow.study.name, Path.cwd(), [], None), folder)

    def _end_planning(self) -> None:
        if self._planning is not None:
            self._planning.take_back()
            self._planning = None

    def _cores(self, rule: Any, wildcards: Mapping[str, str]) -> int:
        """Return the cores that a job takes from others."""
        return 0 if self._waits(rule, wildcards) else 1

    def _waits(self, rule: Any, wildcards: Mapping[str, str]) -> bool:
        """Return whether a job of a rule only waits for an endpoint."""
        models = self._flow.asked_models([(own_name(rule.name), dict(wildcards))])
        return any(self._flow.study.engine(name).kind == "openai" for name in models)

    def _finish(self) -> None:
        """Take back all that this run said of itself."""
        self._end_planning()
        self._tenancy.end()

    def _note_lock(self, files: list[Path]) -> None:
        """Say whose lock it is, so that the next run lifts it if this one is killed."""
        if self._changes:
            self._tenancy.locked(files)

    def _check_unlock(self) -> None:
        """Keep the lock of a run that is alive."""
        try:
            self._tenancy.check_unlock()
        except RuntimeError as error:
            raise WorkflowError(str(error)) from None

    def _take_over(self, jobs: Iterable[Job]) -> bool:
        """Note what the jobs of a killed run made; return whether this run may change anything."""
        if self._changes:
            note_ended(self._begun, self.planner, jobs, self._logger.info)
        return self._changes

    def _planned(self, jobs: Iterable[Job]) -> None:
        """Say which of the planned trainings have few steps, and take note of new jobs."""
        jobs = [*jobs]
        if self._progress is not None:
            # A decision was made, from which they follow.
            self._note(jobs)
            self._progress.grow()
        trained = (job for job in jobs if rule_name(job) == "train_student")
        cells = [self._flow.cell(job.wildcards_dict["trained_cell"]) for job in trained]
        if (said := few_steps(self._flow.study, cells)) is not None:
            self._logger.warning(said)

    def _check_advice(self, planned: Sequence[str]) -> None:
        """Refuse advice before which students would be trained, or anything asked."""
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
        """Count a job as done that does not run."""
        if self._progress is not None:
            self._progress.skip(job)

    # --- before the first job: a dry run does not come here

    def start(self) -> None:
        """Answer a question, or see to all that the jobs of the run need.

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
                "`snakemake explain` says why. What needs none: quote, explain, advise, -n."
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
        """Write down what is to be made, for a next run, and for jobs that share a model."""
        jobs = [*jobs]
        note_begun(self._begun, self.planner, jobs)
        self._shared.pending.write(str(file) for job in jobs for file in job.output)

    def _answer(self, asked: set[str]) -> None:
        """Print the answer to a question, and end."""
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
        """Return which results are kept as they are, and note them if that was confirmed."""
        # Not for every plan: it takes PyArrow's reader of Parquet.
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
        """Raise an error for what jobs need and have not."""
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
        """Say that this run is alive, and have SLURM's executor wait where it must."""
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
        """Say how far the run is, from here on.

        Args:
            asks: whether its jobs ask teachers, so that it says at its end what became of that.
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
        """Return what became of the answers that were paid for."""
        # Takes Polars, which planning does without.
        from seedbed.study.losses import losses, summary

        return summary(losses(self._flow), WARNINGS)

    # --- after the last job

    def end(self, well: bool) -> None:
        """Say how the run ended."""
        if well and internals.is_main(self._workflow) and self._changes:
            self._begun.unlink(missing_ok=True)
        if self._progress is not None:
            self._progress.end(well)
            records = self._progress.made("train_student", "record")
            if (said := rows_left_out(map(Path, records))) is not None:
                self._logger.warning(said)
            if not well:
                self._shared.pending.keep(self._progress.left())
