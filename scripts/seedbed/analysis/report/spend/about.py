"""Content of a spend's cards apart from its results."""

from __future__ import annotations

from pydantic import Field

from seedbed.records import Ordered, Part, Settings


class Named(Part):
    """A task or a model.

    Attributes:
        title: name for people.
        source: origin, in words.
        hub: name on the hub; None if it is not from there.
        license: licence that its file states; None if it states none.
    """

    title: str
    source: str
    hub: str | None = None
    license: str | None = None


class About(Part):
    """A spend, apart from its results.

    Attributes:
        description: the study's description, a sentence.
        task: the task.
        methods: titles of methods by name, in the study's order.
        models: models by role: `augmenter`, `teacher`, `student`.
        prompts: prompts by purpose: `answer`, or the name of a method.
        generation: sampling settings.
        training: training settings; empty without a student.
        overlap_words: number of consecutive words shared with a test question from which a row is
            dropped; None if only whole questions count.
    """

    description: str
    task: Named
    methods: Ordered[str]
    models: dict[str, Named]
    prompts: dict[str, str]
    generation: Settings
    training: Settings = Field(default_factory=dict)
    overlap_words: int | None = None
