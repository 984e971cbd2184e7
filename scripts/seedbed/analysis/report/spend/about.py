"""What cards say of a spend beside its results."""

from __future__ import annotations

from pydantic import Field

from seedbed.records import Ordered, Part, Settings


class Named(Part):
    """A task or a model.

    Attributes:
        title: its name for people.
        source: where it is from, in words.
        hub: its name on the hub, if it is from there.
        license: as its file says; None if it says nothing.
    """

    title: str
    source: str
    hub: str | None = None
    license: str | None = None


class About(Part):
    """A spend, beside its results.

    Attributes:
        description: of the study, a sentence.
        task: the task.
        methods: titles by name, in the study's order.
        models: by part: `augmenter`, `teacher`, `student`.
        prompts: by what is asked for: `answer`, or a method.
        generation: how text was sampled.
        training: how the student was trained; empty without one.
        overlap_words: words in a row that a question may share with the test split; None if only
            whole questions count.
    """

    description: str
    task: Named
    methods: Ordered[str]
    models: dict[str, Named]
    prompts: dict[str, str]
    generation: Settings
    training: Settings = Field(default_factory=dict)
    overlap_words: int | None = None
