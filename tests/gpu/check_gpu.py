"""Check generation, training and evaluation on a GPU, and how much of the chip they make use of.

Makes a Llama with random weights in bf16 (`--size 1b` has the shape of Llama 3.2 1B), generates
with the Transformers engine, trains a LoRA adapter, and evaluates with it, all by the project's own
code. Checks what came out, prints tokens a second and the share of the chip's peak, which is
measured by a large product of matrices, and writes the table into a document. Without a GPU it runs
on the CPU, in 32 bits, for which `--size tiny` is meant; the table says so.

    python tests/gpu/check_gpu.py --size 1b --output docs/performance.md
"""

from __future__ import annotations

import argparse
import datetime
import math
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

BEGIN, END = "<!-- check_gpu: begin -->", "<!-- check_gpu: end -->"
READ_FLOPS = 2
"""Of each parameter, for a token that is read or written: a multiplication and an addition (Kaplan
et al. 2020, https://arxiv.org/abs/2001.08361)."""
TRAIN_FLOPS = 4
"""Of each parameter, for a token that LoRA is trained on: forward, and backward to the activations.
The gradients of the weights, as many again in full training, are not needed, as these are frozen;
what gradient checkpointing computes twice counts once."""


@dataclass(frozen=True)
class Size:
    """The shape of a model, and how much it is given to do."""

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


SIZES = {
    "tiny": Size(128, 3, 4, 4, 384, 1_000, 64, 24, 64, 30, 1_024),
    # config.json of meta-llama/Llama-3.2-1B; 1.24 billion parameters.
    "1b": Size(2_048, 16, 32, 8, 8_192, 128_256, 1_024, 128, 512, 20, 8_192),
}


class CheckError(Exception):
    """Something is not as it must be."""


def check(holds: bool, said: str) -> None:
    """Raise an error with a line of text, or print that it is right."""
    if not holds:
        raise CheckError(said)
    print(f"right: {said}", flush=True)


def peak_flops(matrix: int) -> float:
    """Return the operations a second of the best of ten products of square matrices."""
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
    # Words for all of the model's vocabulary: a token without one would be no text, and go unseen.
    words = [*load_world("mini_math").vocabulary()]
    room = size.vocabulary - len(build_tokenizer(words))
    tokenizer = build_tokenizer([*words, *(f"word{n}" for n in range(room // 2))])
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=max(size.vocabulary, len(tokenizer)),
            hidden_size=size.hidden,
            intermediate_size=size.intermediate,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_key_value_heads=size.key_value_heads,
            max_position_embeddings=2_048,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_json(folder / "model.json", {"fingerprint": fingerprint(folder)})
    return model.num_parameters()


def generate(size: Size, model: Path) -> float:
    """Check generation, and return its tokens a second, those read included."""
    from seedbed.engines import EngineJob, Request, load_engine
    from seedbed.tasks.worlds import load_world

    items = load_world("mini_math").items("test", size.requests, 1)
    requests = [
        Request(str(n), (("user", item.question),), size.tokens, 1.0, 1.0, n)
        for n, item in enumerate(items)
    ]
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


def train(size: Size, model: Path, folder: Path) -> float:
    """Check training, leave the adapter in `folder/long`, and return tokens a second."""
    import polars as pl

    from seedbed.tasks.worlds import load_world
    from seedbed.training.settings import StudentTraining
    from seedbed.training.students import train_student

    items = load_world("mini_math").items("train", size.rows, 1)
    chats = [
        [{"role": "user", "content": i.question}, {"role": "assistant", "content": i.answer}]
        for i in items
    ]
    pl.DataFrame({"messages": chats}).write_parquet(folder / "dataset.parquet")
    seconds, counts = {}, {}
    # What two runs do before their first step cancels out; the first run imports the libraries.
    for name, steps in (("first", 1), ("short", size.steps), ("long", 4 * size.steps)):
        start = time.perf_counter()
        settings = StudentTraining(
            epochs=10_000,
            learning_rate=1e-3,
            batch_size=16,
            lora_rank=16,
            lora_alpha=32,
            max_length=512,
            max_steps=steps,
        )
        counts[name] = train_student(
            model,
            folder / "dataset.parquet",
            folder / name,
            settings,
            lambda *_: None,
            lambda _: None,
        )
        seconds[name] = time.perf_counter() - start
    check(counts["long"].steps == 4 * size.steps, "training makes the steps that it is told")
    check(all(math.isfinite(c.loss) for c in counts.values()), "the loss is finite")
    check(counts["long"].loss < counts["short"].loss, "the loss falls")
    row = counts["long"].training_tokens / counts["long"].training_rows
    return 3 * size.steps * 16 * row / (seconds["long"] - seconds["short"])


def evaluate_with(size: Size, model: Path, adapter: Path) -> float:
    """Check evaluation with an adapter, and return its tokens a second, those read included."""
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


def table(size: str, parameters: int, peak: float, speeds: dict[str, tuple[float, int]]) -> str:
    """Return what was measured, as Markdown.

    Args:
        size: name of the size.
        parameters: of the model.
        peak: operations a second that the device reached.
        speeds: by stage, tokens a second and operations a parameter and token.
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
    return "\n".join(lines)


def write_into(document: Path, text: str) -> None:
    """Put a text between the marks of a document.

    Raises:
        ValueError: if it has none.
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
        speeds = {
            "generation": (generate(size, model), READ_FLOPS),
            "training, LoRA": (train(size, model, folder), TRAIN_FLOPS),
            "evaluation with an adapter": (
                evaluate_with(size, model, folder / "long"),
                READ_FLOPS,
            ),
        }
    text = table(args.size, parameters, peak, speeds)
    print(text)
    if args.output is not None:
        write_into(args.output, text)


if __name__ == "__main__":
    try:
        main()
    except CheckError as error:
        sys.exit(f"wrong: {error}")
