"""How the tests' tiny model is trained."""

PROMPTS = {
    "answer": "{question}",
    "question_rephrase": "Rephrase: {question}",
    "new_question": "New: {question}",
    "self_check": "Check: {question}",
}
# One head, as on a CPU vLLM has none that are narrower.
SIZES = {"hidden_size": 32, "layers": 1, "heads": 1, "intermediate_size": 64}


def silent(text):
    """Report no progress."""


def assert_same(one, other):
    """Two trainings, each its loss and its weights by name, are the same up to rounding."""
    import pytest
    import torch

    assert one[0] == pytest.approx(other[0], rel=1e-5)
    assert one[1].keys() == other[1].keys()
    for name, weight in one[1].items():
        torch.testing.assert_close(weight, other[1][name], rtol=1e-3, atol=1e-5)
