"""Measure how long bespokelabs-curator takes to get answers from an endpoint.

The measurement is one run from the creation of its LLM to the table of answers. It includes writing
the files of requests and responses that curator stores by default, in a new folder; it excludes
imports.

    python curator_client.py TASK.json    (content: see `run_tool`)
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
"""Requests and tokens per minute; without these it uses its own limits."""


def main() -> None:
    """Run the requests, and write the measurements."""
    task = json.loads(Path(sys.argv[1]).read_text())
    # It would download a table to count tokens; an installed one has the same content.
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
