"""How long distilabel takes to ask an endpoint for answers.

Measured is one run of a pipeline of one step, from its making to the table of answers: the
processes that it starts and the files that it keeps by default, in a fresh folder, are part of it,
and imports are not. Its step asks for a batch at once and waits for all of it, so a batch is as
many as are to be under way.

    python distilabel_client.py TASK.json    (what is in it: `run_tool`)
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
    """Ask, and write what it took."""
    task = json.loads(Path(sys.argv[1]).read_text())
    # A line of log a request is no part of its work: it silences what its client library was
    # called before.
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
