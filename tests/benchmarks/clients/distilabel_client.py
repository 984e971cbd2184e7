"""Measure how long distilabel takes to get answers from an endpoint.

The measurement is one run of a pipeline with one step, from its creation to the table of answers.
It includes the processes that the pipeline starts and the files that it stores by default, in a new
folder; it excludes imports. The step sends a batch at once and waits for all of it, so the batch
size is the concurrency.

    python distilabel_client.py TASK.json    (content: see `run_tool`)
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import time
from pathlib import Path

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps.tasks import TextGeneration


def main() -> None:
    """Run the requests, and write the measurements."""
    task = json.loads(Path(sys.argv[1]).read_text())
    # It silences its client library's logger only by an older name; a log line per request is not
    # part of its work.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    sampling = dict(task["sampling"])
    sampling["max_new_tokens"] = sampling.pop("max_tokens")
    start = time.perf_counter()
    with Pipeline(name="orchestration") as pipeline:
        TextGeneration(
            llm=OpenAILLM(model=task["model"], base_url=task["url"], generation_kwargs=sampling),
            input_batch_size=task["concurrency"],
        )
    rows = pipeline.run(
        dataset=[{"instruction": prompt} for prompt in task["prompts"]],
        dataset_batch_size=task["concurrency"],
    )["default"]["train"]
    seconds = time.perf_counter() - start
    most = max(
        resource.getrusage(who).ru_maxrss / 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    right = sum(text == task["answer"] for text in rows["generation"])
    result = {"seconds": seconds, "mib": most, "right": right}
    Path(task["result"]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
