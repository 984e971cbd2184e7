"""Streams of teacher queries, shard by shard."""


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
    benchmark:
        f"{RESULTS}/benchmarks/write_questions/{{question_stream}}/shard={{shard}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **NEEDS.questions(),
    params:
        settings=lambda wc: FLOW.questions(wc.question_stream),
        start=lambda wc: FLOW.shard(wc.question_stream, wc.shard).start,
        end=lambda wc: FLOW.shard_end(wc.shard),
        model=lambda wc: FLOW.model(*FLOW.augmenter(wc.question_stream)),
        journal=f"{RESULTS}/journal/questions/{{question_stream}}",
        # With `input` among their arguments they are not tracked: they change no result.
        stop=lambda wc, input: FLOW.stop("write_questions", wc),
        engine=lambda wc, input: FLOW.engine("augmenter", wc.question_stream),
        sharing=lambda wc, input: OTHERS.file("augmenter", wc.question_stream),
        code=lambda wc: code("write_questions"),
    message:
        "write_questions {wildcards.question_stream}/shard={wildcards.shard}"
    shell:
        f"{script('write_questions')}"
        " --stream {wildcards.question_stream:q}"
        " --seeds {input.seeds:q}"
        " --start {params.start}"
        " --stop {params.stop}"
        " --end {params.end}"
        " --model {params.model:q}"
        " --settings {params.settings:q}"
        " --engine {params.engine:q}"
        " --threads {threads}"
        " --journal {params.journal:q}"
        " --sharing {params.sharing:q}"
        " --minutes {resources.runtime}"
        " --output {output.questions:q}"
        " 2> {log:q}"


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
    benchmark:
        f"{RESULTS}/benchmarks/answer_questions/{{stream}}/shard={{shard}}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **NEEDS.answers(),
    params:
        settings=lambda wc: FLOW.answers(wc.stream),
        start=lambda wc: FLOW.shard(wc.stream, wc.shard).start,
        end=lambda wc: FLOW.shard_end(wc.shard),
        model=lambda wc: FLOW.model(*FLOW.teacher(wc.stream)),
        journal=f"{RESULTS}/journal/answers/{{stream}}",
        # With `input` among their arguments they are not tracked: they change no result.
        stop=lambda wc, input: FLOW.stop("answer_questions", wc),
        engine=lambda wc, input: FLOW.engine("teacher", wc.stream),
        sharing=lambda wc, input: OTHERS.file("teacher", wc.stream),
        code=lambda wc: code("answer_questions"),
    message:
        "answer_questions {wildcards.stream}/shard={wildcards.shard}"
    shell:
        f"{script('answer_questions')}"
        " --stream {wildcards.stream:q}"
        " --seeds {input.seeds:q}"
        " --questions {input.questions:q}"
        " --start {params.start}"
        " --stop {params.stop}"
        " --end {params.end}"
        " --model {params.model:q}"
        " --settings {params.settings:q}"
        " --engine {params.engine:q}"
        " --threads {threads}"
        " --journal {params.journal:q}"
        " --sharing {params.sharing:q}"
        " --minutes {resources.runtime}"
        " --output {output.answers:q}"
        " 2> {log:q}"
