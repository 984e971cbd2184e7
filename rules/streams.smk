"""Streams of teacher queries, shard by shard.

In: seed sets and models. Out: questions/ and answers/, a Parquet file for each stream and shard; and
state/, the response caches. A shard that is extended keeps its rows.
"""


rule write_questions:
    """Write the questions of one shard with the augmenter, and check them."""
    input:
        seeds=lambda wc: FLOW.seeds(wc.question_stream),
        model=lambda wc: FLOW.model_record(*FLOW.augmenter(wc.question_stream)),
    output:
        questions=update(
            f"{RESULTS}/questions/{{question_stream}}/shard={{shard}}/questions.parquet"
        ),
    log:
        f"{RESULTS}/logs/write_questions/{{question_stream}}/shard={{shard}}.log",
    resources:
        **JOB_RESOURCES.questions(),
    params:
        **PARAMETERS.shard("write_questions", "question_stream"),
        **PARAMETERS.asking("augmenter", "question_stream", "questions"),
        settings=lambda wc: FLOW.questions(wc.question_stream),
        code=lambda wc: code("write_questions"),
    shell:
        command("write_questions", "question_stream", "threads", "runtime")


rule answer_questions:
    """Answer the questions of one shard with the teacher."""
    input:
        seeds=lambda wc: FLOW.seeds(wc.stream),
        questions=lambda wc: FLOW.questions_of_shard(wc.stream, wc.shard),
        model=lambda wc: FLOW.model_record(*FLOW.teacher(wc.stream)),
    output:
        answers=update(f"{RESULTS}/answers/{{stream}}/shard={{shard}}/answers.parquet"),
    log:
        f"{RESULTS}/logs/answer_questions/{{stream}}/shard={{shard}}.log",
    resources:
        **JOB_RESOURCES.answers(),
    params:
        **PARAMETERS.shard("answer_questions", "stream"),
        **PARAMETERS.asking("teacher", "stream", "answers"),
        settings=lambda wc: FLOW.answers(wc.stream),
        code=lambda wc: code("answer_questions"),
    shell:
        command("answer_questions", "stream", "threads", "runtime")
