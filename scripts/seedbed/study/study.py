"""A checked study: its files, and values that depend on several of them."""

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
"""By task, teacher, seeds, replicate and filter, then by method and augmenter: the largest
budget."""


@dataclass(frozen=True)
class Study:
    """A checked study, with the tasks, methods and models that it uses and no others.

    Attributes:
        name: stem of the study's file.
        config: the study's file.
        tasks: by name, in the order in which the blocks first name them; then the tasks of worlds
            that models are trained on.
        methods: by name, in that order.
        models: by name, in that order, including models of which only a checkpoint is used.
        contrasts: the claims that it tests on its results, by name, in its order.
        bought: the number of queries of each stream that the cells of methods need.
        shard_ends: ends of the first shards; by default, `shard_size` of the study's file.
        engines: by model, the engine that replaces that of its file.
        trainers: by model, the trainer settings that replace those of its file.
        gpu_gb: memory of one GPU, in gigabytes.
        labelled: by task, the number of answers that people graded, which its judge grades too.
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
        """The bounds of the shards of all streams."""
        if self.shard_ends:
            return ShardBounds(self.shard_ends)
        return ShardBounds((self.config.shard_size,), self.config.largest_shard)

    @property
    def students(self) -> set[str]:
        """The models to train."""
        spend = self.config.spend
        own = () if spend is None or spend.student is None else (spend.student,)
        return {*own, *(name for block in self.config.blocks for name in block.students)}

    def answer_prompt(self, task: str) -> str:
        """Return the prompt that teacher and student answer."""
        return self.tasks[task].prompts["answer"]

    def question_prompt(self, task: str, method: str) -> str:
        """Return the prompt that asks an augmenter for a question.

        Raises:
            KeyError: if the method writes no questions.
        """
        own = self.tasks[task].prompts.get(method)
        return own or self.methods[method].prompts[self.tasks[task].kind].question

    def self_check_prompt(self, task: str, method: str) -> str | None:
        """Return the prompt that asks an augmenter to check its question; None for no check."""
        if not self.methods[method].self_check:
            return None
        own = self.tasks[task].prompts.get("self_check")
        return own or self.methods[method].prompts[self.tasks[task].kind].self_check

    def mixture_title(self, method: str) -> tuple[str, str]:
        """Return the title of a mixture of the study, and its abbreviation."""
        short = {name: config.short for name, config in self.methods.items()}
        return title(method, self.config.shares[method], short)

    def training(self, student: str) -> Training:
        """Return the training settings of a student."""
        return self.config.training_of(student)

    def engine(self, model: str) -> AnyEngine:
        """Return the engine of a model, with the model's name if it is behind an endpoint."""
        config = self.models[model]
        engine = self.engines.get(model, config.engine)
        if not isinstance(engine, OpenAISettings):
            return engine
        return engine.model_copy(update={"model": name_at_endpoint(engine, config)})

    def trainer(self, model: str) -> Trainer:
        """Return the trainer settings of a student."""
        return self.trainers.get(model, self.models[model].trainer)

    def pretrained(self, model: str) -> tuple[str, int] | None:
        """Return the model whose training from scratch gives this one, and the step.

        None for a model that is not trained by the workflow.
        """
        config = self.models[model]
        if config.checkpoint is not None:
            return config.checkpoint.of, config.checkpoint.step
        return (model, config.pretrain.steps) if config.pretrain is not None else None

    def world(self, model: str, task: str) -> str:
        """Return the generated world on which a model is trained from scratch, for a task.

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
    """Return the name of a model at an endpoint: from the engine, or else from the model's file."""
    if engine.model is not None:
        return engine.model
    if config.api is not None:
        return config.api.name
    return config.hub.id if config.hub is not None else None
