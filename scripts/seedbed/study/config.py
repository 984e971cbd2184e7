"""The typed content of the files in `config/`.

Each class is one section of one file, and holds what can be checked by looking at that section
alone. What several files must agree on is checked in `seedbed.study.agreement`. Values are taken as
they are: text is never read as a number, nor true as 1, and a key that no class knows is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_type_hints

from pydantic import Discriminator, Field, Tag, create_model, model_validator

from seedbed.analysis.settings import Analysis, PublishedShift
from seedbed.config.sections import Section, Titled, tag
from seedbed.config.values import (
    DISTINCT,
    LISTED,
    NOT_EMPTY,
    Count,
    Counts,
    Filters,
    HubId,
    Name,
    Names,
    NotNegative,
    Positive,
    Ratios,
    Revision,
    Stage,
    Text,
    World,
    changes,
    problem,
)
from seedbed.config.words import ALL_BOUGHT, NONE
from seedbed.engines.settings import AnyEngine, Price, Setup, TransformersSettings
from seedbed.evaluation.settings import EvaluatedItems
from seedbed.streams.mixtures import Mixture, Mixtures, Shares, coordinate
from seedbed.streams.settings import Generation, Verification
from seedbed.training.settings import Pretrain, Trainer, Training

# --- studies/NAME.yaml


class _OfTraining(Section):
    """What changes the training."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("training",)


# The same keys and checks as `Training`, each of them optional.
TrainingChanges: type[Section] = create_model(
    "TrainingChanges",
    __base__=_OfTraining,
    __doc__="Keys of `training` that differ for one student.",
    **{  # type: ignore[call-overload]  # fields by names that are computed
        name: (kind, Field(None, description="Instead of that of `training`."))
        for name, kind in get_type_hints(Training, include_extras=True).items()
        if name in Training.model_fields
    },
)


class Block(Section):
    """A part of the grid: every combination of its lists."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("cells",)

    name: Name = Field(description="Name of the block, for messages.", json_schema_extra=changes())
    tasks: Names = Field(description="Files in `tasks/`.")
    methods: Annotated[tuple[Name, ...], LISTED, DISTINCT] = Field(
        (),
        description="Files in `methods/`. A block has `methods`, `mixtures`, or both.",
    )
    mixtures: Annotated[tuple[Mixture, ...], LISTED, DISTINCT] = Field(
        (),
        description="Data that several methods make: names under the study's `mixtures`, shares "
        "of the budget by method (`{answer_augmentation: 0.5, new_question: 0.5}`), or "
        "`all_bought`, the union of what the study buys with its methods for a seed set. Each part "
        "is the beginning of its method's stream, so a mixture of streams that are bought anyway "
        "asks nothing new.",
    )
    seeds: Counts = Field(description="Sizes of the seed set.")
    budget_ratios: Ratios | None = Field(
        None,
        description="Budgets as multiples of the size of the seed set; each must come to a whole "
        "number of queries. One of `budget_ratios` and `budgets` is given, unless the methods take "
        "the seeds alone.",
    )
    budgets: Counts | None = Field(None, description="Budgets in teacher queries.")
    augmenters: Names | None = Field(
        None,
        description="Models that write questions. Required if a method of the block writes "
        "questions; otherwise not allowed.",
    )
    teachers: Names | None = Field(
        None,
        description="Models that write answers. Required if a method of the block asks one; "
        "otherwise not allowed.",
    )
    students: Names = Field(description="Models that are trained.")
    filters: Filters = Field((NONE,), description="Which answers become training rows.")
    replicates: Count = Field(1, description="Draws of the seed set, numbered from 1.")

    @model_validator(mode="after")
    def _some_method(self) -> Block:
        if not self.methods and not self.mixtures:
            raise problem("has neither methods nor mixtures; give one of them, or both", "methods")
        return self

    @model_validator(mode="after")
    def _one_kind_of_budget(self) -> Block:
        if self.budgets is not None and self.budget_ratios is not None:
            raise problem("has both budgets and budget_ratios; give one of them", "budgets")
        return self


class Spend(Section):
    """What `snakemake spend` buys data with: see `seedbed.study.spend`."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("cells",)

    methods: Names = Field(description="Files in `methods/`, those to choose among.")
    augmenter: Name | None = Field(
        None,
        description="The model that writes questions. Required if a method writes questions; "
        "otherwise not allowed.",
    )
    teacher: Name = Field(description="The model that writes answers.")
    student: Name | None = Field(
        None,
        description="The model that is trained. Null for none: the budget ratio alone decides, as "
        "with `--config student=none`.",
    )
    rounds: Annotated[int, Field(ge=1, le=4)] = Field(
        1,
        description="Rounds of the pilot, with a choice after each; each has twice the queries of "
        "the one before.",
    )
    share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="Of the budget, what each method has after the last round of the pilot."
    )

    @model_validator(mode="after")
    def _room(self) -> Spend:
        if self.share * len(self.methods) > 1:
            said = f"{self.share:g} for each of {len(self.methods)} methods is more than the budget"
            raise problem(said, "share")
        return self


class StudyConfig(EvaluatedItems):
    """`config/studies/NAME.yaml`: what is compared with what."""

    base: Name | None = Field(
        None,
        description="A file in `studies/` whose keys hold where this file has none of them; each "
        "is replaced as a whole.",
        json_schema_extra=changes(),
    )
    description: Text = Field(description="One sentence.", json_schema_extra=changes("report"))
    shard_size: Count = Field(
        32,
        description="Queries in a stream's first shard; the bounds double from there.",
        json_schema_extra=changes("questions", "answers", "verification"),
    )
    largest_shard: Count | None = Field(
        None,
        description="Most queries of a shard: several jobs, on a GPU each, then answer a long "
        "stream at once. Null has no limit, so the last shard is half of the stream.",
        json_schema_extra=changes("questions", "answers", "verification"),
    )
    generation: Generation = Field(Generation(), description="How text is sampled.")
    thinking: Literal["drop", "keep"] = Field(
        "drop",
        description="Whether rows keep what the teacher thought before its answers, for students "
        "that learn to think. Each student then needs `engine.thinking_tokens`.",
        json_schema_extra=changes("answers"),
    )
    verification: Verification = Field(Verification(), description="How answers are verified.")
    training: Training = Field(description="How students are trained.")
    student_training: dict[Name, TrainingChanges] = Field(
        {}, description="By student, the keys of `training` that differ for it."
    )
    analysis: Analysis = Field(Analysis(), description="How results are compared and fitted.")
    published: Annotated[tuple[PublishedShift, ...], LISTED] = Field(
        (),
        description="Published crossovers, drawn beside the study's own.",
        json_schema_extra=changes("figures"),
    )
    contrasts: Annotated[tuple[Name, ...], LISTED, DISTINCT] = Field(
        (),
        description="Files in `contrasts/` that the study tests; the report shows the outcome.",
        json_schema_extra=changes("analysis"),
    )
    remarks: Annotated[tuple[Text, ...], LISTED] = Field(
        (),
        description="Notes on its contrasts, which the report shows below them.",
        json_schema_extra=changes("report"),
    )
    mixtures: Mixtures = Field(
        {},
        description="By name, by method its share of a budget, in any unit; `all` for real data "
        "(a method with `real_pairs: seeds`), which costs no query.",
        json_schema_extra=changes("datasets"),
    )
    blocks: Annotated[tuple[Block, ...], LISTED, NOT_EMPTY] = Field(
        (),
        description="Parts of the grid. They may overlap: a cell is run once. A study has `blocks` "
        "or `spend`.",
    )
    spend: Spend | None = Field(
        None, description="What a study is for that has no blocks: to buy data for a task."
    )

    @model_validator(mode="after")
    def _blocks_or_spend(self) -> StudyConfig:
        if self.spend is None and not self.blocks:
            raise problem("is missing: a study has blocks, or buys data by `spend`", "blocks")
        if self.spend is not None and self.blocks:
            raise problem("has no effect: a study with blocks compares, and buys no data", "spend")
        return self

    @model_validator(mode="after")
    def _shard_sizes(self) -> StudyConfig:
        if self.largest_shard is not None and self.largest_shard < self.shard_size:
            said = f"{self.largest_shard} is less than shard_size, {self.shard_size}"
            raise problem(said, "largest_shard")
        return self

    @model_validator(mode="after")
    def _block_names(self) -> StudyConfig:
        names = [block.name for block in self.blocks]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise problem(f"{name!r} is the name of two blocks", "blocks", index, "name")
        return self

    @property
    def shares(self) -> dict[str, Shares | None]:
        """The mixtures of the blocks, as they stand for a method; None for all that is bought."""
        return {
            coordinate(mixture): self.shares_of(mixture)
            for block in self.blocks
            for mixture in block.mixtures
        }

    def shares_of(self, mixture: str | Shares) -> Shares | None:
        """Return what a mixture of a block is made of; None for all that is bought.

        Raises:
            KeyError: if the study has no mixture of that name.
        """
        if mixture == ALL_BOUGHT:
            return None
        return self.mixtures[mixture] if isinstance(mixture, str) else mixture

    def training_of(self, student: str) -> Training:
        """Return the training settings of a student: `training`, with the student's changes."""
        changes = self.student_training.get(student)
        if changes is None:
            return self.training
        return self.training.model_copy(update=changes.model_dump(exclude_unset=True))


# --- models/NAME.yaml


class Checkpoint(Section):
    """A model as it was during the training of another."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("models",)

    of: Name = Field(description="A model with `pretrain`.")
    step: Count = Field(description="One of its `checkpoints`.")


class HubModel(Section):
    """A model on the hub."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("models",)

    id: HubId = Field(description="Name of the model, OWNER/NAME.")
    revision: Revision = None


class ApiModel(Section):
    """A model that only an endpoint has."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("models",)

    name: Text = Field(
        description="Its name there; one with a date, if there is, as others may move to a newer "
        "model."
    )
    version: Text | None = Field(
        None, description="Your own mark of the model, if a newer one takes its name."
    )


FETCHED = "resources/models/model={model}/source=fetched"
"""Where a model of the hub lies that was fetched; see `Paths.model`."""

SOURCES_OF_MODELS = ("pretrain", "checkpoint", "hub", "path", "api")


class ModelConfig(Setup, Titled):
    """`config/models/NAME.yaml`: a model, and what runs it."""

    pretrain: Pretrain | None = Field(None, description="Trained from scratch by the workflow.")
    checkpoint: Checkpoint | None = Field(
        None, description="Kept during the training of another model."
    )
    hub: HubModel | None = Field(None, description="Taken from the hub.")
    path: Text | None = Field(
        None, description="A folder with a Transformers model.", json_schema_extra=changes("models")
    )
    api: ApiModel | None = Field(
        None, description="Behind an endpoint, which `engine` names; it cannot be a student."
    )
    worlds: dict[Name, World] = Field(
        {},
        description="Only with `pretrain`: by task, the generated world that its model is trained "
        "on. Needed for tasks with real data; by default the task's own world.",
        json_schema_extra=changes("models"),
    )
    size: Positive | None = Field(
        None,
        description="Billions of parameters, where its name on the hub and the headers of its "
        "weights do not tell: GPUs, memory and time of its jobs follow.",
        json_schema_extra=changes(),
    )
    chat_template: Text | None = Field(
        None,
        description="With `hub` or `path`: a file with a chat template in Jinja in place of the "
        "model's own, seen from `models/`. Base models need one: `templates/plain.jinja`.",
        json_schema_extra=changes("models"),
    )
    template: dict[Annotated[str, Field(pattern=r"^[a-z_]+$")], bool | int | float | str] = Field(
        {},
        description="With `hub` or `path`: variables of the chat template that have a value, "
        "whoever renders it, as `{enable_thinking: false}`.",
        json_schema_extra=changes("models"),
    )
    engine: AnyEngine = Field(TransformersSettings(), description="What runs it.")
    trainer: Trainer = Field(
        Trainer(), description="How its training is run. A change makes no result stale."
    )
    price: Price = Field(Price(), description="What it costs.")
    answer_tokens: Count | None = Field(
        None,
        description="Tokens of an answer, thinking included, for the cost estimate until some were "
        "measured.",
        json_schema_extra=changes(),
    )

    license: Text | None = Field(
        None,
        description="Its licence in the hub's words, as `apache-2.0`, for cards of what it wrote.",
        json_schema_extra=changes("report"),
    )

    def folder(self, name: str) -> Path:
        """Return where the model of this name lies, if it comes from a folder or was fetched."""
        return Path(self.path or FETCHED.format(model=name))

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        given = [key for key in SOURCES_OF_MODELS if getattr(self, key) is not None]
        if len(given) != 1:
            found = f"both {' and '.join(given)}" if given else "none of them"
            raise problem(f"must have exactly one of {', '.join(SOURCES_OF_MODELS)}, not {found}")
        if self.hub is None and self.path is None:
            for key in ("chat_template", "template"):
                if getattr(self, key):
                    raise problem("has no effect: only a model with hub or path has one", key)
        if self.worlds and self.pretrain is None:
            raise problem(
                "has no effect: only a model with pretrain is trained on a world", "worlds"
            )
        return self


# --- config.yaml

GPU_GB = 80.0
"""Memory of a GPU, if nothing is said: that of an A100 or H100."""


RUN_CONFIG = "config.yaml or --config"
"""What messages call the workflow's own configuration."""


SeedCount = Annotated[
    Annotated[Annotated[int, Field(ge=1)], Tag(tag("count"))]
    | Annotated[Literal["ALL"], Tag(tag("all"))],
    Discriminator(lambda value: tag("all" if isinstance(value, str) else "count")),
]
"""How many questions are seeds, or all of them."""


class RunConfig(Section):
    """`config/config.yaml`: which study to run, where the real data lies, and what it runs in."""

    study: Name = Field(
        description="Name of a file in `studies/`.", json_schema_extra=changes("cells")
    )
    data_dir: Text | None = Field(
        default=None,
        description="Folder with data sets in the hub's layout, OWNER/NAME/CONFIG/SPLIT.parquet.",
        json_schema_extra=changes("tasks"),
    )
    environment: Literal["cpu", "gpu"] = Field(
        default="cpu",
        description="Which of the files in `envs/` jobs run in with `--sdm conda`. A change makes "
        "no result stale.",
        json_schema_extra=changes(),
    )
    engines: dict[Name, AnyEngine] = Field(
        default={},
        description="By model, what runs it here, in place of its own `engine`, with the same "
        "keys. A change makes no result stale.",
    )
    trainers: dict[Name, Trainer] = Field(
        default={},
        description="By model, how its training is run here, in place of its own `trainer`, with "
        "the same keys. A change makes no result stale.",
    )
    gpu_gb: Positive = Field(
        default=GPU_GB,
        description="Gigabytes of memory of a GPU here: how many a model is spread over, and which "
        "students are refused as too large, follow from it. A change makes no result stale.",
        json_schema_extra=changes(),
    )
    gpu_model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] | None = Field(
        default=None,
        description="The kind of GPU that jobs on a SLURM cluster ask for, as the cluster calls "
        "it; null for any. A change makes no result stale.",
        json_schema_extra=changes(),
    )
    gpu_request: Literal["gpus", "gres"] = Field(
        default="gpus",
        description="How jobs on a SLURM cluster ask for GPUs: `--gpus=KIND:2`, or "
        "`--gres=gpu:KIND:2`. A change makes no result stale.",
        json_schema_extra=changes(),
    )
    cores_per_gpu: Annotated[int, Field(ge=1)] = Field(
        default=4,
        description="Cores that a job on a SLURM cluster gets with each of its GPUs. A change "
        "makes no result stale.",
        json_schema_extra=changes(),
    )
    max_teacher_queries: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="The most queries that teachers of the study are asked, for answers and "
        "self-consistency samples, by all jobs together; those that were asked before count, and "
        "so do tries that failed and may have been answered. Null for no limit. A change makes no "
        "result stale.",
        json_schema_extra=changes(),
    )
    max_usd: NotNegative | None = Field(
        default=None,
        description="The most dollars that teachers and augmenters behind endpoints cost, by the "
        "prices of their files. Null for no limit. A change makes no result stale.",
        json_schema_extra=changes(),
    )
    wait: bool = Field(
        default=True,
        description="Whether jobs wait for what is under way through a provider's Batch API. With "
        "false they end, and the next start collects the answers. A change makes no result stale.",
        json_schema_extra=changes(),
    )
    partial: bool = Field(
        default=False,
        description="Whether tables, figures and report are made of the evaluations that are "
        "there, and say what is missing, instead of making the rest.",
        json_schema_extra=changes("analysis"),
    )
    task: Name | None = Field(
        default=None,
        description="For `snakemake advise` and `spend`: the task.",
        json_schema_extra=changes("cells", "advice"),
    )
    seeds: SeedCount | None = Field(
        default=None,
        description="For `snakemake advise` and `spend`: how many seed questions there are; for "
        "`spend` also `ALL`, the whole train split.",
        json_schema_extra=changes("cells", "advice"),
    )
    queries: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="For `snakemake advise` and `spend`: teacher queries, the budget.",
        json_schema_extra=changes("cells", "advice"),
    )
    usd: Positive | None = Field(
        default=None,
        description="For `snakemake advise` and `spend`, in place of `queries`: US dollars, the "
        "budget, by the prices of the models' files.",
        json_schema_extra=changes("cells", "advice"),
    )
    target_accuracy: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="For `snakemake advise`, in place of `queries`: the accuracy to reach at the "
        "least cost, as a fraction.",
        json_schema_extra=changes("advice"),
    )
    untrained_accuracy: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None,
        description="For `snakemake advise` with `target_accuracy` for a task without results: the "
        "accuracy of the student before any training, as a fraction. Priors know little without "
        "it.",
        json_schema_extra=changes("advice"),
    )

    student: Literal["none"] | None = Field(
        default=None,
        description="For `snakemake spend`: `none` trains no student, and buys by the budget ratio "
        "alone.",
        json_schema_extra=changes("cells"),
    )
    draw: Count = Field(
        default=1,
        description="For `snakemake spend`: which draw of the seeds to take, by its number.",
        json_schema_extra=changes("cells"),
    )
    repo: HubId | None = Field(
        default=None,
        description="For `snakemake publish`: the name of the data set on the hub, OWNER/NAME.",
        json_schema_extra=changes(),
    )
    hub_folder: Text | None = Field(
        default=None,
        description="For `snakemake publish`: a folder to write to in the hub's layout, instead "
        "of the hub.",
        json_schema_extra=changes(),
    )

    results: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="For `snakemake advise`: a table (CSV) of anyone's runs, in place of the "
        "study's results. Nothing is asked, trained or evaluated.",
        json_schema_extra=changes("advice"),
    )

    @property
    def own_results(self) -> str | None:
        """The folder of what is made of the table `results`, None without one."""
        if self.results is None:
            return None
        return f"results/own_results/{re.sub(r'[^A-Za-z0-9_.-]', '_', Path(self.results).stem)}"

    def advised_from(
        self, fits: str, draws: str, by_priors: Callable[[], bool]
    ) -> dict[str, Callable[[object], str]]:
        """Return what advice is computed from, as parameters of its rule.

        Args:
            fits: file of the study's fits.
            draws: file of their draws.
            by_priors: says whether priors alone answer.
        """
        if self.results is not None:
            table = self.results
            return {"results": lambda wildcards: table}
        return {
            "fits": lambda wildcards: "" if by_priors() else fits,
            "draws": lambda wildcards: "" if by_priors() else draws,
        }

    @property
    def goal(self) -> tuple[str, float | None]:
        """What `snakemake advise` is asked for: "queries", "usd" or "target", and how much."""
        if self.target_accuracy is not None:
            return "target", self.target_accuracy
        return ("queries", self.queries) if self.usd is None else ("usd", self.usd)
