"""What runs a model, what its tokens cost, and what a job gets to know of both."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError, model_validator

from seedbed.config.messages import problems
from seedbed.config.sections import Section, tag
from seedbed.config.values import (
    DISTINCT,
    LISTED,
    Count,
    Date,
    JsonObject,
    NotNegative,
    Positive,
    Stage,
    Text,
    changes,
    nearest,
    problem,
)
from seedbed.models import Quantization

VARIABLE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)\}")
"""An environment variable in the text of a header, or of a parameter of an address."""

FIELD_KEYS = ("limit_field", "temperature_field", "top_p_field", "seed_field", "stop_field")
_SECRET = re.compile(r"key|token|secret|auth|password|credential|cookie", re.IGNORECASE)
_OPERATION = re.compile(r"/(?:chat/completions|completions|responses|messages)/?$")
_ANSWERS = changes("questions", "answers", "verification", "evaluation")

ADAPTERS_AT_ONCE = 4
"""Adapters in one step of vLLM: while the last answers of one end, others keep the GPU busy. Four
are as fast as one, by its published numbers."""

SPEED_OPTIONS = frozenset(
    (
        "block_size", "compilation_config", "cpu_offload_gb", "disable_custom_all_reduce",
        "disable_log_stats", "distributed_executor_backend",
        "download_dir", "enable_chunked_prefill", "enable_prefix_caching", "enforce_eager",
        "gpu_memory_utilization", "load_format", "max_model_len", "max_num_batched_tokens",
        "max_num_seqs", "max_parallel_loading_workers", "num_gpu_blocks_override",
        "pipeline_parallel_size", "swap_space", "tensor_parallel_size",
    )
)  # fmt: skip
"""vLLM's options that change how fast a model answers, and not what."""


class SystemMessage(Section):
    """The message that sets a model up."""

    system: Text | None = Field(
        None,
        description="Message that sets it up, before each question; null sends none.",
        json_schema_extra=changes("questions", "answers", "verification", "training", "evaluation"),
    )


class Setup(SystemMessage):
    """How a model is set up, whatever it is asked."""

    stop: Annotated[tuple[Text, ...], LISTED, DISTINCT] = Field(
        (),
        description="Texts that end what it writes, where it writes one of them; they are cut off.",
        json_schema_extra=_ANSWERS,
    )


class Asked(Setup):
    """How the model of a job is asked.

    Attributes:
        manner: how it is asked otherwise than by default, which the engine's settings say as well.
    """

    manner: JsonObject | None = None

    def content(self) -> JsonObject:
        """Return all settings for JSON, without those that came later where they are as before."""
        found, later = self.model_dump(mode="json"), ("manner", "keep_thinking")
        return {name: value for name, value in found.items() if name not in later or value}


class EngineSettings(Section):
    """What runs a model to generate text; one class for each `kind`."""

    STAGES: ClassVar[tuple[Stage, ...]] = ()
    ALWAYS_PASSED: ClassVar[tuple[str, ...]] = ()
    """Keys that a job gets whatever they are; all others, where they differ from their default."""

    thinking_tokens: Annotated[int, Field(ge=0)] = Field(
        0,
        description="Tokens that the model may think before it answers, added to every limit. "
        "Thinking is never part of an answer.",
        json_schema_extra=_ANSWERS,
    )

    @classmethod
    def unknown_key(cls, key: str) -> str:
        """Return what is wrong with a key that this kind does not have."""
        if any(key in other.model_fields for other in KINDS.values()):
            return f"has no effect with kind: {cls.model_fields['kind'].default}"
        return super().unknown_key(key)

    def manner(self) -> JsonObject:
        """Return how the model is asked otherwise than by default, which its answers depend on.

        Addresses, headers and queries are not part of it: they say where and as whom it is asked.

        Returns:
            By name, what differs; empty if nothing does.
        """
        found = {"thinking_tokens": self.thinking_tokens} | self._manner()
        return {name: value for name, value in found.items() if value}

    def _manner(self) -> JsonObject:
        return {}


class _InJob(EngineSettings):
    """What runs a model in the job itself, on a CPU or on GPUs."""

    gpus: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="GPUs of a job that runs the model, over which vLLM spreads it; "
        "with `transformers` at most one. With null, none for a model that the workflow trains and "
        "Transformers runs; else as many of 80 GB as its size needs, by its weights, its name on "
        "the hub, or `size`, and one if nothing tells.",
    )


class TransformersSettings(_InJob):
    """Transformers, in the job itself."""

    ALWAYS_PASSED: ClassVar[tuple[str, ...]] = ("batch_size", "gpus")

    kind: Literal["transformers"] = "transformers"
    batch_size: Count = Field(
        256,
        description="The most prompts that are generated from together. It is halved where memory "
        "does not suffice.",
    )
    quantization: Quantization | None = Field(
        None,
        description="The form in which bitsandbytes loads the weights of linear layers: `nf4` in 4 "
        "bits, `int8` in 8. A student is trained and evaluated on these weights.",
        json_schema_extra=changes("questions", "answers", "verification", "training", "evaluation"),
    )

    def _manner(self) -> JsonObject:
        return {"quantization": self.quantization}

    @model_validator(mode="after")
    def _one_gpu(self) -> TransformersSettings:
        if (self.gpus or 0) > 1:
            raise problem("must be 0 or 1 with kind: transformers; vllm takes more", "gpus")
        return self


class VLLMSettings(_InJob):
    """vLLM, in the job itself."""

    ALWAYS_PASSED: ClassVar[tuple[str, ...]] = (
        *("batch_size", "gpus", "gpu_memory", "context", "eager"),
    )

    kind: Literal["vllm"] = "vllm"
    batch_size: Count | None = Field(
        None,
        description="The most prompts that are generated from together; null takes vLLM's own "
        "number, which depends on the GPU.",
    )
    gpu_memory: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9, description="Share of a GPU's memory that it may take."
    )
    context: Count | None = Field(
        None,
        description="Tokens of prompt and answer that it makes room for; null takes what the model "
        "can, which may be more than the GPU has memory for.",
    )
    eager: bool = Field(
        False,
        description="Whether to go without compiling the model first, which takes a minute or two "
        "and makes it faster.",
    )
    data_parallel_size: Count = Field(
        1,
        description="Copies of the model in a job, which share its requests. Each is a process, on "
        "`gpus` / `data_parallel_size` GPUs; with null for `gpus`, on as many as its size needs.",
    )
    options: dict[Text, Any] = Field(
        {},
        description="Arguments of vLLM's engine by its own names, as `{quantization: fp8, "
        "max_num_seqs: 64}`, and `chat_template_kwargs`. They take precedence over the keys above.",
        json_schema_extra=_ANSWERS,
    )

    @model_validator(mode="after")
    def _copies(self) -> VLLMSettings:
        count, at = self.data_parallel_size, "data_parallel_size"
        if at in self.options:
            raise problem("is a key of engine itself, beside options", "options", at)
        if (self.gpus or 0) % count:
            raise problem(f"{count} copies cannot share {self.gpus} GPUs (engine.gpus) evenly", at)
        return self

    def _manner(self) -> JsonObject:
        options = self.options.items()
        return {"options": {name: value for name, value in options if name not in SPEED_OPTIONS}}


class BatchSettings(Section):
    """How a model is asked through its provider's Batch API."""

    STAGES: ClassVar[tuple[Stage, ...]] = ()

    form: Literal["openai", "together", "mistral"] = Field(
        "openai",
        description="Whose API it is: `openai` is that of most, as of Azure and Groq; `together` "
        "and `mistral` have their own addresses for files and batches.",
    )
    window: Annotated[str, Field(pattern=r"^[1-9][0-9]*[hd]$")] = Field(
        "24h", description="In what time the answers are wanted, as the provider calls it."
    )
    endpoint: Text = Field(
        "/v1/chat/completions",
        description="The address of a request as the provider wants it in a batch; Azure's older "
        "versions want `/chat/completions`.",
    )
    requests: Count = Field(50_000, description="The most requests of a batch.")
    megabytes: Positive = Field(100.0, description="The largest file of a batch.")
    tokens: Count | None = Field(
        None,
        description="The most prompt tokens, by estimate, that a job has in the provider's queue. "
        "With null, a batch that the queue has no room for is sent again later, and split.",
    )

    @property
    def hours(self) -> int:
        """The window in hours."""
        return int(self.window[:-1]) * (24 if self.window.endswith("d") else 1)


class OpenAISettings(EngineSettings):
    """An endpoint that takes the OpenAI API's chat completions: a hosted one, or a server."""

    ALWAYS_PASSED: ClassVar[tuple[str, ...]] = (
        *("base_url", "model", "key_variable", "concurrency", "timeout", "limit_field"),
    )

    kind: Literal["openai"] = "openai"
    base_url: Text = Field(
        "", description="Address of the endpoint, as `http://localhost:8000/v1`."
    )
    model: Text | None = Field(
        None, description="The model's name there; null takes that of `api` or `hub`."
    )
    key_variable: Text | None = Field(
        None,
        description="The environment variable that holds the key; null sends none. The key itself "
        "must not stand in any file.",
    )
    concurrency: Count = Field(
        64,
        description="The most requests under way at once; fewer when the endpoint has too much to "
        "do.",
    )
    timeout: Positive = Field(
        600.0, description="Seconds after which a request is given up, and asked again."
    )
    attempts: Count = Field(
        8,
        description="How often a request that fails is tried; where others are answered, as often "
        "once more after all others. A refusal by a rate limit does not count.",
    )
    limit_field: Text | None = Field(
        "max_tokens",
        description="The endpoint's name for the most tokens of an answer; some models take only "
        "`max_completion_tokens`. Null leaves it out.",
        json_schema_extra=_ANSWERS,
    )
    temperature_field: Text | None = Field(
        "temperature",
        description="The endpoint's name for the temperature. Null leaves it out, for models that "
        "refuse it.",
        json_schema_extra=_ANSWERS,
    )
    top_p_field: Text | None = Field(
        "top_p",
        description="The endpoint's name for `generation.top_p`. Null leaves it out.",
        json_schema_extra=_ANSWERS,
    )
    seed_field: Text | None = Field(
        "seed",
        description="The endpoint's name for the sampling seed, a number of 31 bits, as "
        "`random_seed`. Null leaves it out.",
        json_schema_extra=_ANSWERS,
    )
    stop_field: Text | None = Field(
        "stop",
        description="The endpoint's name for the texts of `stop`. Null leaves it out.",
        json_schema_extra=_ANSWERS,
    )
    send_defaults: bool = Field(
        False,
        description="Whether a temperature or `top_p` of 1 is sent as well. Required for servers "
        "whose defaults are others, as vLLM, llama.cpp and Ollama; hosted models may refuse it.",
        json_schema_extra=_ANSWERS,
    )
    body: dict[Text, Any] = Field(
        {},
        description="Further fields of each request, as `{reasoning_effort: low}` or "
        "`{chat_template_kwargs: {enable_thinking: false}}`.",
        json_schema_extra=_ANSWERS,
    )
    headers: dict[Text, Text] = Field(
        {},
        description="Further headers of each request. A secret stands in them as `${NAME}`, the "
        "environment variable that holds it.",
    )
    query: dict[Text, Text] = Field(
        {},
        description="Parameters of the address, as `{api-version: 2024-10-21}`; secrets as in "
        "`headers`.",
    )
    stream: bool = Field(
        False,
        description="Whether answers are sent while they are written, for gateways that close a "
        "connection on which nothing happens.",
    )
    batch: BatchSettings | None = Field(
        None,
        description="Whether requests go through the provider's Batch API, at a lower price and "
        "within a day: `{}`, or its keys. Null asks one by one.",
    )
    ends: dict[Text, Literal["stop", "length", "content_filter", "again"]] = Field(
        {},
        description="What a `finish_reason` means that is not known here: `stop` (the answer is "
        "whole), `length` (cut off), `content_filter`, or `again` (the endpoint failed: the "
        "request is retried).",
    )

    def variables(self) -> list[tuple[str, str]]:
        """Return the environment variables with secrets, each with the key that names it."""
        found = [(self.key_variable, "key_variable")] if self.key_variable else []
        for key in ("headers", "query"):
            texts = getattr(self, key).values()
            found += [(name, key) for text in texts for name in VARIABLE.findall(text)]
        return list(dict.fromkeys(found))

    def _manner(self) -> JsonObject:
        names = ("limit", "temperature", "top_p", "seed", "stop")
        return {
            "left_out": [name for name in names if getattr(self, f"{name}_field") is None],
            "send_defaults": self.send_defaults,
            "body": self.body,
        }

    @model_validator(mode="after")
    def _sound_address(self) -> OpenAISettings:
        if not self.base_url:
            raise problem("is missing: the address of the endpoint", "base_url")
        # Of what may hold a secret, the message shows nothing.
        try:
            address = urlsplit(self.base_url)
            sound = address.scheme in ("http", "https") and bool(address.hostname)
        except ValueError:
            sound = False
        if not sound or address.query or address.fragment:
            raise problem("must be an address as http://localhost:8000/v1", "base_url")
        if found := _OPERATION.search(address.path):
            said = f"must end before {found[0]}, which is added to it: https://api.openai.com/v1"
            raise problem(said, "base_url")
        if "@" in address.netloc:
            raise problem("must not hold a password; give key_variable", "base_url")
        return self

    @model_validator(mode="after")
    def _no_secrets(self) -> OpenAISettings:
        if self.key_variable is not None and not re.fullmatch(
            r"[A-Z_][A-Z0-9_]*", self.key_variable
        ):
            said = "must be the name of an environment variable, as OPENAI_API_KEY, not a key"
            raise problem(said, "key_variable")
        for key in ("headers", "query"):
            for name, text in getattr(self, key).items():
                if _SECRET.search(name) and not VARIABLE.search(text):
                    said = (
                        "must name the environment variable that holds the secret, as "
                        "${SOME_API_KEY}: a secret must not stand in any file"
                    )
                    raise problem(said, key, name)
        return self

    @model_validator(mode="after")
    def _no_field_twice(self) -> OpenAISettings:
        given = ["model", "messages", "stream", "n"]
        for key in FIELD_KEYS:
            name = getattr(self, key)
            if name is None:
                continue
            if name in given:
                raise problem(f"{name!r} is the name of another field of a request", key)
            given.append(name)
        for name, value in self.body.items():
            if name in given:
                said = f"{name!r} is sent already: rename or leave out that one first"
                raise problem(said, "body", name)
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):
                said = f"cannot be written as JSON: {value!r}; put it in quotes"
                raise problem(said, "body", name) from None
        return self


KINDS: dict[str, type[TransformersSettings | VLLMSettings | OpenAISettings]] = {
    "transformers": TransformersSettings,
    "vllm": VLLMSettings,
    "openai": OpenAISettings,
}


def kind_of(value: Any) -> str:
    """Return the kind of engine that a section is of: Transformers, if it does not say."""
    kind = value.get("kind", "transformers") if isinstance(value, dict) else None
    return getattr(value, "kind", "transformers") if kind is None else kind


def _known_kind(value: Any) -> Any:
    kind = value.get("kind", "transformers") if isinstance(value, dict) else "transformers"
    if not isinstance(kind, str) or kind not in KINDS:
        raise problem(f"{kind!r} is not valid; {nearest(str(kind), KINDS, 'valid')}", "kind")
    return value


def _tag(value: Any) -> str:
    return tag(kind_of(value))


AnyEngine = Annotated[
    Annotated[TransformersSettings, Tag(tag("transformers"))]
    | Annotated[VLLMSettings, Tag(tag("vllm"))]
    | Annotated[OpenAISettings, Tag(tag("openai"))],
    Discriminator(_tag),
    BeforeValidator(_known_kind),
]
"""The section `engine` of a model: of the class that its `kind` names."""


class TokenPrice(Section):
    """What the tokens of a model cost."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("analysis",)

    usd_per_million_prompt_tokens: NotNegative | None = Field(None, description="null: not known.")
    usd_per_million_completion_tokens: NotNegative | None = Field(
        None, description="null: not known."
    )


class Price(TokenPrice):
    """What a model costs: by its tokens and requests, or by the hours of its GPUs."""

    usd_per_million_cached_tokens: NotNegative | None = Field(
        None,
        description="Of prompt tokens that the provider read from its cache. Null: as other prompt "
        "tokens.",
    )
    usd_per_million_thinking_tokens: NotNegative | None = Field(
        None, description="Of tokens of thinking. Null: as other tokens written."
    )
    usd_per_request: NotNegative = Field(
        0.0, description="Of each request that is answered, in addition to its tokens."
    )
    batch_factor: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="What a request costs through the provider's Batch API, as a share of its "
        "price, as 0.5.",
    )
    usd_per_gpu_hour: NotNegative | None = Field(
        None,
        description="Of one GPU that the model runs on or is trained on (of a job, where it runs "
        "without one), for models that the jobs run themselves.",
    )
    date: Date | None = Field(
        None, description="When the price was read, as 2026-01-31. Required with a price."
    )

    @model_validator(mode="after")
    def _dated(self) -> Price:
        if self.stated() and self.date is None:
            raise problem("is missing: prices change, so one needs the day it was read", "date")
        return self

    def stated(self) -> dict[str, float]:
        """Return the prices that differ from their default, by key."""
        found = self.model_dump(exclude={"date"})
        defaults = {key: type(self).model_fields[key].default for key in found}
        return {key: value for key, value in found.items() if value != defaults[key]}

    @property
    def whole(self) -> bool:
        """Whether tokens read and tokens written both have a price."""
        return None not in (
            self.usd_per_million_prompt_tokens,
            self.usd_per_million_completion_tokens,
        )

    def usd(self, used: Used, batch: bool = False) -> float | None:
        """Return what answers cost by their tokens and requests; None if a price is not known.

        Args:
            used: the answers.
            batch: whether they came through the provider's Batch API.
        """
        read, written = self.usd_per_million_prompt_tokens, self.usd_per_million_completion_tokens
        if read is None or written is None:
            return None
        cached, thinking = (
            usual if price is None else price
            for price, usual in (
                (self.usd_per_million_cached_tokens, read),
                (self.usd_per_million_thinking_tokens, written),
            )
        )
        dollars = (
            (used.prompt_tokens - used.cached_tokens) * read
            + used.cached_tokens * cached
            + (used.completion_tokens - used.thinking_tokens) * written
            + used.thinking_tokens * thinking
        ) / 1e6 + used.requests * self.usd_per_request
        return dollars * (self.batch_factor if batch else 1.0)

    def most_usd(self, prompt_tokens: float, max_tokens: float, batch: bool = False) -> float:
        """Return the most dollars that a request can cost; a price that is not known counts as 0.

        Args:
            prompt_tokens: that it has at most.
            max_tokens: that its answer has at most.
            batch: whether it is sent through the provider's Batch API.
        """
        read = max(
            self.usd_per_million_prompt_tokens or 0.0, self.usd_per_million_cached_tokens or 0.0
        )
        written = max(
            self.usd_per_million_completion_tokens or 0.0,
            self.usd_per_million_thinking_tokens or 0.0,
        )
        dollars = (prompt_tokens * read + max_tokens * written) / 1e6 + self.usd_per_request
        return dollars * (self.batch_factor if batch else 1.0)


@dataclass(frozen=True, slots=True)
class Used:
    """What answers took.

    Attributes:
        requests: that were answered.
        prompt_tokens: read.
        cached_tokens: of these, from the provider's cache.
        completion_tokens: written and billed, thinking included.
        thinking_tokens: of these, thinking.
    """

    requests: float = 0
    prompt_tokens: float = 0
    cached_tokens: float = 0
    completion_tokens: float = 0
    thinking_tokens: float = 0

    def __add__(self, other: Used) -> Used:
        return Used(*(getattr(self, name) + getattr(other, name) for name in Used.__slots__))


class Cap(Section):
    """Where a job books what it asks, and how much it may ask; see `seedbed.engines.cap`.

    Attributes:
        ledger: folder with what all jobs have spent.
        max_teacher_queries: the most queries of teachers; None for no limit.
        max_usd: the most dollars; None for no limit.
        counts_queries: whether this model is asked as a teacher.
        model: the model, by its name in the study.
        stage: what it is asked for: see `seedbed.study.estimate`.
        price: its price; None for a model that jobs run themselves.
        batch: whether it is asked through the provider's Batch API.
    """

    ledger: str
    max_teacher_queries: int | None = None
    max_usd: float | None = None
    counts_queries: bool = True
    model: str = ""
    stage: str = ""
    price: Price | None = None
    batch: bool = False

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self.max_teacher_queries is not None or self.max_usd is not None


class EngineJob(Section):
    """What a job gets to know of the engine that runs its model.

    Attributes:
        settings: the section `engine` of the model, resolved: with a name at the endpoint, and a
            number of GPUs.
        cap: how much may be asked; None for no limit.
        place: the file or key that says all this, for messages.
        batches: folder in which the job notes what it has under way through a Batch API.
        wait: whether it waits for that.
    """

    settings: AnyEngine = Field(default_factory=partial(TransformersSettings, gpus=1))
    cap: Cap | None = None
    place: str = ""
    batches: str = ""
    wait: bool = True

    @classmethod
    def of(
        cls,
        kind: str = "transformers",
        cap: Cap | None = None,
        place: str = "",
        **settings: Any,
    ) -> EngineJob:
        """Return a job with settings of a kind."""
        return cls(settings=KINDS[kind](**settings), cap=cap, place=place)

    @classmethod
    def from_json(cls, text: str) -> EngineJob:
        """Read what `to_json` wrote.

        Raises:
            ValueError: if it is something else, naming the key.
        """
        content = json.loads(text)
        cap, wait = content.pop("cap", None), content.pop("wait", True)
        if "name" in content:
            content["model"] = content.pop("name")
        try:
            return cls.model_validate({"settings": content, "cap": cap, "wait": wait})
        except ValidationError as error:
            raise ValueError(problems(error)) from None

    def content(self) -> JsonObject:
        """Return the job's settings: as one section, in which the model is called `name`."""
        settings, kept = self.settings, {"kind"}.union(self.settings.ALWAYS_PASSED)
        content = {
            key: value
            for key, value in settings.model_dump(mode="json").items()
            if key in kept or value != type(settings).model_fields[key].default
        }
        if "model" in content:
            content["name"] = content.pop("model")
        if self.cap is not None:
            content["cap"] = self.cap.model_dump(mode="json")
        if not self.wait:
            content["wait"] = False
        return content

    def to_json(self) -> str:
        """Write the job's settings for `from_json`."""
        return json.dumps(self.content(), sort_keys=True)

    @property
    def kind(self) -> str:
        """The engine's kind."""
        return self.settings.kind

    @property
    def ends(self) -> dict[str, str]:
        """By further name of a finish reason, what it means."""
        return dict(self.settings.ends) if isinstance(self.settings, OpenAISettings) else {}

    @property
    def module(self) -> str:
        """The engine's module, which is imported only where its kind is used."""
        return engine_module("batch" if self.batched else self.kind)

    @property
    def batched(self) -> bool:
        """Whether the model is asked through a Batch API."""
        return isinstance(self.settings, OpenAISettings) and self.settings.batch is not None

    def identity(self, model: str) -> str:
        """Return what identifies the model of an answer, together with what changes what it says.

        Args:
            model: what identifies the model's weights.

        Returns:
            The same, where nothing is asked otherwise than by default.
        """
        differs = self.settings.manner()
        if not differs:
            return model
        text = json.dumps([model, differs], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def engine_module(kind: str) -> str:
    """Return the module of a kind of engine."""
    return f"seedbed.engines.{kind}_engine"
