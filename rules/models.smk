"""Models.

In: only the study, the hub, or a folder. Out: resources/models/, which studies share: for each model
a folder in the layout of Transformers with model.json, its record.
"""


rule pretrain_model:
    """Train a small model from scratch on a generated world, and keep the requested checkpoints."""
    output:
        weights=f"{RESOURCES}/models/model={{model}}/world={{world}}/final/model.safetensors",
        record=f"{RESOURCES}/models/model={{model}}/world={{world}}/final/model.json",
    log:
        f"{RESOURCES}/logs/pretrain_model/model={{model}}/world={{world}}.log",
    resources:
        **JOB_RESOURCES.pretraining(),
    params:
        settings=lambda wc: FLOW.pretraining(wc.model),
        prompts=lambda wc: FLOW.skill_prompts(wc.world),
        folder=f"{RESOURCES}/models/model={{model}}/world={{world}}",
        code=lambda wc: code("pretrain_model", f"seedbed.tasks.worlds.{wc.world}"),
    shell:
        command("pretrain_model", "world", "threads", "gpu", shown=True)


rule get_model:
    """Fetch a model from the hub, or copy it from a folder, and check its chat template."""
    input:
        chat_template=lambda wc: FLOW.chat_template(wc.model),
    output:
        record=f"{RESOURCES}/models/model={{model}}/source=fetched/model.json",
    log:
        f"{RESOURCES}/logs/get_model/model={{model}}.log",
    localrule: True
    params:
        source=lambda wc: FLOW.model_source(wc.model),
        # Not tracked (it takes `input`), because it is only checked.
        chats=lambda wc, input: FLOW.chats(wc.model),
        folder=f"{RESOURCES}/models/model={{model}}/source=fetched",
        code=lambda wc: code("get_model"),
    shell:
        command("get_model", shown=True)
