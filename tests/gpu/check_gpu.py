"""Check generation, training and evaluation on a GPU, and measure their use of the GPU.

Makes a Llama with random weights in bf16 (`--size 1b` has the shape of Llama 3.2 1B, `8b` the shape
of Llama 3.1 8B), generates with the Transformers engine, trains LoRA adapters, and evaluates with
them, all with the project's own code: with packed rows, without padding, on quantized weights, with
a stop and a save in between, with a given template, and divided over two GPUs. With vLLM, it
queries two copies of the model, and two adapters at once.
Checks the outputs; prints tokens per second, the share of the GPU's peak (measured with a large
matrix product), and the peak memory next to the planned memory; and writes the table to a document.
The table gives the reason for each check that cannot run. Without a GPU, it runs on the CPU in 32
bits, for which `--size tiny` is meant; the table says so.

    python tests/gpu/check_gpu.py --size 1b --output docs/performance.md
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import platform
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

if TYPE_CHECKING:
    from seedbed.engines import Request
    from seedbed.training.record import TrainingCounts
    from seedbed.training.settings import Trainer

BEGIN, END = "<!-- check_gpu: begin -->", "<!-- check_gpu: end -->"
READ_FLOPS = 2
"""Per parameter and prompt or generated token: a multiplication and an addition (Kaplan et al.
2020, https://arxiv.org/abs/2001.08361)."""
TRAIN_FLOPS = 4
"""Per parameter and token of LoRA training: the forward pass, and the backward pass to the
activations. The weights are frozen, so their gradients, 2 more in full training, are not needed.
Operations that gradient checkpointing repeats count once."""


@dataclass(frozen=True)
class Size:
    """The shape of a model, and the amount of work for it."""

    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    intermediate: int
    vocabulary: int
    requests: int
    tokens: int
    rows: int
    steps: int
    matrix: int
    tied: bool = True


SIZES = {
    "tiny": Size(128, 3, 4, 4, 384, 1_000, 64, 24, 64, 30, 1_024),
    # config.json of meta-llama/Llama-3.2-1B; 1.24 billion parameters.
    "1b": Size(2_048, 16, 32, 8, 8_192, 128_256, 1_024, 128, 512, 20, 8_192),
    # config.json of meta-llama/Llama-3.1-8B; 8.03 billion parameters.
    "8b": Size(4_096, 32, 32, 8, 14_336, 128_256, 512, 128, 256, 10, 8_192, tied=False),
}


class CheckError(Exception):
    """A check failed."""


def check(holds: bool, said: str) -> None:
    """Raise an error with a line of text, or print that the check passed."""
    if not holds:
        raise CheckError(said)
    print(f"right: {said}", flush=True)


def peak_flops(matrix: int) -> float:
    """Return the operations per second of the fastest of ten products of square matrices."""
    import torch

    on_gpu = torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu"
    one = torch.randn(matrix, matrix, device=device, dtype=torch.bfloat16 if on_gpu else None)
    best = math.inf
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(3):
            one @ one
        if on_gpu:
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - start) / 3)
    return 2 * matrix**3 / best


def make_model(size: Size, folder: Path) -> int:
    """Write a model with random weights and a tokenizer, and return its number of parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from seedbed.artifacts import write_json
    from seedbed.models import fingerprint
    from seedbed.tasks.worlds import load_world
    from seedbed.training.tokenizer import build_tokenizer

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # One word per token of the vocabulary: a token without a word would give no text.
    words = [*load_world("mini_math").vocabulary()]
    room = size.vocabulary - len(build_tokenizer(words))
    tokenizer = build_tokenizer([*words, *(f"word{n}" for n in range(room // 2))])
    config = LlamaConfig(
        vocab_size=max(size.vocabulary, len(tokenizer)),
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_value_heads,
        max_position_embeddings=2_048,
        tie_word_embeddings=size.tied,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.device(device):
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_json(folder / "model.json", {"fingerprint": fingerprint(folder)})
    return model.num_parameters()


def requests_of(size: Size, temperature: float = 1.0) -> list[Request]:
    """Return a model's requests."""
    from seedbed.engines import Request
    from seedbed.tasks.worlds import load_world

    items = load_world("mini_math").items("test", size.requests, 1)
    return [
        Request(str(n), (("user", item.question),), size.tokens, temperature, 1.0, n)
        for n, item in enumerate(items)
    ]


def generate(size: Size, model: Path) -> float:
    """Check generation, and return its tokens per second, prompt tokens included."""
    from seedbed.engines import EngineJob, load_engine

    requests = requests_of(size)
    engine = load_engine(model, EngineJob.of(batch_size=256))
    list(engine.complete(requests[:8]))
    start = time.perf_counter()
    found = {completion.key: completion for completion in engine.complete(requests)}
    seconds = time.perf_counter() - start
    again = {completion.key: completion for completion in engine.complete(requests)}
    check(set(found) == {request.key for request in requests}, "each request has an answer")
    check(len({c.text for c in found.values()}) > len(found) / 2, "answers have texts of their own")
    check(found == again, "the same seeds give the same answers")
    check(
        all(1 <= c.completion_tokens <= size.tokens for c in found.values()),
        "answers keep to their limit",
    )
    return sum(c.prompt_tokens + c.completion_tokens for c in found.values()) / seconds


def write_rows(size: Size, folder: Path) -> None:
    """Write students' training rows to `folder/dataset.parquet`."""
    import polars as pl

    from seedbed.tasks.worlds import load_world

    items = load_world("mini_math").items("train", size.rows, 1)
    chats = [
        [{"role": "user", "content": i.question}, {"role": "assistant", "content": i.answer}]
        for i in items
    ]
    pl.DataFrame({"messages": chats}).write_parquet(folder / "dataset.parquet")


def student(
    model: Path, output: Path, steps: int, trainer: Trainer | None = None, **more: Any
) -> tuple[TrainingCounts, float]:
    """Train a student, and return its counts and seconds."""
    from seedbed.training.settings import StudentTraining
    from seedbed.training.students import train_student

    settings = StudentTraining(
        epochs=10_000,
        learning_rate=1e-3,
        batch_size=16,
        lora_rank=16,
        lora_alpha=32,
        max_length=512,
        max_steps=steps,
    ).model_copy(update=more)
    start = time.perf_counter()
    counts = train_student(
        model,
        output.parent / "dataset.parquet",
        output,
        settings,
        lambda *_: None,
        lambda _: None,
        trainer=trainer,
    )
    return counts, time.perf_counter() - start


def train(size: Size, model: Path, folder: Path) -> float:
    """Check training, leave the adapter in `folder/long`, and return tokens per second."""
    seconds, counts = {}, {}
    # The start-up times of two runs cancel out; the first run imports the libraries.
    for name, steps in (("first", 1), ("short", size.steps), ("long", 4 * size.steps)):
        counts[name], seconds[name] = student(model, folder / name, steps)
    check(counts["long"].steps == 4 * size.steps, "training makes the steps that it is told")
    check(all(math.isfinite(c.loss) for c in counts.values()), "the loss is finite")
    check(counts["long"].loss < counts["short"].loss, "the loss falls")
    row = counts["long"].training_tokens / counts["long"].training_rows
    return 3 * size.steps * 16 * row / (seconds["long"] - seconds["short"])


def memory(size: Size, model: Path, folder: Path) -> str:
    """Return a sentence on a training's peak memory on a GPU and the planned memory."""
    import torch

    from seedbed.training.micro_batches import activation_bytes
    from seedbed.training.trainer import MicroBatchTrainer

    if not torch.cuda.is_available():
        return "not tried: there is no GPU"
    planned = []
    first = MicroBatchTrainer._first_plan

    def noted(trainer: Any, longest: int, stated: int | None) -> Any:
        plan = first(trainer, longest, stated)
        adapter = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
        # A micro-batch has no more tokens than a step.
        tokens = min(plan.tokens, 16 * longest)
        token = activation_bytes(trainer.model.config, plan.checkpointing, 2)
        planned.append(torch.cuda.memory_allocated() + 12 * adapter + tokens * token)
        torch.cuda.reset_peak_memory_stats()
        return plan

    MicroBatchTrainer._first_plan = noted
    try:
        student(model, folder / "memory", size.steps)
    finally:
        MicroBatchTrainer._first_plan = first
    peak = torch.cuda.max_memory_allocated()
    check(peak <= 1.05 * planned[0], "training takes no more memory than was planned")
    return f"{peak / 1e9:.1f} GB of {planned[0] / 1e9:.1f} planned"


def pack(size: Size, model: Path, folder: Path) -> str:
    """Check a training with packed rows."""
    counts, _ = student(model, folder / "packed", size.steps, packing=True)
    check(math.isfinite(counts.loss), "with rows packed, the loss is finite")
    return f"loss {counts.loss:.3f} after {counts.steps} steps"


def padding_free(size: Size, model: Path, folder: Path) -> str:
    """Check that concatenated rows train like padded rows, and report the savings."""
    from seedbed.training.settings import Trainer

    seconds, losses = {}, {}
    for way in (False, True):
        for steps in (1, size.steps):
            output = folder / f"free-{way}-{steps}"
            counts, seconds[way, steps] = student(model, output, steps, Trainer(padding_free=way))
            losses[way] = counts.loss
    check(math.isclose(*losses.values(), rel_tol=1e-2), "rows need no padding")
    padded, free = (seconds[way, size.steps] - seconds[way, 1] for way in (False, True))
    return (
        f"loss {losses[True]:.4f}, padded {losses[False]:.4f}; "
        f"{padded / free:.2f} times as fast as padded"
    )


def stop_and_go_on(size: Size, model: Path, folder: Path) -> str:
    """Check that a training that SIGTERM stopped has the same result as an uninterrupted one."""
    from seedbed.training.saves import StoppedError
    from seedbed.training.settings import Trainer
    from seedbed.training.trainer import MicroBatchTrainer

    whole, _ = student(model, folder / "whole", size.steps)
    write = MicroBatchTrainer._write_save

    def stop(trainer: Any) -> None:
        write(trainer)
        os.kill(os.getpid(), signal.SIGTERM)

    MicroBatchTrainer._write_save = stop
    stopped = False
    try:
        student(model, folder / "stopped", size.steps, Trainer(save_minutes=1e-6))
    except StoppedError:
        stopped = True
    finally:
        MicroBatchTrainer._write_save = write
    check(stopped, "SIGTERM stops a training, which saves itself")
    ended, _ = student(model, folder / "stopped", size.steps)
    check(math.isclose(whole.loss, ended.loss, rel_tol=1e-2), "it goes on from its save")
    return f"loss {ended.loss:.4f}, undisturbed {whole.loss:.4f}"


def divide(size: Size, model: Path, folder: Path) -> str:
    """Check that training a student divided over two processes gives the same result as in one."""
    import torch

    from seedbed.training.settings import Trainer

    if torch.cuda.is_available() and torch.cuda.device_count() < 2:
        return "not tried: there is one GPU"
    one, _ = student(model, folder / "one", size.steps)
    two, _ = student(model, folder / "two", size.steps, Trainer(fsdp_size=2))
    check(math.isclose(one.loss, two.loss, rel_tol=1e-2), "two processes train what one does")
    return f"loss {two.loss:.4f}, in one {one.loss:.4f}"


def quantize(form: str, size: Size, model: Path, folder: Path) -> str:
    """Check a student on quantized weights."""
    from seedbed.engines import EngineJob, load_engine

    if find_spec("bitsandbytes") is None:
        return "not tried: bitsandbytes is not installed"
    counts, _ = student(model, folder / form, size.steps, quantization=form)
    check(math.isfinite(counts.loss), f"{form}: the loss is finite")
    engine = load_engine(model, EngineJob.of(batch_size=64, quantization=form))
    asked = requests_of(size)[:16]
    before, after = (
        {one.key: one.text for one in engine.complete(asked, adapter)}
        for adapter in (None, folder / form)
    )
    check(before != after, f"{form}: the adapter changes what is said")
    return f"loss {counts.loss:.3f} after {counts.steps} steps"


def template(size: Size, model: Path, folder: Path) -> str:
    """Check that a model without a chat template is refused, and works with a given template."""
    from seedbed.chats import check_template, end_tokens, load_tokenizer

    given = Path(__file__).resolve().parents[2] / "config/models/templates/plain.jinja"
    tokenizer = load_tokenizer(model)
    ends = end_tokens(model, tokenizer)
    tokenizer.chat_template = None
    refused = False
    try:
        check_template(tokenizer, ends, None, trained=True)
    except ValueError:
        refused = True
    check(refused, "a model without a chat template is refused")
    tokenizer.chat_template = given.read_text(encoding="utf-8")
    check_template(tokenizer, ends, None, trained=True)
    return "refused without one, works with plain.jinja"


def several_adapters(size: Size, model: Path, folder: Path) -> str:
    """Check that vLLM answers with two adapters at once as with each alone."""
    from seedbed.engines import EngineJob, load_engine

    if find_spec("vllm") is None:
        return "not tried: vLLM is not installed"
    release()
    engine = load_engine(model, EngineJob.of("vllm", context=2_048, gpu_memory=0.8), 16)
    adapters = [folder / "short", folder / "long"]
    asked = requests_of(size, temperature=0.0)[:32]
    alone = [{one.key: one.text for one in engine.complete(asked, each)} for each in adapters]
    streams = [engine.complete(asked, each) for each in adapters]
    start, tokens, mixed = time.perf_counter(), 0, [{}, {}]
    for pair in zip(*streams, strict=True):
        for number, one in enumerate(pair):
            mixed[number][one.key] = one.text
            tokens += one.prompt_tokens + one.completion_tokens
    seconds = time.perf_counter() - start
    same = sum(a[key] == b[key] for a, b in zip(alone, mixed, strict=True) for key in a)
    # Sums round differently in another batch, which may change an answer.
    check(same >= 0.9 * 2 * len(asked), "two adapters at once answer as each does alone")
    return f"{tokens / seconds:,.0f} tokens a second; {same} of {2 * len(asked)} answers the same"


def copies(size: Size, model: Path, folder: Path) -> str:
    """Check that two copies of a model in vLLM share the requests, and answer each once."""
    import torch

    from seedbed.engines import EngineJob, load_engine

    if find_spec("vllm") is None:
        return "not tried: vLLM is not installed"
    seen = torch.cuda.device_count()
    if seen == 1:
        return "not tried: there is one GPU"
    release()
    job = {"data_parallel_size": 2, "gpus": 2 if seen else 0, "context": 2_048, "gpu_memory": 0.8}
    engine = load_engine(model, EngineJob.of("vllm", **job), threads=torch.get_num_threads())
    asked = requests_of(size, temperature=0.0)
    first = {one.key: one for one in engine.complete(asked)}
    start = time.perf_counter()
    found = {one.key: one for one in engine.complete(asked)}
    seconds = time.perf_counter() - start
    check(set(found) == {request.key for request in asked}, "two copies answer each request once")
    same = sum(first[key].text == found[key].text for key in found)
    check(same >= 0.9 * len(asked), "what a copy answers does not depend on which it is")
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in found.values())
    return f"{tokens / seconds:,.0f} tokens a second; {same} of {len(asked)} answers the same again"


def greedy(size: Size, model: Path, folder: Path) -> str:
    """Check that a model's own penalties do not change greedy answers."""
    import shutil

    from seedbed.artifacts import read_json, write_json
    from seedbed.engines import EngineJob, load_engine

    other = folder / "penalties"
    shutil.copytree(model, other)
    own = read_json(other / "generation_config.json")
    write_json(other / "generation_config.json", own | {"repetition_penalty": 1.05})
    asked = requests_of(size, temperature=0.0)[:32]
    plain, same = (
        {one.key: one.text for one in load_engine(one_model, EngineJob.of()).complete(asked)}
        for one_model in (model, other)
    )
    check(plain == same, "a model's own penalties change no greedy answer")
    return "a repetition_penalty of 1.05 in generation_config.json changes no answer"


def release() -> None:
    """Free the GPU memory of earlier checks' models."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def evaluate_with(size: Size, model: Path, adapter: Path) -> float:
    """Check evaluation with an adapter, and return tokens per second, prompt tokens included."""
    from seedbed.engines import EngineJob, load_engine
    from seedbed.evaluation.evaluation import evaluate, item_requests
    from seedbed.evaluation.scorers import make_scorer
    from seedbed.tasks.worlds import load_world

    items = load_world("mini_math").items("test", size.requests, 1)
    requests = item_requests(items, "{question}", size.tokens)
    scorer = make_scorer("number", {}, Path())
    engine = load_engine(model, EngineJob.of(batch_size=256))
    list(engine.complete(requests[:8], adapter))
    start = time.perf_counter()
    rows = evaluate(
        items, requests, engine.complete(requests, adapter), scorer, "flexible", lambda _: None
    )
    seconds = time.perf_counter() - start
    plain = evaluate(items, requests, engine.complete(requests), scorer, "flexible", lambda _: None)
    check(rows["item_id"].to_list() == [item.item_id for item in items], "each item has its row")
    check(rows["correct"].null_count() == 0, "each item has a score")
    check(rows["output"].to_list() != plain["output"].to_list(), "the adapter changes what is said")
    return (rows["prompt_tokens"].sum() + rows["completion_tokens"].sum()) / seconds


def table(
    size: str,
    parameters: int,
    peak: float,
    speeds: dict[str, tuple[float, int]],
    checked: dict[str, str],
) -> str:
    """Return the measurements as Markdown.

    Args:
        size: name of the size.
        parameters: of the model.
        peak: operations per second that the device reached.
        speeds: tokens per second, and operations per parameter and token, by stage.
        checked: result of each check, by its name.
    """
    import torch
    import transformers

    on_gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} thread(s)"
    kind = "bf16" if on_gpu else "32 bits"
    lines = [
        f"`python tests/gpu/check_gpu.py --size {size}` on {datetime.date.today()}: {device}, "
        f"{kind}, {parameters / 1e6:,.1f} million parameters, torch {torch.__version__}, "
        f"transformers {transformers.__version__}, Python {platform.python_version()}. "
        f"Measured peak: {peak / 1e12:,.2f} TFLOP/s.",
        "",
    ]
    if not on_gpu:
        lines += ["**No GPU was there: these are figures of a CPU, and of nothing else.**", ""]
    lines += ["| Stage | Tokens a second | Share of the peak |", "| --- | --- | --- |"]
    for stage, (speed, flops) in speeds.items():
        lines.append(f"| {stage} | {speed:,.0f} | {speed * flops * parameters / peak:.1%} |")
    lines += ["", "| Checked | |", "| --- | --- |"]
    lines += [f"| {name} | {said} |" for name, said in checked.items()]
    return "\n".join(lines)


def write_into(document: Path, text: str) -> None:
    """Replace the text between the marks of a document.

    Raises:
        ValueError: if the document has no marks.
    """
    content = document.read_text(encoding="utf-8")
    if BEGIN not in content or END not in content:
        raise ValueError(f"{document} has no lines {BEGIN} and {END}")
    before, rest = content.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="tiny", help="shape of the model")
    parser.add_argument("--output", type=Path, help="document to write the table into")
    args = parser.parse_args()
    size = SIZES[args.size]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model"
        parameters = make_model(size, model)
        peak = peak_flops(size.matrix)
        write_rows(size, folder)
        speeds = {
            "generation": (generate(size, model), READ_FLOPS),
            "training, LoRA": (train(size, model, folder), TRAIN_FLOPS),
            "evaluation with an adapter": (
                evaluate_with(size, model, folder / "long"),
                READ_FLOPS,
            ),
        }
        place = (size, model, folder)
        checked = {
            "memory of training": memory(*place),
            "rows without padding": padding_free(*place),
            "packing": pack(*place),
            "a stop, and on from the save": stop_and_go_on(*place),
            "4 bits (nf4)": quantize("nf4", *place),
            "8 bits (int8)": quantize("int8", *place),
            "divided over two processes (FSDP)": divide(*place),
            "chat template": template(*place),
            "greedy answers": greedy(*place),
            "two copies in vLLM": copies(*place),
            # Last, as vLLM keeps the memory that it takes.
            "two adapters at once in vLLM": several_adapters(*place),
        }
    text = table(args.size, parameters, peak, speeds, checked)
    print(text)
    if args.output is not None:
        write_into(args.output, text)


if __name__ == "__main__":
    try:
        main()
    except CheckError as error:
        sys.exit(f"wrong: {error}")
