"""Random draws of tests, which can be made again."""

import os
import random

SEED = "SEEDBED_TEST_SEED"


def draws() -> random.Random:
    """Return random numbers from the seed in the environment, or from a new one, which is shown."""
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(2**32))
    print(f"To draw the same again: {SEED}={seed}")
    return random.Random(seed)
