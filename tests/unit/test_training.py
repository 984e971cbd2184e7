"""Training of models from scratch, and of students on data sets."""

import random
import shutil
from collections import Counter

import polars as pl
import pytest
import torch
import transformers
from recording_engine import KilledError
from safetensors.torch import load_file

from practice import PROMPTS, SIZES, silent
from seedbed.artifacts import read_json, write_json
from seedbed.chats import encode_rows
from seedbed.engines import Request, load_engine
from seedbed.models import fingerprint
from seedbed.tasks.worlds import SKILLS, load_world
from seedbed.training import pretraining
from seedbed.training.pretraining import pretrain, training_messages, words_of
from seedbed.training.record import TrainingRecord, rows_left_out
from seedbed.training.settings import Pretrain, StudentTraining
from seedbed.training.students import train_student

WORLD = load_world("mini_math")
SETTINGS = Pretrain(
    role="teacher", steps=60, batch_size=4, learning_rate=3e-3, checkpoints=(30,), **SIZES
)
STUDENT = StudentTraining(
    epochs=2, learning_rate=1e-2, batch_size=4, lora_rank=4, lora_alpha=8, max_length=128
)


# --- what models learn from scratch


def test_a_teacher_practises_every_skill_in_its_share():
    chats = training_messages(WORLD, PROMPTS, "teacher", 2000, seed=0)
    assert all([message["role"] for message in chat] == ["user", "assistant"] for chat in chats)
    starts = Counter(chat[0]["content"].split(" ")[0] for chat in chats)
    skills = {"Rephrase:": "question_rephrase", "New:": "new_question", "Check:": "self_check"}
    for start, skill in skills.items():
        assert abs(starts[start] / 2000 - pretraining.SKILL_SHARES[skill]) < 0.04


def test_a_student_has_answers_and_reading_matter_of_one_message():
    chats = training_messages(WORLD, PROMPTS, "student_a", 2000, seed=0)
    alone = [chat[0]["role"] for chat in chats if len(chat) == 1]
    assert abs(len(alone) / 2000 - pretraining.READING_SHARE) < 0.04
    assert 0.4 < alone.count("user") / len(alone) < 0.6
    assert not any(message["content"].startswith("Re") for chat in chats for message in chat)


def test_chats_depend_on_role_and_seed_alone():
    first = training_messages(WORLD, PROMPTS, "student_a", 50, seed=1)
    assert training_messages(WORLD, PROMPTS, "student_a", 50, seed=1) == first
    assert training_messages(WORLD, PROMPTS, "student_a", 50, seed=2) != first
    assert training_messages(WORLD, PROMPTS, "student_b", 50, seed=1) != first


def test_the_vocabulary_has_the_words_of_the_prompts():
    words = words_of(WORLD, {"answer": "Solve, please: {question}"})
    assert {"Solve", "please", ":", "apples"} <= set(words)
    assert len(words) == len(set(words))


# --- models from scratch


def train_from_scratch(output, settings=SETTINGS, progress=silent, about=None):
    pretrain(settings, WORLD, PROMPTS, output, about or {"world": "mini_math"}, progress)


@pytest.fixture
def saves_every_20_steps(monkeypatch):
    monkeypatch.setattr(pretraining, "SAVE_EVERY_STEPS", 20)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed") / "model"
    train_from_scratch(output)
    return output


@pytest.fixture
def steps_trained(monkeypatch):
    """A list that grows by one with each step that is really trained."""
    steps = []
    training_step = transformers.Trainer.training_step

    def count(*args, **kwargs):
        steps.append(1)
        return training_step(*args, **kwargs)

    monkeypatch.setattr(transformers.Trainer, "training_step", count)
    return steps


def kill_at_step_50(text):
    """Die when the loss of step 50 is told, after the save of step 40."""
    if text.startswith("step 50 "):
        raise KilledError


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_a_model_and_its_checkpoint_are_whole_folders_that_say_what_they_are(undisturbed):
    assert sorted(path.name for path in undisturbed.iterdir()) == ["final", "step=30"]
    assert [path.name for path in undisturbed.parent.iterdir()] == ["model"]
    for name, step in (("final", 60), ("step=30", 30)):
        record = read_json(undisturbed / name / "model.json")
        assert record["world"] == "mini_math"
        assert record["step"] == step
        assert record["fingerprint"] == fingerprint(undisturbed / name)
        assert record["parameters"] == sum(w.numel() for w in weights(undisturbed / name).values())
    assert 2 < read_json(undisturbed / "final" / "model.json")["loss"] < 7
    assert fingerprint(undisturbed / "final") != fingerprint(undisturbed / "step=30")


def test_a_run_that_was_killed_goes_on_and_ends_as_if_it_had_not(
    tmp_path, undisturbed, saves_every_20_steps, steps_trained
):
    output = tmp_path / "model"
    with pytest.raises(KilledError):
        train_from_scratch(output, progress=kill_at_step_50)
    assert not output.exists()
    steps_trained.clear()
    train_from_scratch(output)
    assert len(steps_trained) == 60 - 40
    assert sorted(path.name for path in output.iterdir()) == ["final", "step=30"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    for name in ("final", "step=30"):
        for key, weight in weights(undisturbed / name).items():
            torch.testing.assert_close(weights(output / name)[key], weight, rtol=0, atol=0)


def killed_run(output, **changes):
    with pytest.raises(KilledError):
        train_from_scratch(output, progress=kill_at_step_50, **changes)
    return output.with_name(".model.unfinished")


def test_a_save_that_was_not_finished_is_passed_over(
    tmp_path, undisturbed, saves_every_20_steps, steps_trained
):
    work = killed_run(tmp_path / "model")
    broken = shutil.copytree(work / "checkpoint-40", work / "checkpoint-60")
    (broken / "trainer_state.json").unlink()
    (broken / "optimizer.pt").write_bytes(b"half")
    steps_trained.clear()
    train_from_scratch(tmp_path / "model")
    assert len(steps_trained) == 60 - 40
    assert fingerprint(tmp_path / "model" / "final") == fingerprint(undisturbed / "final")


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"settings": SETTINGS.model_copy(update={"learning_rate": 1e-3})},
        {"about": {"code": "other"}},
    ],
)
def test_saves_of_a_run_with_other_settings_or_code_are_not_used(
    tmp_path, undisturbed, saves_every_20_steps, steps_trained, changes
):
    killed_run(tmp_path / "model", **changes)
    steps_trained.clear()
    train_from_scratch(tmp_path / "model")
    assert len(steps_trained) == 60
    assert fingerprint(tmp_path / "model" / "final") == fingerprint(undisturbed / "final")


def test_a_run_killed_after_its_last_step_only_tidies_up(tmp_path, undisturbed, steps_trained):
    work = killed_run(tmp_path / "model")
    # As if the kill had come while the saves of a finished run were being removed.
    shutil.copytree(undisturbed / "final", work / "final")
    shutil.copytree(undisturbed / "step=30", work / "step=30", dirs_exist_ok=True)
    (work / "checkpoint-40").mkdir(exist_ok=True)
    steps_trained.clear()
    train_from_scratch(tmp_path / "model")
    assert steps_trained == []
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["final", "step=30"]


# --- students


def save(path, pairs):
    messages = [
        [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        for question, answer in pairs
    ]
    kind = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
    pl.DataFrame({"messages": messages}, schema={"messages": kind}).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def pairs():
    items = WORLD.items("train", 10, seed=1)
    return [(item.question, item.answer) for item in items]


def train(model, dataset, output, settings=STUDENT, progress=silent):
    def describe(folder, counts, earlier_seconds):
        TrainingRecord(counts=counts).write(folder / "training.json")

    return train_student(model, dataset, output, settings, describe, progress).model_dump()


@pytest.fixture(scope="module")
def trained(tiny_model, pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")
    counts = train(tiny_model, save(folder / "dataset.parquet", pairs), folder / "adapter")
    return folder, counts


def greedy(model, adapter, questions):
    requests = [Request(str(n), (("user", q),), max_tokens=24) for n, q in enumerate(questions)]
    return {c.key: c.text for c in load_engine(model).complete(requests, adapter)}


def test_an_adapter_is_a_peft_folder_with_its_counts(trained, tiny_model):
    from transformers import AutoTokenizer

    folder, counts = trained
    assert sorted(path.name for path in folder.iterdir()) == ["adapter", "dataset.parquet"]
    names = {path.name for path in (folder / "adapter").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "training.json"} <= names
    assert "work" not in names
    assert read_json(folder / "adapter" / "training.json")["counts"] == counts
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    chats = pl.read_parquet(folder / "dataset.parquet")["messages"].to_list()
    tokens = sum(
        len(tokenizer.encode(tokenizer.apply_chat_template(chat, tokenize=False))) for chat in chats
    )
    # Two epochs of ten rows, four at a time.
    assert counts == {
        "training_rows": 10,
        "training_tokens": tokens,
        "too_long_rows": 0,
        "steps": 6,
        "warmup_steps": 0,
        "epochs": 2.0,
        "loss": pytest.approx(counts["loss"]),
    }
    assert 1 < counts["loss"] < 7


def test_the_same_seed_gives_the_same_adapter_and_another_another(trained, tiny_model):
    folder, _ = trained
    dataset = folder / "dataset.parquet"
    bytes_of = {}
    for name, settings in (("again", STUDENT), ("other", STUDENT.model_copy(update={"seed": 1}))):
        train(tiny_model, dataset, folder.parent / name, settings)
        bytes_of[name] = (folder.parent / name / "adapter_model.safetensors").read_bytes()
    first = (folder / "adapter" / "adapter_model.safetensors").read_bytes()
    assert bytes_of["again"] == first
    assert bytes_of["other"] != first


def test_every_linear_layer_is_adapted_and_moved(trained):
    adapter = load_file(trained[0] / "adapter" / "adapter_model.safetensors")
    for layer in ("q", "k", "v", "o", "gate", "up", "down"):
        (weight,) = (w for name, w in adapter.items() if f".{layer}_proj.lora_B" in name)
        assert weight.shape[1] == STUDENT.lora_rank
        assert weight.abs().max() > 0


def test_the_loss_is_on_the_answer_and_its_end_alone(tiny_model, pairs, tmp_path, monkeypatch):
    import trl
    from transformers import AutoTokenizer

    batches = []
    really_train = trl.SFTTrainer.train

    def look_and_train(self, *args, **kwargs):
        batches.extend(self.get_train_dataloader())
        return really_train(self, *args, **kwargs)

    monkeypatch.setattr(trl.SFTTrainer, "train", look_and_train)
    dataset = save(tmp_path / "dataset.parquet", pairs)
    train(tiny_model, dataset, tmp_path / "adapter", STUDENT.model_copy(update={"epochs": 1}))
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    seen = {}
    for batch in batches:
        rows = zip(
            batch["input_ids"].tolist(),
            batch["labels"].tolist(),
            batch["attention_mask"].tolist(),
            strict=True,
        )
        for ids, labels, mask in rows:
            learned = [k for k, label in enumerate(labels) if label != -100]
            assert [ids[k] for k in learned] == [labels[k] for k in learned]
            assert all(mask[k] for k in learned)
            before = [ids[k] for k in range(learned[0]) if mask[k]]
            prompt = tokenizer.decode(before)
            seen[prompt] = tokenizer.decode([labels[k] for k in learned])
            # The answer is one piece, and nothing follows it.
            assert learned == list(range(learned[0], learned[-1] + 1))
            assert not any(mask[learned[-1] + 1 :])
    asked = [[{"role": "user", "content": question}] for question, _ in pairs]
    prompts = [
        tokenizer.decode(ids)
        for ids in tokenizer.apply_chat_template(
            asked, add_generation_prompt=True, return_dict=True
        )["input_ids"]
    ]
    ends = [tokenizer.decode(tokenizer.encode(f"{answer}<|end|>")) for _, answer in pairs]
    assert seen == dict(zip(prompts, ends, strict=True))


def test_a_student_learns_what_it_is_shown(tiny_model, tmp_path):
    shown = [("How many coins does Anna have?", "#### 7"), ("Count the books.", "#### 12")]
    dataset = save(tmp_path / "dataset.parquet", shown * 8)
    settings = STUDENT.model_copy(update={"epochs": 20, "lora_rank": 8, "lora_alpha": 32})
    train(tiny_model, dataset, tmp_path / "adapter", settings)
    found = greedy(tiny_model, tmp_path / "adapter", [question for question, _ in shown])
    assert found == {"0": "#### 7", "1": "#### 12"}


def test_a_dataset_without_rows_gives_an_adapter_that_changes_nothing(
    tiny_model, questions, tmp_path
):
    counts = train(tiny_model, save(tmp_path / "dataset.parquet", []), tmp_path / "adapter")
    assert counts == {
        "training_rows": 0,
        "training_tokens": 0,
        "too_long_rows": 0,
        "steps": 0,
        "warmup_steps": 0,
        "epochs": 0.0,
        "loss": None,
    }
    plain = greedy(tiny_model, None, questions[:20])
    assert len(set(plain.values())) > 5
    assert greedy(tiny_model, tmp_path / "adapter", questions[:20]) == plain


def test_attention_softcaps_are_applied_in_training_and_in_answers(tiny_model, pairs, tmp_path):
    from transformers import AutoTokenizer, Gemma2Config, Gemma2ForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    torch.manual_seed(0)
    folder = tmp_path / "gemma"
    Gemma2ForCausalLM(
        Gemma2Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=16,
            attn_logit_softcapping=0.01,
            query_pre_attn_scalar=1,
            initializer_range=0.5,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    still = STUDENT.model_copy(update={"learning_rate": 1e-12, "epochs": 1, "batch_size": 10})
    found = train(folder, save(tmp_path / "dataset.parquet", pairs), tmp_path / "adapter", still)
    chats = pl.read_parquet(tmp_path / "dataset.parquet")["messages"].to_list()
    rows = encode_rows(tokenizer, chats)
    losses = {}
    for attention in ("eager", "sdpa"):
        model = Gemma2ForCausalLM.from_pretrained(folder, attn_implementation=attention)
        nats = 0.0
        for row in rows:
            labels = torch.tensor([[-100] * row.prompt_tokens + row.ids[row.prompt_tokens :]])
            kept = int((labels != -100).sum())
            nats += kept * model(torch.tensor([row.ids]), labels=labels).loss.item()
        losses[attention] = nats / sum(len(row.ids) - row.prompt_tokens for row in rows)
    assert found["loss"] == pytest.approx(losses["eager"], rel=1e-4)
    assert found["loss"] != pytest.approx(losses["sdpa"], rel=1e-2)
    assert load_engine(folder)._base.config._attn_implementation == "eager"


def test_rows_that_are_too_long_are_left_out_and_counted(tiny_model, pairs, tmp_path):
    long = ("apples " * 200, "#### 1")
    dataset = save(tmp_path / "dataset.parquet", [*pairs[:3], long])
    counts = train(tiny_model, dataset, tmp_path / "adapter")
    assert (counts["training_rows"], counts["too_long_rows"], counts["steps"]) == (3, 1, 2)
    dataset = save(tmp_path / "long.parquet", [long])
    counts = train(tiny_model, dataset, tmp_path / "none")
    assert (counts["training_rows"], counts["too_long_rows"], counts["steps"]) == (0, 1, 0)
    records = [tmp_path / name / "training.json" for name in ("adapter", "none", "not there")]
    said = rows_left_out(records)
    assert said.startswith("2 rows of 2 trainings are longer than training.max_length")
    assert rows_left_out([]) is None


def test_rows_beyond_a_students_positions_are_left_out(tiny_model, pairs, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    config = read_json(model / "config.json")
    write_json(model / "config.json", config | {"max_position_embeddings": 64})
    long = ("apples " * 80, "#### 1")  # fits into max_length
    dataset = save(tmp_path / "dataset.parquet", [("1 + 2 = ?", "#### 3"), long])
    counts = train(model, dataset, tmp_path / "adapter")
    assert (counts["training_rows"], counts["too_long_rows"]) == (1, 1)


def test_few_steps_see_rows_from_the_whole_dataset_and_no_others_are_made_ready(
    tiny_model, pairs, tmp_path, monkeypatch
):
    from seedbed.training.trainer import MicroBatchTrainer

    shown = []
    go_on = MicroBatchTrainer.go_on

    def note(self, save):
        shown.append(self.train_dataset["input_ids"])
        go_on(self, save)

    monkeypatch.setattr(MicroBatchTrainer, "go_on", note)
    data = save(tmp_path / "dataset.parquet", pairs)
    capped = STUDENT.model_copy(update={"max_steps": 2, "batch_size": 3})
    counts = train(tiny_model, data, tmp_path / "adapter", capped)
    again = train(tiny_model, data, tmp_path / "again", capped)
    other = train(tiny_model, data, tmp_path / "other", capped.model_copy(update={"seed": 1}))
    assert len(pairs) > 6
    assert [c["steps"] for c in (counts, again, other)] == [2, 2, 2]
    assert counts["epochs"] == 0.5  # Two of the four steps of an epoch.
    assert counts["training_rows"] == len(pairs)
    assert [len(rows) for rows in shown] == [6, 6, 6]
    assert shown[0] == shown[1] != shown[2]
    train(tiny_model, data, tmp_path / "all", STUDENT)
    assert [shown[3].index(row) for row in shown[0]] != list(range(6))


def test_answers_that_look_like_templates_are_trained_on(tiny_model, tmp_path):
    odd = [("", ""), ("{x} {{ y }}", "naïve 🌱\n\n#### 3"), ("7" * 40, "{% raw %}")]
    counts = train(tiny_model, save(tmp_path / "dataset.parquet", odd), tmp_path / "adapter")
    assert counts["training_rows"] == 3


def test_random_numbers_of_the_caller_do_not_matter(trained, tiny_model, tmp_path):
    folder, _ = trained
    random.seed(99)
    torch.manual_seed(99)
    train(tiny_model, folder / "dataset.parquet", tmp_path / "adapter")
    name = "adapter_model.safetensors"
    assert (tmp_path / "adapter" / name).read_bytes() == (folder / "adapter" / name).read_bytes()


def test_skills_of_the_world_have_prompts():
    assert set(PROMPTS) == set(SKILLS)
