"""Settings of jobs: those that can change a job's result, and those of its engine.

Rules have them as `params`. They are mappings that shell commands format as JSON.
"""

from __future__ import annotations

import json
from collections import UserList
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seedbed.analysis.settings import ModelPrice
from seedbed.engines.settings import Cap, EngineJob, OpenAISettings, TokenPrice
from seedbed.evaluation.scorers import comparing_modules, kind_module, scorer_modules
from seedbed.streams.mixtures import fractions
from seedbed.study.equivalence import items_source
from seedbed.study.paths import Part, Paths
from seedbed.study.resources import gpus, job_gpus
from seedbed.tasks.settings import WorldSource

ASKING = ("write_questions", "answer_questions", "sample_answers")
"""Rules whose jobs query a teacher or an augmenter."""

ASKED_FOR = {
    **{"augmenter": "questions", "teacher": "answers"},
    **{"student": "evaluation", "judge": "judging"},
}
"""By part of a model, the stage of its queries."""


class Settings(dict[str, object]):
    """A mapping that shell commands format as JSON."""

    def __format__(self, spec: str) -> str:
        """Return the JSON text, with sorted keys."""
        return json.dumps(self, sort_keys=True)


class SettingsList(UserList[object]):
    """A list that shell commands format as JSON instead of separate words."""

    def __format__(self, spec: str) -> str:
        """Return the JSON text."""
        return json.dumps(self.data, sort_keys=True)


@dataclass(frozen=True)
class JobSettings(Paths):
    """The settings of a study's jobs.

    Attributes:
        max_teacher_queries: see `RunConfig`.
        max_usd: see `RunConfig`.
        wait: see `RunConfig`.
    """

    max_teacher_queries: int | None = None
    max_usd: float | None = None
    wait: bool = True

    def task_modules(self, task: str) -> list[str]:
        """Return the module of a task's generated world, if any, which scripts load by name."""
        source = self.study.tasks[task].source
        return [f"seedbed.tasks.worlds.{source.world}"] if isinstance(source, WorldSource) else []

    def scorer_modules(self, key: str) -> list[str | Path]:
        """Return the modules that score the task of a cell or dataset."""
        task = self._task(key)
        config = self.study.tasks[task]
        return scorer_modules(config.kind, config.scorer_options, self.task_folder(task))

    def kind_module(self, key: str) -> str:
        """Return the module that compares the answers of a stream with each other."""
        return kind_module(self.study.tasks[self._point(key).task].kind)

    def comparing_modules(self, key: str) -> list[str | Path]:
        """Return the modules that compare the answers to new questions with each other."""
        task = self._point(key).task
        config = self.study.tasks[task]
        return comparing_modules(config.kind, config.scorer_options, self.task_folder(task))

    def judging_modules(self, key: str) -> list[str | Path]:
        """Return the modules that compare a stream's answers with each other and score them."""
        return [self.kind_module(key), *self.scorer_modules(key)]

    def source(self, task: str) -> Settings:
        """Return the source of a task's items."""
        return Settings(self.study.tasks[task].source.model_dump(mode="json"))

    def items_source(self, task: str) -> Settings:
        """Return the parts of a task's source that its items depend on."""
        config = self.study.tasks[task]
        return Settings(items_source(config.source.model_dump(mode="json"), config.prompt_columns))

    def prompt_columns(self, task: str) -> SettingsList:
        """Return the columns of a task's data set that its prompts name."""
        return SettingsList(self.study.tasks[task].prompt_columns)

    def reference_scoring(self, task: str) -> Settings:
        """Return how a task's reference answers are scored."""
        config = self.study.tasks[task]
        return Settings(
            {"kind": config.kind, "scorer": config.scorer_options, "score": config.score}
        )

    def model_source(self, name: str) -> Settings:
        """Return the source of a model, and the values of its chat template's variables."""
        config = self.study.models[name]
        if config.api is not None:
            found: dict[str, object] = {"api": config.api.name, "revision": config.api.version}
        elif config.hub is not None:
            found = {"hub": config.hub.id, "revision": config.hub.revision}
        else:
            found = {"path": str(config.path)}
        if config.api is None:
            # Part of the source, because it changes the tokens that the model reads.
            found["template"] = config.template
        return Settings({key: value for key, value in found.items() if value})

    def chats(self, name: str) -> Settings:
        """Return the uses of a model's chat template, for its check."""
        trained = name in self.study.students
        found = {"system": self.study.models[name].system, "trained": trained}
        return Settings(found | ({"thinking": True} if trained and self._keeps_thinking else {}))

    def pretraining(self, name: str) -> Settings:
        """Return how a model is trained from scratch."""
        pretrain = self.study.models[name].pretrain
        assert pretrain is not None, f"{name} is not trained from scratch"
        return Settings(pretrain.model_dump(mode="json"))

    def skill_prompts(self, world: str) -> Settings:
        """Return the prompts that a model trained on a world practises."""
        practised = next(
            task
            for task in self.study.tasks.values()
            if isinstance(task.source, WorldSource) and task.source.world == world
        )
        return Settings(dict(practised.prompts))

    def questions(self, key: str) -> Settings:
        """Return how a question stream is written."""
        stream = self.grid.question_stream_by_key[key]
        generation = self.study.config.generation
        task, method = self.study.tasks[stream.task], self.study.methods[stream.method]
        return Settings(
            {
                "prompt": self.study.question_prompt(stream.task, stream.method),
                "check_prompt": self.study.self_check_prompt(stream.task, stream.method),
                "max_attempts": method.max_attempts,
                "question_tokens": task.max_tokens.question,
                "check_tokens": task.max_tokens.check,
                "temperature": generation.temperature
                if generation.question_temperature is None
                else generation.question_temperature,
                "top_p": generation.top_p,
                "keeps_answer": method.keeps_answer,
                **self._manner(stream.augmenter),
            }
        )

    def answers(self, key: str) -> Settings:
        """Return how a stream is answered."""
        stream = self.grid.stream_by_key[key]
        task = stream.task
        return Settings(
            {
                "prompt": self.study.answer_prompt(task),
                "answer_tokens": self.study.tasks[task].max_tokens.answer,
                "temperature": self.study.config.generation.temperature,
                "top_p": self.study.config.generation.top_p,
                **({"keep_thinking": True} if self._keeps_thinking else {}),
                **self._manner(stream.teacher),
            }
        )

    def samples(self, key: str) -> Settings:
        """Return how a stream's questions are answered again, as self-consistency samples."""
        answers = self.answers(key)
        del answers["prompt"]  # the answers' rows contain the prompts
        answers.pop("keep_thinking", None)
        return Settings(answers | {"samples": self.study.config.verification.samples})

    def scoring(self, key: str) -> Settings:
        """Return how the final answers of a stream are read and compared."""
        task = self.study.tasks[self.grid.stream_by_key[key].task]
        return Settings(kind=task.kind, scorer=task.scorer_options)

    def checking(self, key: str) -> Settings:
        """Return how the answers of a stream of new questions are checked."""
        task = self.study.tasks[self.grid.stream_by_key[key].task]
        return Settings(kind=task.kind, scorer=task.scorer_options, new_answer=task.new_answer)

    def dataset(self, key: str) -> Settings:
        """Return how a dataset is cut."""
        dataset = self.grid.dataset_by_key[key]
        return Settings(
            {
                "budget": dataset.budget,
                "filter": dataset.filter,
                "reach": self._reach(dataset),
                "overlap_words": self.study.tasks[dataset.task].overlap_words,
                "prompt": self.study.answer_prompt(dataset.task),
            }
        )

    def coordinates(self, key: str) -> Settings:
        """Return the coordinates of a cell or dataset."""
        point = self.grid.dataset_by_key.get(key) or self.cell(key)
        return Settings(point.coordinates)

    def training(self, key: str) -> Settings:
        """Return how a cell's student is trained."""
        student = self.cell(key).student
        training = self.study.training(student).content()
        config = self.study.models[student]
        own = {
            "system": config.system,
            "quantization": getattr(config.engine, "quantization", None),
        }
        return Settings(training | {name: value for name, value in own.items() if value})

    def trainer(self, key: str) -> Settings:
        """Return how the training of a cell's student is run."""
        return Settings(self.study.trainer(self.cell(key).student).model_dump(mode="json"))

    def evaluation(self, key: str) -> Settings:
        """Return how a cell is evaluated."""
        task = self.study.tasks[self.cell(key).task]
        scoring = {"kind": task.kind, "scorer": task.scorer_options, "score": task.score}
        return Settings(scoring | self.item_answering(key))

    def item_answering(self, key: str) -> Settings:
        """Return how a cell's student is asked the test items."""
        name, student = self.cell(key).task, self.cell(key).student
        task = self.study.tasks[name]
        # A number that covers all items means the same as null.
        taken, held = self.study.config.test_items, task.test_items
        return Settings(
            {
                "prompt": self.study.answer_prompt(name),
                "answer_tokens": task.max_tokens.answer,
                "test_items": None if taken is None or taken >= held else taken,
                **self._manner(student),
            }
        )

    def judging(self, key: str) -> Settings:
        """Return how a judge is asked about a cell's answers."""
        judge, task = self.judge(key)
        options = self.study.tasks[task].judge
        assert options is not None
        return Settings({"options": options.content(), **self._manner(judge)})

    def engine(self, part: Part, key: str, stage: str | None = None) -> Settings:
        """Return the engine and the ledger of the model with this part in a stream or cell.

        Args:
            part: part of the model.
            key: key of a stream or a cell.
            stage: stage of its queries; by default that of `ASKED_FOR`.
        """
        model = getattr(self, part)(key)[0]
        stage = stage or ASKED_FOR[part]
        found = self._engines.get((part, stage, model))
        if found is None:
            found = self._engines[part, stage, model] = self._engine(part, stage, model)
        return found

    @cached_property
    def _engines(self) -> dict[tuple[str, str, str], Settings]:
        # Cached, because a plan asks for them once per job.
        return {}

    def _engine(self, part: Part, stage: str, model: str) -> Settings:
        settings = self.study.engine(model)
        hosted = isinstance(settings, OpenAISettings)
        if not hosted:
            settings = settings.model_copy(update={"gpus": gpus(self.study, model)})
        batch = getattr(settings, "batch", None) is not None
        cap = self._cap(part, stage, model, hosted, batch)
        return Settings(EngineJob(settings=settings, cap=cap, wait=self.wait).content())

    @property
    def _keeps_thinking(self) -> bool:
        return self.study.config.thinking == "keep"

    @property
    def capped(self) -> bool:
        """Whether queries or dollars are capped."""
        return self.max_teacher_queries is not None or self.max_usd is not None

    @property
    def ledger(self) -> str:
        """Folder of the ledger."""
        return f"{self.state}/ledger"

    def _cap(self, part: Part, stage: str, model: str, hosted: bool, batch: bool) -> Cap | None:
        if part == "student" and not hosted:
            return None
        free = part == "student"
        return Cap(
            ledger=self.ledger,
            max_teacher_queries=None if free else self.max_teacher_queries,
            max_usd=None if free else self.max_usd,
            counts_queries=part == "teacher",
            model=model,
            stage=stage,
            price=self.study.models[model].price if hosted else None,
            batch=batch,
        )

    def _manner(self, model: str) -> dict[str, object]:
        """Return the system message, stop texts and manner of querying that a model's file sets.

        The manner of querying is always that of the model's own file, like the code in
        `engine_code`.
        """
        config = self.study.models[model]
        asked = config.engine.manner()
        found = {"system": config.system, "stop": list(config.stop), "manner": asked}
        return {name: value for name, value in found.items() if value}

    def asked_models(self, jobs: Iterable[tuple[str, Mapping[str, str]]]) -> set[str]:
        """Return the models that some jobs query, without students.

        Args:
            jobs: name of the rule and wildcards of each.
        """
        found = set()
        for rule, wildcards in jobs:
            if rule == "write_questions":
                found.add(self.augmenter(wildcards["question_stream"])[0])
            elif rule in ("answer_questions", "sample_answers"):
                found.add(self.teacher(wildcards["stream"])[0])
            elif rule == "judge_student":
                found.add(self.judge(wildcards["judged_cell"])[0])
        return found

    def to_be_asked(self) -> set[str]:
        """Return the models that a spend will query, before its purchases are known."""
        spend = self.study.config.spend
        if spend is None:
            return set()
        judges = (task.judge.judge for task in self.study.tasks.values() if task.judge is not None)
        return {*filter(None, (spend.teacher, spend.augmenter)), *judges}

    def titles(self) -> Settings:
        """Return the titles of methods, tasks and models for figures."""
        titles: dict[str, dict[str, str]] = {
            name: {"title": method.title, "short": method.short}
            for name, method in self.study.methods.items()
        }
        for mixture in self.study.config.shares:
            title, short = self.study.mixture_title(mixture)
            titles[mixture] = {"title": title, "short": short}
        for named in (self.study.tasks, self.study.models):
            titles |= {name: {"title": config.title} for name, config in named.items()}
        return Settings(titles)

    def prices(self) -> Settings:
        """Return the prices of each model's tokens, requests and hours."""
        return Settings({name: self._price(name).content() for name in self.study.models})

    def _price(self, name: str) -> ModelPrice:
        price, engine = self.study.models[name].price, self.study.engine(name)
        hour, found = price.usd_per_gpu_hour, ModelPrice()
        if isinstance(engine, OpenAISettings):
            factor = 1.0 if engine.batch is None else price.batch_factor
            found = ModelPrice(usd_per_request=price.usd_per_request, factor=factor)
        elif hour is not None:
            found = ModelPrice(usd_per_hour=hour * max(1, gpus(self.study, name)))
        if hour is not None:
            trained = hour * job_gpus(self.study, "training", name)
            found = found.model_copy(update={"usd_per_training_hour": trained})
        tokens = {key: getattr(price, key) for key in TokenPrice.model_fields}
        return found.model_copy(update=tokens)

    def published(self) -> SettingsList:
        """Return the published crossovers."""
        return SettingsList([one.model_dump() for one in self.study.config.published])

    def report_settings(self) -> dict[str, Settings | SettingsList | str | None]:
        """Return the parameters of the report, by name."""
        return {
            "titles": self.titles(),
            "prices": self.prices(),
            "published": self.published(),
            "description": self.study.config.description,
            # Notes on the study's contrasts.
            "remarks": SettingsList(self.study.config.remarks),
        }

    def comparison_settings(self) -> Settings:
        """Return how methods are compared."""
        analysis = self.study.config.analysis
        return Settings({"methods": list(self.study.methods), "confidence": analysis.confidence})

    def share_settings(self) -> Settings:
        """Return how mixtures are compared by the shares of their methods."""
        return Settings({**self.comparison_settings(), "shares": self._shares()})

    def _shares(self) -> dict[str, object]:
        """Return the shares of methods in each mixture without real data."""
        return {
            mixture: fractions(of)
            for mixture, of in self.study.config.shares.items()
            if of is not None and all(share != "all" for _, share in of)
        }

    def augmenter_settings(self) -> Settings:
        """Return how augmenters are compared; they are in the order in which blocks name them."""
        named = [name for block in self.study.config.blocks for name in block.augmenters or ()]
        analysis = self.study.config.analysis
        return Settings(
            {
                "methods": list(self.study.methods),
                "augmenters": list(dict.fromkeys(named)),
                "confidence": analysis.confidence,
            }
        )

    def contrasts(self) -> SettingsList:
        """Return the contrasts to test."""
        found = self.study.contrasts.items()
        return SettingsList(
            [{"name": name, **one.model_dump(exclude_defaults=True)} for name, one in found]
        )

    def contrast_prices(self) -> Settings:
        """Return the prices of models, if a contrast is tested at equal dollars; else none."""
        priced = any(one.needs_prices for one in self.study.contrasts.values())
        return self.prices() if priced else Settings({})

    def fit_settings(self) -> Settings:
        """Return how curves are fitted."""
        analysis = self.study.config.analysis
        known = {"kinds": self.kinds(), "shares": self._shares()}
        return Settings({"methods": list(self.study.methods), **known, **analysis.model_dump()})

    def kinds(self) -> Settings:
        """Return the kind of questions of each method that queries a teacher."""
        methods = self.study.methods.items()
        return Settings({name: one.asks for name, one in methods if one.real_pairs is None})

    def crossover_settings(self) -> Settings:
        """Return how crossovers are found."""
        return Settings({"confidence": self.study.config.analysis.confidence})
