"""`snakemake spend` as a study whose cells grow with each purchase that is decided.

Before the first decision, the study has only the base model. Each round of the pilot adds a cell
for each method that it buys, with all queries of the method so far. The final purchase adds the
mixture of everything that was bought. Shards end where purchases end, so that no query is asked
twice and no file belongs to two purchases.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from typing import Any

from seedbed.analysis.decide.purchases import (
    Known,
    PurchaseRecord,
    Request,
    left_out_before,
    read_purchases,
)
from seedbed.analysis.report.spend.about import About, Named
from seedbed.config.documents import Document, Problem, StudyError
from seedbed.config.folders import ConfigFolders
from seedbed.config.words import ALL_BOUGHT, NONE
from seedbed.engines.settings import OpenAISettings
from seedbed.streams.extension import held_until
from seedbed.streams.mixtures import coordinate, is_mixture
from seedbed.study.cells import (
    NOTHING,
    Cell,
    Dataset,
    Grid,
    QuestionStream,
    SeedSet,
    Stream,
    grid,
    untrained_cell,
)
from seedbed.study.config import RUN_CONFIG, RunConfig
from seedbed.study.job_settings import Settings
from seedbed.study.loading import load_study
from seedbed.study.query_prices import ASSUMED_QUERIES, asking_lines
from seedbed.study.spending import Account
from seedbed.study.study import Bought, Study
from seedbed.study.targets import Targets
from seedbed.tasks.settings import HubSource, Source, WorldSource

_NO_MATTER = {"title", "price", "license", "trainer"}
"""Keys of a model's file that do not change its answers."""

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def spend_request(run: RunConfig, study: Study) -> Request:
    """Return the request of `snakemake spend`.

    Args:
        run: the workflow's own configuration.
        study: a study with `spend`, read with the task of the run.

    Raises:
        StudyError: naming what is missing or wrong.
    """
    spend = study.config.spend
    assert spend is not None, f"{study.name} has no spend"
    document = Document(RUN_CONFIG, run.model_dump())
    problems: list[Problem] = []

    def refuse(text: str, key: str) -> None:
        problems.append(document.problem(text, key))

    for key, example in (("task", "NAME"), ("seeds", "ALL"), ("queries", "1000")):
        given = (run.queries or run.usd) if key == "queries" else getattr(run, key)
        if given is None:
            refuse(f"is missing: spend needs it, as in --config {key}={example}", key)
    if run.queries is not None and run.usd is not None:
        refuse("the budget is in queries or in dollars, not both", "usd")
    if run.target_accuracy is not None:
        refuse("has no effect: spend has a budget, queries or usd", "target_accuracy")
    if run.untrained_accuracy is not None:
        refuse("has no effect: spend measures the base model", "untrained_accuracy")
    if run.partial:
        refuse("has no effect: spend ends with one data set", "partial")
    real = [name for name in spend.methods if study.methods[name].real_pairs is not None]
    for name in real:
        at = ("spend", "methods", spend.methods.index(name))
        said = f"{name!r} asks no teacher, so there is nothing to buy"
        problems.append(Problem(f"studies/{study.name}.yaml", at, said))
    if spend.student is None and run.student is None:
        said = "is missing: name the model to train, or give --config student=none"
        problems.append(Problem(f"studies/{study.name}.yaml", ("spend", "student"), said))
    task = study.tasks.get(run.task or "")
    held = None if task is None else task.train_items
    if isinstance(run.seeds, int) and held is not None and run.seeds > held:
        said = f"{run.seeds} is more than the {held} items of the train split of task {run.task!r}"
        refuse(said, "seeds")
    if run.usd is not None:
        problems += _without_price(study)
    if problems:
        raise StudyError("spend cannot run", problems)
    assert run.task is not None and held is not None and run.seeds is not None
    return Request(
        task=run.task,
        seeds=held if run.seeds == "ALL" else run.seeds,
        draw=run.draw,
        methods={name: study.methods[name].asks for name in spend.methods},
        augmenter=spend.augmenter,
        teacher=spend.teacher,
        student=None if run.student == NONE else spend.student,
        queries=run.queries,
        usd=run.usd,
        rounds=spend.rounds,
        share=spend.share,
    )


def _without_price(study: Study) -> list[Problem]:
    """Return problems of missing prices, for a budget in dollars."""
    spend = study.config.spend
    assert spend is not None
    problems = []
    for name in dict.fromkeys(filter(None, (spend.teacher, spend.augmenter))):
        price = study.models[name].price
        if not isinstance(study.engine(name), OpenAISettings):
            if name == spend.teacher:
                said = (
                    f"the teacher, {name!r}, runs in the jobs themselves, where a query has no "
                    "price: give queries instead"
                )
                problems.append(Problem(RUN_CONFIG, ("usd",), said))
            continue
        for key in ("usd_per_million_prompt_tokens", "usd_per_million_completion_tokens"):
            if getattr(price, key) is None:
                said = "is missing: with usd, the teacher and the augmenter need both prices"
                problems.append(Problem(f"models/{name}.yaml", ("price", key), said))
    return problems


@dataclass(frozen=True)
class SpendTargets(Targets):
    """Targets and job settings of a spend. They grow with each decision: see `decided`.

    Attributes:
        base: the study before any purchase.
        request: the request.
        purchases: the decisions so far.
    """

    base: Study | None = None
    request: Request | None = None
    purchases: tuple[PurchaseRecord, ...] = ()

    @property
    def asked(self) -> Request:
        """The request."""
        assert self.request is not None
        return self.request

    def decided(self, last: int | None = None) -> PurchaseRecord | None:
        """Read the existing decisions, and update the study and its grid.

        It changes this object in place, because rules hold it and query it for each job.

        Args:
            last: number of the last decision to read; None for all.

        Returns:
            The last decision, or None.
        """
        assert self.base is not None
        # A decision on a method that is no longer in the study is made again.
        known = self.asked.methods.keys()
        read = read_purchases(self.results, last)
        purchases = [*takewhile(lambda one: one.purchase.queries.keys() <= known, read)]
        study, points = with_purchases(self.base, self.asked, purchases)
        for name, value in (
            ("purchases", tuple(purchases)),
            ("study", study),
            ("grid", points),
        ):
            object.__setattr__(self, name, value)
        return purchases[-1] if purchases else None

    @property
    def page(self) -> str:
        """The page that a spend ends with."""
        return f"{self.results}/bought/index.html"

    def patterns(self) -> dict[str, str]:
        """Return the pattern of each wildcard, for all possible decisions."""
        judged = self.study.tasks[self.asked.task].judge is not None
        return patterns(self.asked, judged) | self._other_patterns()

    def ends_with(self, number: int) -> bool:
        """Return whether the decision with this number is the final one."""
        return 0 < number <= len(self.purchases) and (
            self.purchases[number - 1].purchase.kind == "final"
        )

    # --- what a decision depends on

    def request_settings(self) -> Settings:
        """Return the request."""
        return Settings(self.asked.model_dump(mode="json"))

    def known(self) -> Settings:
        """Return what a decision needs in addition to scores: see `Known`."""
        spent = 0.0 if self.asked.usd is None else Account.of(self.study, self.ledger).paid()[1]
        settings = {name: self._digest(name) for name in self.asked.methods}
        found = Known(
            prices=self._prices(),
            spent_usd=spent,
            bought=self._bought(),
            settings=settings,
            left_out=left_out_before(self.results, self.asked.methods, settings),
        )
        return Settings(found.model_dump(mode="json"))

    def measured(self, number: int) -> list[str]:
        """Return the evaluations that a decision depends on: those of all rounds before it."""
        before = self.purchases[: number - 1]
        cells = [cell for one in before for cell in pilot_cells(self.asked, one)]
        if not cells:
            return []
        untrained = untrained_cell(self.asked.task, cells[0].student)
        return [self.evaluation_file(cell) for cell in dict.fromkeys([untrained, *cells])]

    def predictions(self, number: int) -> list[str]:
        """Return the files of scores by item that belong to `measured`."""
        return [_predictions(path) for path in self.measured(number)]

    def records_before(self, number: int) -> list[str]:
        """Return the records of the data sets that were bought before a decision.

        They show which methods yield rows, and their answers show the price of a query.
        """
        before = self.purchases[: number - 1]
        bought = [
            *(data for one in before for data in priced_datasets(self.asked, one)),
            *(cell.dataset for one in before for cell in pilot_cells(self.asked, one)),
        ]
        keys = dict.fromkeys(data.key for data in bought if data is not None)
        return [f"{self.results}/datasets/{key}/dataset.json" for key in keys]

    def dataset(self, key: str) -> Settings:
        """Return how a dataset is cut: all but the final one may be empty."""
        found = super().dataset(key)
        final = self.purchases and self.purchases[-1].purchase.kind == "final"
        if final and key == self.final_dataset().key:
            return found
        return Settings({**found, "may_be_empty": True})

    def _prices(self) -> dict[str, float]:
        """Return by method the price of a query in dollars, including its question."""
        if self.asked.usd is None:
            return {}
        assert self.base is not None
        found = {}
        for method in self.asked.methods:
            dataset = dataset_of(self.asked, method, ASSUMED_QUERIES)
            # The lines on the student are not used.
            student = self.asked.student or self.asked.teacher
            asked = asking_lines(self.study, dataset, student, self.results)
            hosted = [one for one in asked if self.study.engine(one.model).kind == "openai"]
            found[method] = sum(line.usd or 0.0 for line in hosted) / ASSUMED_QUERIES
        return found

    def _digest(self, method: str) -> str:
        """Return a digest of the settings that the rows of a method depend on."""
        study, asked = self.study, self.asked
        models = dict.fromkeys(filter(None, (asked.teacher, asked.augmenter)))
        said = [
            study.methods[method].model_dump(mode="json"),
            study.tasks[asked.task].model_dump(mode="json", warnings=False),
            study.config.generation.model_dump(mode="json"),
            [
                [name, study.models[name].model_dump(mode="json", exclude=_NO_MATTER)]
                for name in models
            ],
            [study.engine(name).model_dump(mode="json") for name in models],
        ]
        return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    def _bought(self) -> dict[str, int]:
        """Return by method the number of answered queries in its stream."""
        found = {}
        for method in self.asked.methods:
            stream = dataset_of(self.asked, method, 1).stream
            assert stream is not None
            files = Path(self.results, "answers", stream.key).glob("shard=*/answers.parquet")
            found[method] = max((held_until(path) or 0 for path in files), default=0)
        return {method: queries for method, queries in found.items() if queries}

    # --- what it ends with

    def final_dataset(self) -> Dataset:
        """Return the data set of everything that was bought."""
        return final_dataset(self.asked, self.purchases[-1])

    def final_cell(self) -> Cell | None:
        """Return the cell of the final student; None without one."""
        student = self.asked.student
        return None if student is None else self.final_dataset().cell(student)

    def bought_rows(self) -> list[str]:
        """Return the file of the final data set."""
        return [f"{self.results}/datasets/{self.final_dataset().key}/dataset.parquet"]

    def bought_record(self) -> list[str]:
        """Return the record of the final data set."""
        return [f"{self.results}/datasets/{self.final_dataset().key}/dataset.json"]

    def bought_parts(self) -> list[str]:
        """Return the records of the final data set's parts; none if it is no mixture."""
        return self.part_records(self.final_dataset().key)

    def final_evaluations(self) -> list[str]:
        """Return the evaluations of all students, the final one's last; none without a student."""
        cell = self.final_cell()
        if cell is None:
            return []
        found = self.measured(len(self.purchases))
        untrained = self.evaluation_file(untrained_cell(cell.task, cell.student))
        return [*dict.fromkeys([untrained, *found, self.evaluation_file(cell)])]

    def final_predictions(self) -> list[str]:
        """Return the files of scores by item that belong to `final_evaluations`."""
        return [_predictions(path) for path in self.final_evaluations()]

    def bought(self) -> list[str]:
        """Return the final files of a spend."""
        folder = f"{self.results}/bought"
        data = ["README.md", "data/train.jsonl", "data/train.parquet", "spending.json"]
        adapter = [*ADAPTER_FILES, "README.md"] if self.asked.student is not None else []
        return [
            f"{folder}/index.html",
            *(f"{folder}/dataset/{name}" for name in data),
            *(f"{folder}/adapter/{name}" for name in adapter),
        ]

    def about(self) -> Settings:
        """Return what the cards of a spend need in addition to its results: see `About`."""
        study, asked = self.study, self.asked
        task = study.tasks[asked.task]
        writes = [name for name, kind in asked.methods.items() if kind != "answers"]
        prompts = {"answer": study.answer_prompt(asked.task)}
        prompts |= {name: study.question_prompt(asked.task, name) for name in writes}
        parts = {"augmenter": asked.augmenter, "teacher": asked.teacher, "student": asked.student}
        found = About(
            description=study.config.description,
            task=Named(
                title=task.title,
                source=_source(task.source),
                hub=task.source.hub if isinstance(task.source, HubSource) else None,
                license=None if isinstance(task.source, WorldSource) else task.source.license,
            ),
            methods={name: study.methods[name].title for name in asked.methods},
            models={part: _model(study, name) for part, name in parts.items() if name is not None},
            prompts=prompts,
            generation=study.config.generation.model_dump(mode="json"),
            training={}
            if asked.student is None
            else study.training(asked.student).model_dump(mode="json"),
            overlap_words=task.overlap_words,
        )
        return Settings(found.model_dump(mode="json"))

    def final_adapter(self) -> list[str]:
        """Return the files of the final adapter, its weights first; none without a student."""
        cell = self.final_cell()
        return [] if cell is None else self.adapter(cell.key)


def _predictions(evaluation: str) -> str:
    return evaluation.replace("evaluation.json", "predictions.parquet")


def _source(source: Source) -> str:
    """Return the source of a task's items, for people."""
    if isinstance(source, WorldSource):
        return f"generated world {source.world}, seed {source.seed}"
    return source.hub if isinstance(source, HubSource) else "own files"


def _model(study: Study, name: str) -> Named:
    """Return the entry of a model in a card."""
    config = study.models[name]
    source = "trained by the workflow"
    if config.hub is not None:
        source = config.hub.id
    elif config.api is not None:
        source = f"{config.api.name}, behind an endpoint"
    elif config.path is not None:
        source = "a local folder"
    hub = None if config.hub is None else config.hub.id
    return Named(title=config.title, source=source, hub=hub, license=config.license)


def dataset_of(request: Request, method: str, queries: int) -> Dataset:
    """Return the data set of the first queries of a method, or of a mixture."""
    kinds = request.methods
    writes = is_mixture(method) or kinds[method] != "answers"
    augmenter = request.augmenter if writes else None
    return Dataset(
        request.task,
        method,
        augmenter or NONE,
        request.teacher,
        request.seeds,
        request.draw,
        NONE,
        queries,
    )


def final_dataset(request: Request, final: PurchaseRecord) -> Dataset:
    """Return the data set of everything that was bought: a mixture, if it has several methods."""
    queries = final.purchase.queries
    if len(queries) == 1:
        return dataset_of(request, next(iter(queries)), sum(queries.values()))
    return dataset_of(request, coordinate(ALL_BOUGHT), sum(queries.values()))


def pilot_cells(request: Request, one: PurchaseRecord) -> list[Cell]:
    """Return the cells of a round of the pilot: each method with all its queries so far."""
    if request.student is None or one.purchase.kind != "pilot":
        return []
    bought = one.purchase.queries.items()
    return [dataset_of(request, name, queries).cell(request.student) for name, queries in bought]


def priced_datasets(request: Request, one: PurchaseRecord) -> list[Dataset]:
    """Return the data sets, by method, with which a purchase measures prices."""
    if one.purchase.kind != "prices":
        return []
    return [dataset_of(request, *part) for part in one.purchase.queries.items()]


def with_purchases(
    base: Study, request: Request, purchases: Sequence[PurchaseRecord]
) -> tuple[Study, Grid]:
    """Return a study with the cells of some decisions, and its grid."""
    cells = [cell for one in purchases for cell in pilot_cells(request, one)]
    if request.student is not None:
        cells.append(untrained_cell(request.task, request.student))
    datasets = [data for one in purchases for data in priced_datasets(request, one)]
    bought: Bought = {}
    parts = (one.purchase.queries for one in purchases if one.purchase.kind != "final")
    ends = tuple(sorted({queries for part in parts for queries in part.values()}))
    if purchases and (final := purchases[-1]).purchase.kind == "final":
        one = final_dataset(request, final)
        datasets.append(one)
        if request.student is not None:
            cells.append(one.cell(request.student))
        place = (one.task, one.teacher, one.seeds, one.replicate, one.filter)
        whole = (dataset_of(request, *part) for part in final.purchase.queries.items())
        bought = {place: {(part.method, part.augmenter): part.budget for part in whole}}
    study = replace(base, bought=bought, shard_ends=ends)
    return study, grid(study, cells, datasets)


def patterns(request: Request, judged: bool) -> dict[str, str]:
    """Return a regular expression for each kind of key of a spend, without capturing groups.

    Args:
        request: the request.
        judged: whether a judge grades the answers of its task.
    """
    values: dict[str, list[str | int]] = {
        "task": [request.task],
        "method": [*request.methods, coordinate(ALL_BOUGHT)],
        "augmenter": [NONE, *([request.augmenter] if request.augmenter else [])],
        "teacher": [request.teacher],
        "seeds": [request.seeds],
        "replicate": [request.draw],
        "filter": [NONE],
        "student": [request.student or NONE],
    }
    spelt = {
        name: f"{name}=(?:{'|'.join(re.escape(str(one)) for one in some)})"
        for name, some in values.items()
    } | {"budget": r"budget=\d+"}

    def spell(point: type[Any]) -> str:
        return "/".join(spelt[field.name] for field in fields(point))

    trained = evaluated = spell(Cell)
    if request.student is not None:
        baseline = re.escape(untrained_cell(request.task, request.student).key)
        evaluated = f"(?:{trained}|{baseline})"
    return {
        "seed_set": spell(SeedSet),
        "question_stream": spell(QuestionStream),
        "stream": spell(Stream),
        "dataset": spell(Dataset),
        "cell": NOTHING if judged else evaluated,
        "judged_cell": evaluated if judged else NOTHING,
        "trained_cell": trained,
    }


def spend_targets(run: RunConfig, study: Study, folders: ConfigFolders) -> SpendTargets:
    """Return the targets and job settings of a spend with its purchases so far.

    Raises:
        StudyError: if the request is invalid.
    """
    request = spend_request(run, study)
    name = study.name + _ending(request)
    base = replace(study, name=name)
    caps = [usd for usd in (run.max_usd, run.usd) if usd is not None]
    flow = SpendTargets(
        base,
        grid(base),
        data_dir=run.data_dir,
        folders=folders,
        max_teacher_queries=run.max_teacher_queries,
        max_usd=min(caps, default=None),
        wait=run.wait,
        base=base,
        request=request,
    )
    flow.decided()
    return flow


def targets_by_name(name: str, folders: ConfigFolders) -> Targets:
    """Return the targets of a study, or of a spend, by the name of its results.

    Raises:
        StudyError: if the study does not exist or is invalid.
    """
    purchases = read_purchases(f"results/{name}", 1)
    if not purchases:
        study = load_study(name, folders)
        return Targets(study, grid(study), folders=folders)
    asked = purchases[0].request
    file = name.removesuffix(_ending(asked))
    given = asked.model_dump(include={"task", "seeds", "queries", "usd", "draw"})
    run = RunConfig(study=file, **given, student="none" if asked.student is None else None)
    study = load_study(file, folders, task=asked.task)
    if study.config.spend is None:
        return Targets.of(run, study, folders)
    return spend_targets(run, study, folders)


def _ending(request: Request) -> str:
    """Return the suffix that the results of a spend add to the study's name."""
    return f"-{request.task}-{request.seeds}" + f"-draw{request.draw}" * (request.draw > 1)
