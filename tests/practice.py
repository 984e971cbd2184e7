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
