"""The record of a study's fits, `decay.json`: models, cell means, and the sizes of noise."""

from __future__ import annotations

from pydantic import JsonValue

from seedbed.analysis.settings import FitSettings
from seedbed.analysis.tables.outcomes import Accuracy, Group
from seedbed.records import Part, Record


class CellMean(Accuracy):
    """The mean over the replicates of a method, seed-set size and budget.

    Attributes:
        fitted: the curve there; None without a curve.
        usd: its cost in US dollars, where a table states it in place of tokens and prices.

    Counts, tokens and seconds are means as well; None where they were not counted.
    """

    method: str
    seeds: int
    budget: int
    budget_ratio: float
    replicates: int
    replicate_sd: float | None
    fitted: float | None
    augmenter_queries: float | None = None
    teacher_queries: float | None = None
    verification_queries: float | None = None
    empty_slots: float | None = None
    missing_rows: float | None = None
    teacher_prompt_tokens: float | None = None
    teacher_completion_tokens: float | None = None
    augmenter_prompt_tokens: float | None = None
    augmenter_completion_tokens: float | None = None
    verification_prompt_tokens: float | None = None
    verification_completion_tokens: float | None = None
    generation_seconds: float | None = None
    training_seconds: float | None = None
    usd: float | None = None


class ParameterRecord(Part):
    """A parameter of a fitted model; intervals are the chosen model's alone."""

    name: str
    value: float
    unit: str
    meaning: str
    at_bound: bool
    low: float | None = None
    high: float | None = None


class ModelRecord(Part):
    """A model that was compared; without parameters if the cells were too few for it."""

    name: str
    equation: str
    status: str
    parameter_count: int
    degrees_of_freedom: int
    qaicc: float | None
    qaicc_above_best: float | None
    parameters: tuple[ParameterRecord, ...]
    response: str = ""
    decay: str = ""
    harm: bool = False
    start: bool = False
    sharing: str = ""
    reference_seeds: float = 0.0
    source: str = ""
    starts_agreeing: int | None = None
    at_bound: tuple[str, ...] = ()
    deviance: float | None = None
    pearson: float | None = None
    held_out_error: float | None = None
    held_out_noise: float | None = None
    weight: float = 0.0


class Dispersion(Part):
    """The dispersion of the model with most parameters, and the value in use."""

    estimate: float
    used: float
    model: str


class SeedDrawEffect(Part):
    """By how much a draw of the seeds moves accuracy, a fraction."""

    seeds: int
    replicate: int
    effect: float
    standard_deviation: float


class Bootstrap(Part):
    """How the chosen model was refitted, and the noise that was seen, as standard deviations."""

    samples: int
    not_converged: int
    training_noise: float
    seed_draw_noise: float
    covers: str = ""


class FitRecord(Part):
    """What is known of the cells of one task, student, teacher, filter and augmenter.

    `grade_variance` is the variance of grades over that of right and wrong with the same means; 1
    where answers are right or wrong.
    """

    fit: str
    task: str
    student: str
    teacher: str
    filter: str
    augmenter: str
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    items: int
    clusters: int
    grade_variance: float = 1.0
    untrained: Accuracy | None
    status: str
    reason: str
    chosen: str | None
    dispersion: Dispersion | None
    seed_draw_effects: tuple[SeedDrawEffect, ...]
    models: tuple[ModelRecord, ...]
    bootstrap: Bootstrap | None
    lack_of_fit: float | None = None
    cells: tuple[CellMean, ...]

    @property
    def group(self) -> Group:
        """The coordinates that all of its cells share."""
        return Group(self.task, self.student, self.teacher, self.filter, self.augmenter)


class FitsRecord(Record):
    """`decay.json`."""

    about: str
    settings: FitSettings
    fits: tuple[FitRecord, ...]
    provenance: dict[str, JsonValue] | None = None
