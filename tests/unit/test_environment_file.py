import os

import pytest

from seedbed.run.environment import read_environment
from seedbed.study.loading import StudyError


def read(tmp_path, text):
    file = tmp_path / ".env"
    file.write_text(text)
    read_environment(file)


def test_variables_are_set_but_for_those_that_are_set_already(tmp_path, monkeypatch):
    for name in ("AA_KEY", "BB_KEY", "CC_KEY", "DD_KEY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("BB_KEY", "known")
    read(
        tmp_path,
        "# keys\n\nAA_KEY=sk-1=2\nexport BB_KEY=other\nCC_KEY = 'with # sign'\nDD_KEY=a # words\n",
    )
    assert [os.environ[name] for name in ("AA_KEY", "BB_KEY", "CC_KEY", "DD_KEY")] == [
        "sk-1=2", "known", "with # sign", "a",
    ]  # fmt: skip
    read_environment(tmp_path / "none")


@pytest.mark.parametrize("line", ["sk-secret", "A_KEY=sk secret", "A_KEY='sk-secret", "1A=secret"])
def test_a_line_that_sets_nothing_is_named_and_not_shown(tmp_path, line):
    with pytest.raises(StudyError, match="line 2") as refusal:
        read(tmp_path, f"\n{line}\n")
    assert "secret" not in str(refusal.value)
