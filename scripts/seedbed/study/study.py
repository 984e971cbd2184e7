"""A checked study: its files, and what follows from several of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seedbed.analysis.decide.settings import Contrast
from seedbed.engines.settings import AnyEngine, OpenAISettings
from seedbed.streams.mixtures import title
from seedbed.streams.settings import MethodConfig
from seedbed.study.config import GPU_GB, ModelConfig, StudyConfig
from seedbed.study.shards import ShardBounds
from seedbed.tasks.settings import TaskConfig, WorldSource
from seedbed.training.settings import Trainer, Training

Bought = Mapping[tuple[str, str, int, int, str], Mapping[tuple[str, str], int]]
"""By task, teacher, seeds, replicate and filter: by method and augmenter, the largest budget."""


@dataclass(frozen=True)
class Study:
    """A checked study, with the tasks, methods and models that it uses and no others.

    Attributes:
        name: stem of the study's file.
        config: the study's file.
        tasks: by name, in the order in which the blocks name them first; after them, those on
            whose worlds models are trained.
        methods: likewise.
        models: likewise; a model whose checkpoint is used is among them.
        contrasts: what it tests of its results, by name in its order.
        bought: by where it is bought, how many queries of each stream the cells of methods need.
        shard_ends: where the first shards end; by default, the first is that of the study's file.
        engines: by model, what runs it here, where that is not what its file says.
        trainers: by model, how its training is run here, likewise.
        gpu_gb: gigabytes of memory of a GPU here.
        labelled: by task, how many answers were graded by hand, for its judge to grade, too.
    """

    name: str
    config: StudyConfig
    tasks: Mapping[str, TaskConfig]
    methods: Mapping[str, MethodConfig]
    models: Mapping[str, ModelConfig]
    contrasts: Mapping[str, Contrast] = field(default_factory=dict)
    bought: Bought = field(default_factory=dict)
    shard_ends: tuple[int, ...] = ()
    engines: Mapping[str, AnyEngine] = field(default_factory=dict)
    trainers: Mapping[str, Trainer] = field(default_factory=dict)
    gpu_gb: float = GPU_GB
    labelled: Mapping[str, int] = field(default_factory=dict)

    @property
    def shards(self) -> ShardBounds:
        """Where the shards of all streams end."""
        if self.shard_ends:
            return ShardBounds(self.shard_ends)
        return ShardBounds((self.config.shard_size,), self.config.largest_shard)

    @property
    def students(self) -> set[str]:
        """The models that are trained."""
        spend = self.config.spend
        own = () if spend is None or spend.student is None else (spend.student,)
        return {*own, *(name for block in self.config.blocks for name in block.students)}

    def answer_prompt(self, task: str) -> str:
        """Return the prompt that teacher and student answer."""
        return self.tasks[task].prompts["answer"]

    def question_prompt(self, task: str, method: str) -> str:
        """Return the prompt that an augmenter writes a question to.

        Raises:
            KeyError: if the method writes no questions.
        """
        own = self.tasks[task].prompts.get(method)
        return own or self.methods[method].prompts[self.tasks[task].kind].question

    def self_check_prompt(self, task: str, method: str) -> str | None:
        """Return the prompt by which an augmenter checks its question; None for no check."""
        if not self.methods[method].self_check:
            return None
        own = self.tasks[task].prompts.get("self_check")
        return own or self.methods[method].prompts[self.tasks[task].kind].self_check

    def mixture_title(self, method: str) -> tuple[str, str]:
        """Return the title of a mixture of the study, and its abbreviation."""
        short = {name: config.short for name, config in self.methods.items()}
        return title(method, self.config.shares[method], short)

    def training(self, student: str) -> Training:
        """Return the settings that a student is trained with."""
        return self.config.training_of(student)

    def engine(self, model: str) -> AnyEngine:
        """Return what runs a model, with its name there if it is behind an endpoint."""
        config = self.models[model]
        engine = self.engines.get(model, config.engine)
        if not isinstance(engine, OpenAISettings):
            return engine
        return engine.model_copy(update={"model": name_at_endpoint(engine, config)})

    def trainer(self, model: str) -> Trainer:
        """Return how the training of a student is run."""
        return self.trainers.get(model, self.models[model].trainer)

    def pretrained(self, model: str) -> tuple[str, int] | None:
        """Return the model whose training from scratch gives this one, and after which step.

        None for a model that is not trained by the workflow.
        """
        config = self.models[model]
        if config.checkpoint is not None:
            return config.checkpoint.of, config.checkpoint.step
        return (model, config.pretrain.steps) if config.pretrain is not None else None

    def world(self, model: str, task: str) -> str:
        """Return the generated world that a model trained from scratch knows, for a task.

        Raises:
            ValueError: if the model is not trained by the workflow.
        """
        origin = self.pretrained(model)
        if origin is None:
            raise ValueError(f"model {model!r} is not trained on a generated world")
        own = self.models[origin[0]].worlds.get(task)
        source = self.tasks[task].source
        if own is not None:
            return own
        if not isinstance(source, WorldSource):
            raise ValueError(f"model {model!r} has no generated world for task {task!r}")
        return source.world


def name_at_endpoint(engine: OpenAISettings, config: ModelConfig) -> str | None:
    """Return the name of a model at an endpoint: its own there, or else that in its file."""
    if engine.model is not None:
        return engine.model
    if config.api is not None:
        return config.api.name
    return config.hub.id if config.hub is not None else None
