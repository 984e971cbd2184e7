"""The arithmetic and the table of tests/gpu/check_gpu.py, which itself needs a GPU to mean much."""

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "gpu/check_gpu.py"


@pytest.fixture(scope="module")
def check_gpu():
    spec = importlib.util.spec_from_file_location("check_gpu", FILE)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["check_gpu"] = module
    spec.loader.exec_module(module)
    return module


def test_the_share_of_the_peak_is_what_the_tokens_take(check_gpu):
    # 1e9 parameters, 2 operations each: 500 tokens a second are 1e12 of 4e12 operations.
    text = check_gpu.table(
        "1b", 10**9, 4e12, {"generation": (500.0, 2), "training": (500.0, 4)}, {}
    )
    assert "| generation | 500 | 25.0% |" in text
    assert "| training | 500 | 50.0% |" in text


def test_a_table_without_a_gpu_says_so(check_gpu):
    import torch

    text = check_gpu.table("tiny", 10**6, 1e10, {}, {})
    assert ("No GPU was there" in text) == (not torch.cuda.is_available())


def test_a_table_takes_the_place_of_the_one_before(check_gpu, tmp_path):
    file = tmp_path / "doc.md"
    file.write_text(f"before\n{check_gpu.BEGIN}\nold\n{check_gpu.END}\nafter\n")
    check_gpu.write_into(file, "new")
    assert file.read_text() == f"before\n{check_gpu.BEGIN}\nnew\n{check_gpu.END}\nafter\n"
    file.write_text("no marks")
    with pytest.raises(ValueError, match="has no lines"):
        check_gpu.write_into(file, "new")


def test_what_is_wrong_ends_it(check_gpu):
    with pytest.raises(check_gpu.CheckError, match="the loss falls"):
        check_gpu.check(False, "the loss falls")
