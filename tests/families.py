"""Try families of models: tiny ones with random weights and the chat templates of real ones.

Each model is trained and queried with the Transformers engine, whose answers are compared with
plain `generate`. With --vllm, it is also queried with vLLM, with and without its adapter, and
compared with the Transformers engine. --write writes the results to the table in docs/models.md.

    python tests/families.py --vllm --write
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

DOCUMENT = ROOT / "docs/models.md"
HEAD = "| Family | Trains | Engine of Transformers | vLLM | Adapter in vLLM |"
COLUMNS = ("train", "transformers", "vLLM", "adapters")
NOT_TRIED = "not tried"
QUESTIONS = ("How many apples are there?", "Why?", "What is 12 + 30, and what is twice as much?")
ANSWER = "There are 7 apples."
TOKENS = 10
SHAPE = {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32,
    "max_position_embeddings": 512, "initializer_range": 0.3, "tie_word_embeddings": False,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
}  # fmt: skip
TOWER = {
    "hidden_size": 32, "intermediate_size": 32, "depth": 1, "num_hidden_layers": 1, "num_heads": 2,
    "num_attention_heads": 2, "out_hidden_size": 64, "fullatt_block_indexes": [0],
}  # fmt: skip
EXPERTS = {
    "num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48,
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """A family of models.

    Attributes:
        title: its name in the table.
        config: class of its configuration.
        template: name of a chat template in TRL.
        more: further arguments of the configuration.
    """

    title: str
    config: str
    template: str
    more: Mapping[str, Any] = field(default_factory=dict)


FAMILIES = (
    Family("Llama 3", "LlamaConfig", "llama3_1"),
    Family("Mistral", "MistralConfig", "llama3_1", {"sliding_window": 64}),
    Family("Qwen 2.5", "Qwen2Config", "qwen2_5"),
    Family("Qwen 3", "Qwen3Config", "qwen3"),
    # vLLM supports no separate output layer in Gemma 2, Cohere 2 or LFM 2, and no model has one.
    Family(
        "Gemma 2",
        "Gemma2Config",
        "gemma",
        {"query_pre_attn_scalar": 32, "tie_word_embeddings": True},
    ),
    Family("Gemma 3 (text)", "Gemma3TextConfig", "gemma3", {"query_pre_attn_scalar": 32}),
    Family("Phi 3", "Phi3Config", "phi3"),
    Family("SmolLM 3", "SmolLM3Config", "qwen3"),
    Family("Granite", "GraniteConfig", "qwen2_5"),
    Family("OLMo 2", "Olmo2Config", "qwen2_5"),
    # Its template alone has 1,800 characters, and each is a token here.
    Family(
        "Cohere 2",
        "Cohere2Config",
        "cohere2",
        {"max_position_embeddings": 4096, "tie_word_embeddings": True},
    ),
    Family("Mixtral", "MixtralConfig", "llama3_1", EXPERTS),
    Family("Qwen 3 MoE", "Qwen3MoeConfig", "qwen3", EXPERTS),
    Family("gpt-oss", "GptOssConfig", "gptoss", EXPERTS | {"sliding_window": 64}),
    Family(
        "DeepSeek V3",
        "DeepseekV3Config",
        "qwen2_5",
        {
            **EXPERTS,
            "n_routed_experts": 4,
            "n_shared_experts": 1,
            "n_group": 1,
            "topk_group": 1,
            "topk_method": "noaux_tc",
            "first_k_dense_replace": 1,
            "q_lora_rank": 16,
            # As in the real model, because vLLM has a kernel for these two sizes alone.
            "kv_lora_rank": 512,
            "qk_rope_head_dim": 64,
            "head_dim": 64,
            "v_head_dim": 32,
            "qk_nope_head_dim": 32,
            "num_key_value_heads": 2,
        },
    ),
    Family(
        "LFM 2 (hybrid)",
        "Lfm2Config",
        "lfm2",
        {
            "layer_types": ["conv", "full_attention"],
            "conv_dim": 64,
            "block_dim": 64,
            "tie_word_embeddings": True,
        },
    ),
    Family(
        "Qwen 3 Next (hybrid)",
        "Qwen3NextConfig",
        "qwen3",
        {
            **EXPERTS,
            "shared_expert_intermediate_size": 48,
            "linear_num_value_heads": 2,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 32,
            "linear_value_head_dim": 32,
            "layer_types": ["linear_attention", "full_attention"],
        },
    ),
    Family(
        "Granite 4 (hybrid)",
        "GraniteMoeHybridConfig",
        "qwen2_5",
        {
            **EXPERTS,
            "layer_types": ["mamba", "attention"],
            "mamba_n_heads": 4,
            "mamba_d_head": 32,
            "mamba_d_state": 16,
            "shared_intermediate_size": 96,
        },
    ),
    Family(
        "Falcon H1 (hybrid)",
        "FalconH1Config",
        "qwen2_5",
        {"mamba_d_ssm": 128, "mamba_n_heads": 4, "mamba_d_head": 32, "mamba_d_state": 16},
    ),
    Family(
        "Mamba 2",
        "Mamba2Config",
        "qwen2_5",
        {"num_heads": 4, "head_dim": 32, "state_size": 16, "n_groups": 1},
    ),
    Family("Gemma 3 (with images)", "Gemma3Config", "gemma3"),
    Family("Qwen 2.5 VL (with images)", "Qwen2_5_VLConfig", "qwen2_5_vl"),
)


def make(family: Family, folder: Path) -> None:
    """Write a tiny model of a family."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from trl import __file__ as trl

    template = (Path(trl).parent / f"chat_templates/{family.template}.jinja").read_text()
    ends = ("<|im_end|>", "<end_of_turn>", "<|eot_id|>", "<|return|>", "<|END_OF_TURN_TOKEN|>")
    end = next((text for text in (*ends, "<｜end▁of▁sentence｜>") if text in template), "<|end|>")
    special = ["<s>", end, "<pad>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(
        models.BPE({text: n for n, text in enumerate([*special, *letters])}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    whole = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token=end, pad_token="<pad>"
    )
    whole.chat_template = template
    whole.save_pretrained(folder)
    kind = getattr(transformers, family.config)
    if "with images" in family.title:
        config = kind(text_config=text_shape(family), **{
            key: SHAPE[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")
        })  # fmt: skip
        for key, value in TOWER.items():
            if hasattr(config.vision_config, key):
                setattr(config.vision_config, key, value)
        maker = transformers.AutoModelForImageTextToText
    else:
        config = kind(**{**SHAPE, **family.more})
        maker = transformers.AutoModelForCausalLM
    torch.manual_seed(0)
    model = maker.from_config(config, dtype=torch.float32)
    model.generation_config.eos_token_id = 1
    model.save_pretrained(folder)


def text_shape(family: Family) -> dict[str, Any]:
    """Return the shape of the text part of a model with images."""
    import transformers

    part = getattr(transformers, family.config)().text_config
    found = {**SHAPE, **family.more}
    if family.config == "Qwen2_5_VLConfig":
        found["rope_scaling"] = {
            "type": "mrope",
            "mrope_section": [4, 6, 6],
            "rope_type": "default",
        }
    return {key: value for key, value in found.items() if hasattr(part, key) or key in SHAPE}


def asked() -> list[Any]:
    """Return requests of several lengths."""
    from seedbed.engines import Request

    return [Request(str(n), (("user", text),), TOKENS) for n, text in enumerate(QUESTIONS)]


def plain(model: Path, adapter: Path | None) -> dict[str, str]:
    """Return the answers of Transformers' own `generate`, one prompt at a time."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from seedbed.chats import load_tokenizer
    from seedbed.models import attention_of

    tokenizer = load_tokenizer(model)
    # The library's default attention leaves out the softcaps of Gemma 2.
    attention = attention_of(model)
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        model, dtype=torch.float32, attn_implementation=attention
    ).eval()
    if adapter is not None:
        loaded = PeftModel.from_pretrained(loaded, str(adapter)).eval()
    found = {}
    for request in asked():
        chat = [{"role": "user", "content": request.messages[0][1]}]
        ids = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        ids = {key: ids[key] for key in ("input_ids", "attention_mask")}
        out = loaded.generate(**ids, max_new_tokens=TOKENS, do_sample=False)
        out = out[0, ids["input_ids"].shape[1] :]
        found[request.key] = tokenizer.decode(out, skip_special_tokens=True).strip()
    return found


def answers(
    kind: str, model: Path, adapters: Sequence[Path | None], hybrid: bool = False
) -> list[dict[str, str]]:
    """Return an engine's answers, by adapter."""
    from transformers import AutoConfig

    from seedbed.architectures import Architecture
    from seedbed.engines import EngineJob, load_engine
    from seedbed.models import positions

    room = positions(AutoConfig.from_pretrained(model))
    options = {"context": room, "batch_size": 8} if kind == "vllm" else {}
    if hybrid:
        # It needs chunked prefill, which a CPU cannot do.
        options["options"] = {"enable_prefix_caching": False}
    # Models that the engine would refuse are tried too: a later vLLM may run them.
    with mock.patch.object(Architecture, "not_in_vllm_on_cpu", return_value=None):
        engine = load_engine(model, EngineJob.of(kind, **options), 8 if any(adapters) else 0)
    return [
        {one.key: one.text for one in engine.complete(asked(), adapter)} for adapter in adapters
    ]


def train(model: Path, folder: Path) -> Path:
    """Train an adapter."""
    import polars as pl

    from get_model import check_architecture
    from seedbed.chats import check_template, end_tokens, load_tokenizer
    from seedbed.training.settings import StudentTraining
    from seedbed.training.students import train_student

    check_architecture(model)
    tokenizer = load_tokenizer(model)
    check_template(tokenizer, end_tokens(model, tokenizer), None, trained=True)
    chat = [{"role": "user", "content": QUESTIONS[0]}, {"role": "assistant", "content": ANSWER}]
    pl.DataFrame({"messages": [chat] * 4}).write_parquet(folder / "rows.parquet")
    settings = StudentTraining(
        epochs=3, learning_rate=1e-2, batch_size=4, lora_rank=8, lora_alpha=8, max_length=4096
    )
    adapter = folder / "adapter"
    rows = folder / "rows.parquet"
    train_student(model, rows, adapter, settings, lambda *_: None, lambda _: None)
    return adapter


def attempt(family: Family, folder: Path, vllm: bool, alone: bool = False) -> dict[str, str]:
    """Try a family, and return the results by column.

    Args:
        family: the family.
        folder: to write into.
        vllm: whether to try vLLM.
        alone: whether to try vLLM without adapters.
    """
    found = dict.fromkeys(COLUMNS, NOT_TRIED)
    model = folder / "model"
    make(family, model)
    column = "train"
    try:
        adapter = train(model, folder)
        found["train"] = "yes"
        column = "transformers"
        base, adapted = answers("transformers", model, [None, adapter])
        same = base == plain(model, None) and adapted == plain(model, adapter)
        found["transformers"] = "yes" if same else "differs"
        found["adapters"] = "no effect" if base == adapted else NOT_TRIED
        if vllm:
            column = "vLLM"
            hybrid = "hybrid" in family.title
            (one,) = answers("vllm", model, [None], hybrid) if alone else (None,)
            if one is not None:
                found["vLLM"] = "yes" if one == base else "differs"
                return found
            one, other = answers("vllm", model, [None, adapter], hybrid)
            found["vLLM"] = "yes" if one == base else "differs"
            found["adapters"] = "yes" if other == adapted else "differs"
    except Exception as error:
        refused = "cannot be a student" in str(error)
        found[column] = "refused by `get_model`" if refused else f"no: {type(error).__name__}"
        print(f"{family.title}: {column}: {error}", file=sys.stderr)
    return found


def written() -> dict[str, dict[str, str]]:
    """Return the rows of the table in the document, by family."""
    rows = {}
    for line in DOCUMENT.read_text(encoding="utf-8").partition(HEAD)[2].splitlines()[2:]:
        if not line.startswith("| "):
            break
        title, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[title] = dict(zip(COLUMNS, cells, strict=True))
    return rows


def write(found: Mapping[str, Mapping[str, str]]) -> None:
    """Write the new results to the table in the document; other rows stay."""
    before = written()
    lines = []
    for family in FAMILIES:
        row = before.get(family.title, dict.fromkeys(COLUMNS, NOT_TRIED))
        tried = {
            key: said for key, said in found.get(family.title, {}).items() if said != NOT_TRIED
        }
        lines.append(f"| {family.title} | {' | '.join((row | tried).values())} |\n")
    head, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(HEAD)
    rule, *after = rest.removeprefix("\n").splitlines(keepends=True)
    while after and after[0].startswith("| "):
        after.pop(0)
    DOCUMENT.write_text("".join([head, HEAD, "\n", rule, *lines, *after]), encoding="utf-8")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="titles of families, or parts of them")
    parser.add_argument("--vllm", action="store_true", help="try vLLM too, 40 s for each family")
    parser.add_argument("--alone", action="store_true", help="try vLLM without adapters")
    parser.add_argument("--one", help="for itself: the family to try in this process")
    parser.add_argument("--write", action="store_true", help="write the table of docs/models.md")
    args = parser.parse_args()
    if args.one is not None:
        (family,) = (one for one in FAMILIES if one.title == args.one)
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(attempt(family, Path(folder), args.vllm, args.alone)))
        return
    rows = {}
    for family in FAMILIES:
        if args.only and not any(part in family.title for part in args.only):
            continue
        words = [sys.executable, __file__, "--one", family.title, *["--vllm"][: args.vllm]]
        done = subprocess.run(words, capture_output=True, text=True)
        lines = done.stdout.splitlines()
        if lines:
            row = rows[family.title] = json.loads(lines[-1])
            if row["vLLM"].startswith("no:"):
                # vLLM may fail on the adapters only. A process has one engine, so try in another.
                again = subprocess.run([*words, "--alone"], capture_output=True, text=True)
                tried = again.stdout.splitlines()
                if tried and json.loads(tried[-1])["vLLM"] == "yes":
                    row |= {"vLLM": "yes", "adapters": row["vLLM"]}
        print(family.title, rows.get(family.title), flush=True)
        if "no:" in str(rows.get(family.title, "no:")):
            print(done.stderr[-600:], flush=True)
    if args.write:
        write(rows)


if __name__ == "__main__":
    main()
