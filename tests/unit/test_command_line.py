"""Options: what a dataclass of them reads, and what it says of those that are wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from seedbed.artifacts import whole_file
from seedbed.command_line import (
    Checked,
    json_of,
    json_value,
    option,
    optional,
    read_options,
    several,
    switch,
)


class Fit(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    methods: tuple[str, ...] = ()
    samples: int = 4


@dataclass(frozen=True)
class Sampling:
    top_p: float


@dataclass(frozen=True, kw_only=True)
class Options(Checked):
    task_folder: Path = option(Path, "folder of the task")
    settings: Fit = option(json_of(Fit), "how to fit", "{}")
    sampling: Sampling = option(json_of(Sampling), "how to sample", Sampling(1.0))
    prices: dict[str, Any] = option(json_value, "what 100% of the tokens cost", {})
    questions: Path | None = optional(whole_file, "questions")
    answers: tuple[Path, ...] = several("answers")
    text: str = option(str, "a text", "")
    threads: int = option(int, "CPU threads", 1)
    plain: bool = switch("nothing else")


def read(*words: str) -> Options:
    return read_options(Options, "Do it.", ["--task-folder", "here", *words])


@pytest.mark.parametrize("word", ["--journal", "--journal=here"])
def test_an_option_of_an_earlier_version_names_the_present_one(word, capsys):
    @dataclass(frozen=True, kw_only=True)
    class Asking:
        cache: Path = option(Path, "folder of the response cache")
        verdicts: Path | None = optional(Path, "what a judge said")

    with pytest.raises(SystemExit):
        read_options(Asking, "Ask.", [word, "here"])
    assert "--journal is called --cache now" in capsys.readouterr().err
    # An option that an earlier version had under another meaning.
    assert read_options(Asking, "Ask.", ["--cache", "a", "--verdicts", "b"]).verdicts == Path("b")


def test_options_are_read_as_their_fields_say(tmp_path):
    made = [tmp_path / name for name in ("a.txt", "b.txt")]
    for file in made:
        file.write_text("")
    (tmp_path / "list").write_text(f"{made[0]}\n{made[1]}\n")
    (tmp_path / "fit.json").write_text('{"methods": ["a"], "samples": 9}')
    plain = read()
    assert plain == Options(task_folder=Path("here"))
    found = read(
        *("--settings", f"@{tmp_path}/fit.json", "--sampling", '{"top_p": 0.5}', "--text=-5"),
        *("--prices", '{"a": 1}', "--questions", str(made[0]), "--threads=3", "--plain"),
        *("--answers", f"@{tmp_path}/list"),
    )
    assert (found.settings.methods, found.settings.samples) == (("a",), 9)
    assert (found.sampling, found.text, found.prices) == (Sampling(0.5), "-5", {"a": 1})
    assert (found.questions, found.answers) == (made[0], tuple(made))
    assert (found.threads, found.plain) == (3, True)


def test_an_input_that_a_job_does_not_have_is_given_without_a_value():
    found = read("--questions", "--answers", "--text=")
    assert (found.questions, found.answers, found.text) == (None, (), "")
    assert read("--questions=").questions is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--threads", "two"], ["--threads", "two"]),
        (["--settings", '{"samples": "x"}'], ["--settings", "samples", "integer"]),
        (["--settings", '{"sample": 1}'], ["--settings", "sample", "not permitted"]),
        (["--settings", "{"], ["--settings"]),
        (["--settings", "[]"], ["--settings", "object"]),
        (["--settings", "@gone.json"], ["--settings", "gone.json", "No such file"]),
        (["--sampling", '{"top": 1}'], ["--sampling", "top"]),
        (["--questions", "gone.parquet"], ["--questions", "gone.parquet", "No such file"]),
        (["--answers", "@gone.txt"], ["--answers", "gone.txt", "No such file"]),
        (["--thread", "1"], ["--thread"]),
    ],
)
def test_a_wrong_option_is_named_in_one_line(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        read(*words)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.count("\n") == 1
    assert all(part in error for part in said)


def test_an_option_that_is_missing_is_named(capsys):
    with pytest.raises(SystemExit):
        read_options(Options, "Do it.", [])
    assert "--task-folder" in capsys.readouterr().err


def test_help_says_what_each_option_is(capsys):
    with pytest.raises(SystemExit):
        read("--help")
    said = capsys.readouterr().out
    assert "Do it." in said
    assert "CPU threads (default: 1)" in said
    assert "--task-folder FILE" in said and "--prices JSON" in said and "100% of the" in said


@pytest.mark.parametrize(
    ("script", "option", "content", "wrong", "said"),
    [
        ("plot", "titles", {"b": {"title": "Big"}}, {"b": {"titel": "B"}}, "b.titel"),
        ("plot", "published", [{"source": "S", "low": 2.0}], [{"source": "S"}], "[0].low"),
        (
            "find_crossovers",
            "prices",
            {"m": {"usd_per_million_prompt_tokens": 2}},
            {"m": {"usd_per_milion_prompt_tokens": 2}},
            "did you mean 'usd_per_million_prompt_tokens'",
        ),
        ("check_findings", "contrasts", [], [{"name": "a"}], "[0].sentence"),
    ],
)
def test_options_of_scripts_that_take_json_take_a_file_and_refuse_other_keys(
    script, option, content, wrong, said, tmp_path
):
    kind = import_module(script).Options
    (one,) = (field for field in fields(kind) if field.name == option)
    file = tmp_path / "given.json"
    file.write_text(json.dumps(content))
    read = one.metadata["read"]
    assert vars(read(f"@{file}")) if option == "titles" else len(read(f"@{file}")) == len(content)
    file.write_text(json.dumps(wrong))
    with pytest.raises(ValueError) as found:
        read(f"@{file}")
    assert said in str(found.value)
