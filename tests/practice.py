"""Training of the tests' tiny model."""

PROMPTS = {
    "answer": "{question}",
    "question_rephrase": "Rephrase: {question}",
    "new_question": "New: {question}",
    "self_check": "Check: {question}",
}
# One head, because vLLM supports no narrower heads on a CPU.
SIZES = {"hidden_size": 32, "layers": 1, "heads": 1, "intermediate_size": 64}


def silent(text):
    """Report no progress."""


def assert_same(one, other):
    """Assert that two trainings, each a loss and weights by name, are equal up to rounding."""
    import pytest
    import torch

    assert one[0] == pytest.approx(other[0], rel=1e-5)
    assert one[1].keys() == other[1].keys()
    for name, weight in one[1].items():
        torch.testing.assert_close(weight, other[1][name], rtol=1e-3, atol=1e-5)
