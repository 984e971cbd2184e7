import os

import pytest

from seedbed.run.environment import read_environment
from seedbed.study.loading import StudyError


def read(tmp_path, text):
    file = tmp_path / ".env"
    file.write_text(text)
    read_environment(file)


def test_variables_are_set_but_for_those_that_are_set_already(tmp_path, monkeypatch):
    names = ("AA_KEY", "BB_KEY", "CC_KEY", "DD_KEY", "EE_KEY", "FF_KEY", "GG_KEY")
    for name in names:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("BB_KEY", "known")
    read(
        tmp_path,
        "# keys\n\nAA_KEY=sk-1=2\nexport BB_KEY=other\nCC_KEY = 'with # sign'\nDD_KEY=a # don't\n"
        'EE_KEY=sk#1\r\nexport FF_KEY="sk 1"\r\nGG_KEY= # none yet\n',
    )
    assert [os.environ[name] for name in names] == [
        "sk-1=2", "known", "with # sign", "a", "sk#1", "sk 1", "",
    ]  # fmt: skip
    read_environment(tmp_path / "none")


def test_a_mark_of_the_encoding_is_not_part_of_the_first_name(tmp_path, monkeypatch):
    monkeypatch.setenv("AA_KEY", "")
    monkeypatch.delenv("AA_KEY")
    read(tmp_path, "\ufeffAA_KEY=sk-1\n")
    assert os.environ["AA_KEY"] == "sk-1"


def test_a_file_in_another_encoding_is_named(tmp_path):
    (tmp_path / ".env").write_bytes("AA_KEY=sk-secret\n".encode("utf-16"))
    with pytest.raises(StudyError, match="it is not UTF-8 text") as refusal:
        read_environment(tmp_path / ".env")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("line", ["sk-secret", "A_KEY=sk secret", "A_KEY='sk-secret", "1A=secret"])
def test_a_line_that_sets_nothing_is_named_and_not_shown(tmp_path, line):
    with pytest.raises(StudyError, match="line 2") as refusal:
        read(tmp_path, f"\n{line}\n")
    assert "secret" not in str(refusal.value)
