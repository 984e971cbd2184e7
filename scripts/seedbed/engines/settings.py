"""Settings of engines, prices of models, and the part of both that a job receives."""

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
"""An environment variable in the text of a header or query parameter."""

FIELD_KEYS = ("limit_field", "temperature_field", "top_p_field", "seed_field", "stop_field")
_SECRET = re.compile(r"key|token|secret|auth|password|credential|cookie", re.IGNORECASE)
_OPERATION = re.compile(r"/(?:chat/completions|completions|responses|messages)/?$")
_ANSWERS = changes("questions", "answers", "verification", "evaluation")

ADAPTERS_AT_ONCE = 4
"""Adapters in one batch of vLLM: while the last answers with one finish, the others keep the GPU
busy. Four are as fast as one, according to vLLM's published numbers."""

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
"""vLLM's options that change the speed of a model, but not its answers."""


class SystemMessage(Section):
    """The system message of a model."""

    system: Text | None = Field(
        None,
        description="System message before each question; null sends none.",
        json_schema_extra=changes("questions", "answers", "verification", "training", "evaluation"),
    )


class Setup(SystemMessage):
    """Settings of a model for all its requests."""

    stop: Annotated[tuple[Text, ...], LISTED, DISTINCT] = Field(
        (),
        description="Stop texts: an answer ends before the first of them that the model writes.",
        json_schema_extra=_ANSWERS,
    )


class Asked(Setup):
    """Settings of a job's requests to its model.

    Attributes:
        manner: the engine's settings that change answers and differ from their defaults.
    """

    manner: JsonObject | None = None

    def content(self) -> JsonObject:
        """Return all settings for JSON, without later additions that have their defaults."""
        found, later = self.model_dump(mode="json"), ("manner", "keep_thinking")
        return {name: value for name, value in found.items() if name not in later or value}


class EngineSettings(Section):
    """The engine that generates text with a model; one class for each `kind`."""

    STAGES: ClassVar[tuple[Stage, ...]] = ()
    ALWAYS_PASSED: ClassVar[tuple[str, ...]] = ()
    """Keys that a job always receives. It receives others if they differ from their defaults."""

    thinking_tokens: Annotated[int, Field(ge=0)] = Field(
        0,
        description="Tokens that the model may think before it answers, added to every limit. "
        "Thinking is never part of an answer.",
        json_schema_extra=_ANSWERS,
    )

    @classmethod
    def unknown_key(cls, key: str) -> str:
        """Return the error message for a key that this kind does not have."""
        if any(key in other.model_fields for other in KINDS.values()):
            return f"has no effect with kind: {cls.model_fields['kind'].default}"
        return super().unknown_key(key)

    def manner(self) -> JsonObject:
        """Return the settings that change answers and differ from their defaults.

        Addresses, headers and query parameters are not part of them, because they only locate and
        authenticate.

        Returns:
            Values by name; empty if none differs.
        """
        found = {"thinking_tokens": self.thinking_tokens} | self._manner()
        return {name: value for name, value in found.items() if value}

    def _manner(self) -> JsonObject:
        return {}


class _InJob(EngineSettings):
    """An engine that runs a model in the job's own process, on a CPU or on GPUs."""

    gpus: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="Number of GPUs of a job that runs the model, over which vLLM spreads it; "
        "with `transformers` at most one. With null, none for a model that the workflow trains and "
        "Transformers runs. For other models, null means as many GPUs of 80 GB as the model's size "
        "needs, according to its weights, its name on the hub, or `size`, and one if the size is "
        "unknown.",
    )


class TransformersSettings(_InJob):
    """Transformers, in the job itself."""

    ALWAYS_PASSED: ClassVar[tuple[str, ...]] = ("batch_size", "gpus")

    kind: Literal["transformers"] = "transformers"
    batch_size: Count = Field(
        256,
        description="Most prompts in a batch. It is halved when memory does not suffice.",
    )
    quantization: Quantization | None = Field(
        None,
        description="Format in which bitsandbytes loads the weights of linear layers: `nf4` in 4 "
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
        description="Most prompts in a batch; null takes vLLM's default, which depends on the GPU.",
    )
    gpu_memory: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9, description="Share of a GPU's memory that vLLM may use."
    )
    context: Count | None = Field(
        None,
        description="Most tokens of prompt and answer together; null takes the model's own "
        "maximum, for which the GPU's memory may not suffice.",
    )
    eager: bool = Field(
        False,
        description="Whether to skip compiling the model, which takes a minute or two and makes it "
        "faster.",
    )
    data_parallel_size: Count = Field(
        1,
        description="Copies of the model in a job, which share its requests. Each is a process on "
        "`gpus` / `data_parallel_size` GPUs; with null for `gpus`, on as many as its size needs.",
    )
    options: dict[Text, Any] = Field(
        {},
        description="Arguments of vLLM's engine by vLLM's names, e.g. `{quantization: fp8, "
        "max_num_seqs: 64}`, and `chat_template_kwargs`. They take precedence over the keys above.",
        json_schema_extra=_ANSWERS,
    )

    @model_validator(mode="after")
    def _copies(self) -> VLLMSettings:
        count, at = self.data_parallel_size, "data_parallel_size"
        if at in self.options:
            raise problem("is a key of engine itself, not of options", "options", at)
        if (self.gpus or 0) % count:
            raise problem(f"{count} copies cannot share {self.gpus} GPUs (engine.gpus) evenly", at)
        return self

    def _manner(self) -> JsonObject:
        options = self.options.items()
        return {"options": {name: value for name, value in options if name not in SPEED_OPTIONS}}


class BatchSettings(Section):
    """Settings of the provider's Batch API."""

    STAGES: ClassVar[tuple[Stage, ...]] = ()

    form: Literal["openai", "together", "mistral"] = Field(
        "openai",
        description="Form of the API: most providers, including Azure and Groq, have that of "
        "`openai`. `together` and `mistral` have their own addresses for files and batches.",
    )
    window: Annotated[str, Field(pattern=r"^[1-9][0-9]*[hd]$")] = Field(
        "24h", description="Time within which the answers are wanted, in the provider's notation."
    )
    endpoint: Text = Field(
        "/v1/chat/completions",
        description="Path of a request in a batch; Azure's older versions want "
        "`/chat/completions`.",
    )
    requests: Count = Field(50_000, description="Most requests in a batch.")
    megabytes: Positive = Field(100.0, description="Largest file of a batch.")
    tokens: Count | None = Field(
        None,
        description="Most prompt tokens, by estimate, that a job has in the provider's queue. "
        "With null, a batch for which the queue has no room is split, and sent again later.",
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
        "", description="Address of the endpoint, e.g. `http://localhost:8000/v1`."
    )
    model: Text | None = Field(
        None, description="The model's name at the endpoint; null takes its name in `api` or `hub`."
    )
    key_variable: Text | None = Field(
        None,
        description="Environment variable that holds the key; null sends none. The key itself "
        "must not be in any file.",
    )
    concurrency: Count = Field(
        64,
        description="Most concurrent requests; fewer are sent when the endpoint is overloaded.",
    )
    timeout: Positive = Field(
        600.0, description="Seconds after which a request times out and is retried."
    )
    attempts: Count = Field(
        8,
        description="Number of attempts at a request that fails. If other requests are answered, "
        "it gets the same number once more after all others. Rate-limited attempts do not count.",
    )
    limit_field: Text | None = Field(
        "max_tokens",
        description="The endpoint's name for the maximum number of tokens of an answer; some "
        "models accept only `max_completion_tokens`. Null leaves it out.",
        json_schema_extra=_ANSWERS,
    )
    temperature_field: Text | None = Field(
        "temperature",
        description="The endpoint's name for the temperature. Null leaves it out, for models that "
        "do not accept it.",
        json_schema_extra=_ANSWERS,
    )
    top_p_field: Text | None = Field(
        "top_p",
        description="The endpoint's name for `generation.top_p`. Null leaves it out.",
        json_schema_extra=_ANSWERS,
    )
    seed_field: Text | None = Field(
        "seed",
        description="The endpoint's name for the sampling seed, e.g. `random_seed`. The seed is an "
        "integer of 31 bits. Null leaves it out.",
        json_schema_extra=_ANSWERS,
    )
    stop_field: Text | None = Field(
        "stop",
        description="The endpoint's name for the texts of `stop`. Null leaves it out.",
        json_schema_extra=_ANSWERS,
    )
    send_defaults: bool = Field(
        False,
        description="Whether a temperature or `top_p` of 1 is sent too. Required for servers with "
        "other defaults, e.g. vLLM, llama.cpp and Ollama; hosted models may refuse it.",
        json_schema_extra=_ANSWERS,
    )
    body: dict[Text, Any] = Field(
        {},
        description="Further fields of each request, e.g. `{reasoning_effort: low}` or "
        "`{chat_template_kwargs: {enable_thinking: false}}`.",
        json_schema_extra=_ANSWERS,
    )
    headers: dict[Text, Text] = Field(
        {},
        description="Further headers of each request. Write a secret as `${NAME}`, with the name "
        "of the environment variable that holds it.",
    )
    query: dict[Text, Text] = Field(
        {},
        description="Query parameters of the address, e.g. `{api-version: 2024-10-21}`; secrets as "
        "in `headers`.",
    )
    stream: bool = Field(
        False,
        description="Whether answers are streamed, for gateways that close idle connections.",
    )
    batch: BatchSettings | None = Field(
        None,
        description="Settings of the provider's Batch API (`{}` for the defaults), which answers "
        "at a lower price within a day. Null sends requests one by one.",
    )
    ends: dict[Text, Literal["stop", "length", "content_filter", "again"]] = Field(
        {},
        description="Meaning of each `finish_reason` that seedbed does not know: `stop` (the "
        "answer is whole), `length` (cut off), `content_filter`, or `again` (the endpoint failed: "
        "the request is retried).",
    )

    def variables(self) -> list[tuple[str, str]]:
        """Return (variable, key) for each environment variable with a secret, named in a key."""
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
        # The messages show nothing that may contain a secret.
        try:
            address = urlsplit(self.base_url)
            sound = address.scheme in ("http", "https") and bool(address.hostname)
        except ValueError:
            sound = False
        if not sound or address.query or address.fragment:
            raise problem("must be an address like http://localhost:8000/v1", "base_url")
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
            said = "must be the name of an environment variable, e.g. OPENAI_API_KEY, not a key"
            raise problem(said, "key_variable")
        for key in ("headers", "query"):
            for name, text in getattr(self, key).items():
                if _SECRET.search(name) and not VARIABLE.search(text):
                    said = (
                        "must name the environment variable that holds the secret, e.g. "
                        "${SOME_API_KEY}: a secret must not be in any file"
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
    """Return the engine kind of a section; `transformers` if it names none."""
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
"""The section `engine` of a model, of the class for its `kind`."""


class TokenPrice(Section):
    """Prices of a model's tokens."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("analysis",)

    usd_per_million_prompt_tokens: NotNegative | None = Field(None, description="null: unknown.")
    usd_per_million_completion_tokens: NotNegative | None = Field(
        None, description="null: unknown."
    )


class Price(TokenPrice):
    """The price of a model: per token and request, or per GPU hour."""

    usd_per_million_cached_tokens: NotNegative | None = Field(
        None,
        description="Price of prompt tokens that the provider read from its cache. Null: the price "
        "of other prompt tokens.",
    )
    usd_per_million_thinking_tokens: NotNegative | None = Field(
        None, description="Price of thinking tokens. Null: the price of other completion tokens."
    )
    usd_per_request: NotNegative = Field(
        0.0, description="Price of each answered request, in addition to its tokens."
    )
    batch_factor: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="Price of a request through the provider's Batch API, as a share of its normal "
        "price, e.g. 0.5.",
    )
    usd_per_gpu_hour: NotNegative | None = Field(
        None,
        description="Price of each GPU on which the model runs or is trained (or of the job, if it "
        "uses no GPU), for models that the jobs run themselves.",
    )
    date: Date | None = Field(
        None, description="Date when the price was read, e.g. 2026-01-31. Required with a price."
    )

    @model_validator(mode="after")
    def _dated(self) -> Price:
        if self.stated() and self.date is None:
            raise problem("is missing: prices change, so a price needs its date", "date")
        return self

    def stated(self) -> dict[str, float]:
        """Return the prices that differ from their default, by key."""
        found = self.model_dump(exclude={"date"})
        defaults = {key: type(self).model_fields[key].default for key in found}
        return {key: value for key, value in found.items() if value != defaults[key]}

    @property
    def whole(self) -> bool:
        """Whether prompt tokens and completion tokens both have a price."""
        return None not in (
            self.usd_per_million_prompt_tokens,
            self.usd_per_million_completion_tokens,
        )

    def usd(self, used: Used, batch: bool = False) -> float | None:
        """Return the cost of answers by their tokens and requests; None if a price is unknown.

        Args:
            used: the answers and their tokens.
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
        """Return the most dollars that a request can cost; an unknown price counts as 0.

        Args:
            prompt_tokens: most tokens of the prompt.
            max_tokens: most tokens of the answer.
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
    """Usage: numbers of answered requests and of their tokens.

    Attributes:
        requests: answered requests.
        prompt_tokens: prompt tokens.
        cached_tokens: prompt tokens that came from the provider's cache.
        completion_tokens: generated and billed tokens, including thinking.
        thinking_tokens: completion tokens that are thinking.
    """

    requests: float = 0
    prompt_tokens: float = 0
    cached_tokens: float = 0
    completion_tokens: float = 0
    thinking_tokens: float = 0

    def __add__(self, other: Used) -> Used:
        return Used(*(getattr(self, name) + getattr(other, name) for name in Used.__slots__))


class Cap(Section):
    """The cap on a job's spending, and the ledger for its books; see `seedbed.engines.cap`.

    Attributes:
        ledger: folder of the spending of all jobs.
        max_teacher_queries: most teacher queries; None for no limit.
        max_usd: most dollars; None for no limit.
        counts_queries: whether the job's requests are teacher queries.
        model: the model's name in the study.
        stage: the stage that queries the model; see `seedbed.study.estimate`.
        price: the model's price; None for a model that jobs run themselves.
        batch: whether requests go through the provider's Batch API.
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
        """Whether queries or dollars are limited."""
        return self.max_teacher_queries is not None or self.max_usd is not None


class EngineJob(Section):
    """The engine settings that a job receives.

    Attributes:
        settings: the section `engine` of the model, with the model's name at the endpoint and the
            number of GPUs resolved.
        cap: cap and ledger of the job; None for neither.
        place: the file or key of these settings, for messages.
        batches: folder of the records of batches that are under way through a Batch API.
        wait: whether the job waits for these batches.
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
        """Return a job with an engine of a kind."""
        return cls(settings=KINDS[kind](**settings), cap=cap, place=place)

    @classmethod
    def from_json(cls, text: str) -> EngineJob:
        """Read the settings that `to_json` wrote.

        Raises:
            ValueError: if a setting is invalid. The error names its key.
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
        """Return the job's settings as one section, with the key `name` in place of `model`."""
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
        """Meanings of further values of `finish_reason`."""
        return dict(self.settings.ends) if isinstance(self.settings, OpenAISettings) else {}

    @property
    def module(self) -> str:
        """The engine's module, which is imported only if its kind is used."""
        return engine_module("batch" if self.batched else self.kind)

    @property
    def batched(self) -> bool:
        """Whether requests go through a Batch API."""
        return isinstance(self.settings, OpenAISettings) and self.settings.batch is not None

    def identity(self, model: str) -> str:
        """Return an identifier of a model and the settings that change its answers.

        Args:
            model: identifier of the model's weights.

        Returns:
            `model` itself, if all these settings have their defaults.
        """
        differs = self.settings.manner()
        if not differs:
            return model
        text = json.dumps([model, differs], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def engine_module(kind: str) -> str:
    """Return the name of the module of an engine kind."""
    return f"seedbed.engines.{kind}_engine"
