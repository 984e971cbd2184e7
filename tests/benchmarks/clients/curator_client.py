"""How long bespokelabs-curator takes to ask an endpoint for answers.

Measured is one run from the making of its LLM to the table of answers: the files of requests and
responses that it keeps by default, in a fresh folder, are part of it, and imports are not.

    python curator_client.py TASK.json    (what is in it: `run_tool`)
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

import litellm
from bespokelabs import curator

NO_LIMIT = 10**9
"""Requests and tokens a minute; without these it keeps to limits of its own."""


def main() -> None:
    """Ask, and write what it took."""
    task = json.loads(Path(sys.argv[1]).read_text())
    # It counts tokens by a table that it would fetch; one that comes with it has the same.
    tables = Path(litellm.__file__).parent / "litellm_core_utils" / "tokenizers"
    os.environ["TIKTOKEN_CACHE_DIR"] = str(tables)
    start = time.perf_counter()
    llm = curator.LLM(
        model_name=task["model"],
        backend="openai",
        generation_params=task["sampling"],
        backend_params={
            "base_url": task["url"],
            "max_concurrent_requests": task["concurrency"],
            "max_requests_per_minute": NO_LIMIT,
            "max_tokens_per_minute": NO_LIMIT,
        },
    )
    rows = llm(task["prompts"]).dataset
    seconds = time.perf_counter() - start
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    right = sum(text == task["answer"] for text in rows["response"])
    result = {"seconds": seconds, "mib": most, "right": right}
    Path(task["result"]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
