"""Reproducible random draws for tests."""

import os
import random

SEED = "SEEDBED_TEST_SEED"


def draws() -> random.Random:
    """Return a random generator with the seed in the environment, or with a new, printed seed."""
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(2**32))
    print(f"To draw the same again: {SEED}={seed}")
    return random.Random(seed)
