"""The typed content of the files in `config/`.

Each class describes one section of one file, with the checks that need only that section. Checks
that need several files are in `seedbed.study.agreement`. Values are not converted: text is never
read as a number, nor true as 1. Unknown keys are errors.
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
    """Keys whose change reruns the training."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("training",)


# The same keys and checks as `Training`, each of them optional.
TrainingChanges: type[Section] = create_model(
    "TrainingChanges",
    __base__=_OfTraining,
    __doc__="Keys of `training` that have other values for one student.",
    **{  # type: ignore[call-overload]  # fields by names that are computed
        name: (kind, Field(None, description="Replaces the key of `training`."))
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
        description="Datasets that several methods share: names under the study's `mixtures`, "
        "shares of the budget by method (`{answer_augmentation: 0.5, new_question: 0.5}`), or "
        "`all_bought`, the union of all data that the study's methods make for a seed set. Each "
        "part is the beginning of its method's stream, so a mixture of streams that the study "
        "needs anyway costs no further queries.",
    )
    seeds: Counts = Field(description="Sizes of the seed set.")
    budget_ratios: Ratios | None = Field(
        None,
        description="Budgets as multiples of the seed set's size; each must give a whole number "
        "of queries. A block needs either `budget_ratios` or `budgets`, unless its methods use "
        "only the seeds.",
    )
    budgets: Counts | None = Field(None, description="Budgets in teacher queries.")
    augmenters: Names | None = Field(
        None,
        description="Models that write questions. Required if a method of the block writes "
        "questions; otherwise not allowed.",
    )
    teachers: Names | None = Field(
        None,
        description="Models that write answers. Required if a method of the block queries a "
        "teacher; otherwise not allowed.",
    )
    students: Names = Field(description="Models to train.")
    filters: Filters = Field((NONE,), description="Which answers become training rows.")
    replicates: Count = Field(
        1, description="Number of draws of the seed set; replicates are numbered from 1."
    )

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
    """Settings of `snakemake spend`: see `seedbed.study.spend`."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("cells",)

    methods: Names = Field(description="Files in `methods/`: the methods to choose among.")
    augmenter: Name | None = Field(
        None,
        description="The model that writes questions. Required if a method writes questions; "
        "otherwise not allowed.",
    )
    teacher: Name = Field(description="The model that writes answers.")
    student: Name | None = Field(
        None,
        description="The model to train. Null for none: the budget ratio alone then decides, as "
        "with `--config student=none`.",
    )
    rounds: Annotated[int, Field(ge=1, le=4)] = Field(
        1,
        description="Rounds of the pilot, each with twice the queries of the previous one and "
        "followed by a choice.",
    )
    share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2,
        description="Share of the budget that each method has spent after the last round of "
        "the pilot.",
    )

    @model_validator(mode="after")
    def _room(self) -> Spend:
        if self.share * len(self.methods) > 1:
            said = f"{self.share:g} for each of {len(self.methods)} methods is more than the budget"
            raise problem(said, "share")
        return self


class StudyConfig(EvaluatedItems):
    """`config/studies/NAME.yaml`: the cells that a study compares, and how it makes them."""

    base: Name | None = Field(
        None,
        description="A file in `studies/` that provides the keys that this file leaves out. A key "
        "in this file replaces the base's key as a whole.",
        json_schema_extra=changes(),
    )
    description: Text = Field(description="One sentence.", json_schema_extra=changes("report"))
    shard_size: Count = Field(
        32,
        description="Queries in a stream's first shard. The second ends at twice as many, the "
        "third at four times as many, and so on.",
        json_schema_extra=changes("questions", "answers", "verification"),
    )
    largest_shard: Count | None = Field(
        None,
        description="Most queries in a shard. With a limit, several jobs, each with its own GPUs, "
        "answer a long stream in parallel. Null for no limit: the last shard is then half of the "
        "stream.",
        json_schema_extra=changes("questions", "answers", "verification"),
    )
    generation: Generation = Field(Generation(), description="Sampling of questions and answers.")
    thinking: Literal["drop", "keep"] = Field(
        "drop",
        description="Whether training rows keep the teacher's thinking before its answers, for "
        "students that learn to think. With `keep`, each student needs `engine.thinking_tokens`.",
        json_schema_extra=changes("answers"),
    )
    verification: Verification = Field(Verification(), description="How answers are verified.")
    training: Training = Field(description="How students are trained.")
    student_training: dict[Name, TrainingChanges] = Field(
        {}, description="By student, the keys of `training` that have other values for it."
    )
    analysis: Analysis = Field(Analysis(), description="How results are compared and fitted.")
    published: Annotated[tuple[PublishedShift, ...], LISTED] = Field(
        (),
        description="Published crossovers, which figures show next to the study's own.",
        json_schema_extra=changes("figures"),
    )
    contrasts: Annotated[tuple[Name, ...], LISTED, DISTINCT] = Field(
        (),
        description="Files in `contrasts/`: the claims that the study tests and the report shows.",
        json_schema_extra=changes("analysis"),
    )
    remarks: Annotated[tuple[Text, ...], LISTED] = Field(
        (),
        description="Notes on the contrasts, which the report shows below them.",
        json_schema_extra=changes("report"),
    )
    mixtures: Mixtures = Field(
        {},
        description="By name of a mixture, each method's share of the budget, in any unit; `all` "
        "for real data (a method with `real_pairs: seeds`), which costs no queries.",
        json_schema_extra=changes("datasets"),
    )
    blocks: Annotated[tuple[Block, ...], LISTED, NOT_EMPTY] = Field(
        (),
        description="Parts of the study's grid of cells. Blocks may overlap: each cell runs once. "
        "A study has either `blocks` or `spend`.",
    )
    spend: Spend | None = Field(
        None,
        description="Settings of `snakemake spend`, for a study without blocks that buys "
        "data for a task.",
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
        """The blocks' mixtures, by their `method` coordinate; None for `all_bought`."""
        return {
            coordinate(mixture): self.shares_of(mixture)
            for block in self.blocks
            for mixture in block.mixtures
        }

    def shares_of(self, mixture: str | Shares) -> Shares | None:
        """Return the shares of a block's mixture; None for `all_bought`.

        Raises:
            KeyError: if the study has no mixture with that name.
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
    """A checkpoint from the training of another model."""

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
        description="Name of the model at the endpoint. Prefer a name with a date: a provider may "
        "point other names to a newer model."
    )
    version: Text | None = Field(
        None,
        description="A version of your own, to change when the provider puts a newer model "
        "behind the same name.",
    )


FETCHED = "resources/models/model={model}/source=fetched"
"""Folder of a model fetched from the hub; see `Paths.model`."""

SOURCES_OF_MODELS = ("pretrain", "checkpoint", "hub", "path", "api")


class ModelConfig(Setup, Titled):
    """`config/models/NAME.yaml`: a model, its engine and its prices."""

    pretrain: Pretrain | None = Field(
        None, description="Settings of a model that the workflow trains from scratch."
    )
    checkpoint: Checkpoint | None = Field(
        None, description="A checkpoint that the training of another model keeps."
    )
    hub: HubModel | None = Field(None, description="A model on the hub.")
    path: Text | None = Field(
        None, description="Folder with a Transformers model.", json_schema_extra=changes("models")
    )
    api: ApiModel | None = Field(
        None,
        description="A model behind an endpoint, whose address is in `engine`. It cannot be "
        "a student.",
    )
    worlds: dict[Name, World] = Field(
        {},
        description="Only with `pretrain`: by task, the generated world that the model is trained "
        "on. Required for tasks with real data; the default is the task's own world.",
        json_schema_extra=changes("models"),
    )
    size: Positive | None = Field(
        None,
        description="Billions of parameters, if neither the model's name on the hub nor the "
        "headers of its weights give them. GPUs, memory and time of its jobs depend on them.",
        json_schema_extra=changes(),
    )
    chat_template: Text | None = Field(
        None,
        description="With `hub` or `path`: a Jinja file that replaces the model's chat template, "
        "relative to `models/`. Base models without a chat template need one, e.g. "
        "`templates/plain.jinja`.",
        json_schema_extra=changes("models"),
    )
    template: dict[Annotated[str, Field(pattern=r"^[a-z_]+$")], bool | int | float | str] = Field(
        {},
        description="With `hub` or `path`: variables of the chat template and their values "
        "wherever the template is rendered, e.g. `{enable_thinking: false}`.",
        json_schema_extra=changes("models"),
    )
    engine: AnyEngine = Field(TransformersSettings(), description="The engine that runs the model.")
    trainer: Trainer = Field(
        Trainer(), description="How the model's training runs. A change makes no result stale."
    )
    price: Price = Field(Price(), description="Prices of the model.")
    answer_tokens: Count | None = Field(
        None,
        description="Tokens of an answer, thinking included, for the cost estimate until measured "
        "ones exist.",
        json_schema_extra=changes(),
    )

    license: Text | None = Field(
        None,
        description="The model's licence in the hub's notation, e.g. `apache-2.0`, for the cards "
        "of published data and adapters.",
        json_schema_extra=changes("report"),
    )

    def folder(self, name: str) -> Path:
        """Return the folder of the model, if it comes from a local folder or from the hub."""
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
"""Default memory of a GPU in gigabytes: that of an A100 or H100."""


RUN_CONFIG = "config.yaml or --config"
"""What messages call the workflow's own configuration."""


SeedCount = Annotated[
    Annotated[Annotated[int, Field(ge=1)], Tag(tag("count"))]
    | Annotated[Literal["ALL"], Tag(tag("all"))],
    Discriminator(lambda value: tag("all" if isinstance(value, str) else "count")),
]
"""Number of seed questions, or ALL for the whole train split."""


class RunConfig(Section):
    """`config/config.yaml`: the study to run, the folder of real data, and the environment."""

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
        description="The file in `envs/` that defines the jobs' environment with `--sdm conda`. A "
        "change makes no result stale.",
        json_schema_extra=changes(),
    )
    engines: dict[Name, AnyEngine] = Field(
        default={},
        description="By model, the engine that replaces `engine` of the model's file, with the "
        "same keys. A change makes no result stale.",
    )
    trainers: dict[Name, Trainer] = Field(
        default={},
        description="By model, the settings that replace `trainer` of the model's file, with the "
        "same keys. A change makes no result stale.",
    )
    gpu_gb: Positive = Field(
        default=GPU_GB,
        description="Memory of one GPU, in gigabytes. It determines how many GPUs a model is "
        "spread over, and which students are refused as too large. A change makes no result stale.",
        json_schema_extra=changes(),
    )
    gpu_model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] | None = Field(
        default=None,
        description="The GPU model that jobs on a SLURM cluster request, by the cluster's name "
        "for it; null for any. A change makes no result stale.",
        json_schema_extra=changes(),
    )
    gpu_request: Literal["gpus", "gres"] = Field(
        default="gpus",
        description="How jobs on a SLURM cluster request GPUs: `--gpus=KIND:2`, or "
        "`--gres=gpu:KIND:2`. A change makes no result stale.",
        json_schema_extra=changes(),
    )
    cores_per_gpu: Annotated[int, Field(ge=1)] = Field(
        default=4,
        description="CPU cores for each GPU of a job on a SLURM cluster. A change makes no result "
        "stale.",
        json_schema_extra=changes(),
    )
    max_teacher_queries: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Most queries that all jobs together may send to the study's teachers, for "
        "answers and self-consistency samples. Queries of earlier runs count, and so do failed "
        "attempts that the endpoint may have answered. Null for no limit. A change makes no "
        "result stale.",
        json_schema_extra=changes(),
    )
    max_usd: NotNegative | None = Field(
        default=None,
        description="Most US dollars that the study may spend on teachers, augmenters and judges "
        "behind endpoints, at the prices in the models' files. Null for no limit. A change makes "
        "no result stale.",
        json_schema_extra=changes(),
    )
    wait: bool = Field(
        default=True,
        description="Whether jobs wait for the answers of a provider's Batch API. With false, "
        "jobs stop once their batches are submitted, and the next run collects the answers. A "
        "change makes no result stale.",
        json_schema_extra=changes(),
    )
    partial: bool = Field(
        default=False,
        description="Whether tables, figures and report use only the evaluations that exist, and "
        "say which are missing, instead of running the others.",
        json_schema_extra=changes("analysis"),
    )
    task: Name | None = Field(
        default=None,
        description="For `snakemake advise` and `spend`: the task.",
        json_schema_extra=changes("cells", "advice"),
    )
    seeds: SeedCount | None = Field(
        default=None,
        description="For `snakemake advise` and `spend`: the number of seed questions; for "
        "`spend` also `ALL`, the whole train split.",
        json_schema_extra=changes("cells", "advice"),
    )
    queries: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="For `snakemake advise` and `spend`: the budget in teacher queries.",
        json_schema_extra=changes("cells", "advice"),
    )
    usd: Positive | None = Field(
        default=None,
        description="For `snakemake advise` and `spend`, in place of `queries`: the budget in US "
        "dollars, at the prices in the models' files.",
        json_schema_extra=changes("cells", "advice"),
    )
    target_accuracy: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="For `snakemake advise`, in place of `queries`: the accuracy to reach at the "
        "lowest cost, as a fraction.",
        json_schema_extra=changes("advice"),
    )
    untrained_accuracy: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None,
        description="For `snakemake advise` with `target_accuracy` for a task without results: "
        "the student's accuracy before training, as a fraction. Without it, advice for such a "
        "task is much less certain.",
        json_schema_extra=changes("advice"),
    )

    student: Literal["none"] | None = Field(
        default=None,
        description="For `snakemake spend`: `none` trains no student, and chooses methods by the "
        "budget ratio alone.",
        json_schema_extra=changes("cells"),
    )
    draw: Count = Field(
        default=1,
        description="For `snakemake spend`: number of the draw of the seeds.",
        json_schema_extra=changes("cells"),
    )
    repo: HubId | None = Field(
        default=None,
        description="For `snakemake publish`: the name of the data set on the hub, OWNER/NAME.",
        json_schema_extra=changes(),
    )
    hub_folder: Text | None = Field(
        default=None,
        description="For `snakemake publish`: a folder to write to instead of the hub, in the "
        "hub's layout.",
        json_schema_extra=changes(),
    )

    results: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="For `snakemake advise`: a table (CSV) of your own or other people's runs, in "
        "place of the study's results. No model is queried, trained or evaluated.",
        json_schema_extra=changes("advice"),
    )

    @property
    def own_results(self) -> str | None:
        """Folder of the advice from the table `results`; None without a table."""
        if self.results is None:
            return None
        return f"results/own_results/{re.sub(r'[^A-Za-z0-9_.-]', '_', Path(self.results).stem)}"

    def advised_from(
        self, fits: str, draws: str, by_priors: Callable[[], bool]
    ) -> dict[str, Callable[[object], str]]:
        """Return the sources of the advice, as parameters of its rule.

        Args:
            fits: file of the study's fits.
            draws: file of their draws.
            by_priors: returns whether the advice rests on priors alone.
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
        """The goal of `snakemake advise`: "queries", "usd" or "target", and its amount."""
        if self.target_accuracy is not None:
            return "target", self.target_accuracy
        return ("queries", self.queries) if self.usd is None else ("usd", self.usd)
