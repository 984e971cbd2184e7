"""The trainer of students: TRL's trainer with micro-batches of sorted rows, and resumable saves."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch import nn
from transformers import PrinterCallback, TrainerCallback
from trl import SFTTrainer

from seedbed.records import Record
from seedbed.training import varlen
from seedbed.training.lora import lighten
from seedbed.training.micro_batches import Plan, halved, is_out_of_memory, plan
from seedbed.training.saves import Saves, StoppedError
from seedbed.training.shards import ALONE, Shards, adapter_state

IGNORED = -100  # the label that torch's cross entropy leaves out
COUNTS = "counts.json"
BLOCKS = "seq_lengths"
"""The column of TRL's packed datasets with the lengths of each block's rows."""

REPORT_SECONDS = 30.0

Span = tuple[int, slice]
"""Position of a row's tokens in a micro-batch: a row of the batch, and a slice of its columns."""


class SaveRecord(Record):
    """`counts.json`, in a save of a training.

    Attributes:
        step: number of completed optimiser steps.
        nats: summed loss of the answer tokens of the current epoch so far.
        labels: number of these tokens.
        plan: how micro-batches are cut.
        seconds: seconds that the training has taken.
    """

    step: int
    nats: float
    labels: int
    plan: Plan
    seconds: float


@dataclass(frozen=True)
class Batch:
    """A micro-batch: rows of one forward pass.

    Rows are padded on the right. Causal attention keeps their tokens from seeing the padding, so no
    mask is needed, which is faster. In padding-free training, rows are concatenated to one row.

    Attributes:
        ids: tokens, rows x width.
        targets: labels, of the same shape.
        spans: position of each row's tokens in `ids`.
        borders: model arguments that tell where concatenated rows start; empty for padded rows.
    """

    ids: torch.Tensor
    targets: torch.Tensor
    spans: Sequence[Span]
    borders: Mapping[str, torch.Tensor | int]


class MicroBatchTrainer(SFTTrainer):
    """Trains a student, with the rows of an optimiser step in micro-batches.

    The loss of a step is the sum over all its answer tokens divided by their number. So a step does
    not depend on how its rows are cut, except for rounding.

    Attributes:
        plan: how rows are cut; it changes when memory does not suffice.
        earlier_seconds: seconds that the training took in earlier processes.
    """

    # Transformers' types allow a trainer without a model or rows; this one always has both.
    model: Any
    train_dataset: Any

    def __init__(
        self,
        *args: Any,
        lengths: Sequence[int],
        micro_batch_tokens: int | None,
        padding_free: bool | None,
        saves: Saves | None,
        save_seconds: float,
        stop: Event,
        progress: Callable[[str], None],
        shards: Shards = ALONE,
        **options: Any,
    ) -> None:
        """Set up a trainer.

        Args:
            *args: positional arguments of `SFTTrainer`.
            lengths: number of tokens of each row.
            micro_batch_tokens: most tokens of a micro-batch; None for as many as memory allows.
            padding_free: whether training is padding-free; None for yes on a GPU if the model
                supports it.
            saves: the saves of the training; None in a helper process.
            save_seconds: seconds between two saves.
            stop: event after which the training saves its state and stops.
            progress: called with a line of text at least once a minute.
            shards: the processes that train the student together.
            **options: keyword arguments of `SFTTrainer`.

        Raises:
            ValueError: if `padding_free` is true and the model does not support it.
        """
        super().__init__(*args, **options)
        self._shards = shards
        if getattr(self.model, "is_quantized", False):
            # TRL keeps adapters of quantized models in 16 bits, which loses Adam's small steps.
            for part in self.model.parameters():
                if part.requires_grad:
                    part.data = part.data.float()
        self.remove_callback(PrinterCallback)
        self.add_callback(_Clock(self, save_seconds))
        self._saves = saves
        self._stop = stop
        self._progress = progress
        # Of the current epoch: summed loss of its answer tokens, in nats, and their number.
        self._nats, self._labels = 0.0, 0
        self.earlier_seconds = 0.0
        # Tokens without padding since this process started.
        self._tokens, self._started, self._said = 0, time.monotonic(), time.monotonic()
        # On a GPU, TRL's fused head computes logits only at positions with a label. It reads the
        # layer's weight directly, so it does not work with FSDP.
        self._fused = self.args.device.type == "cuda" and shards.count == 1
        self._began = time.monotonic()
        if BLOCKS in self.train_dataset.column_names:
            self.data_collator: Any = partial(_unpacked, self.data_collator)
        self._noise = row_dropout(self.model, self.args.seed)
        lighten(self.model)
        self.plan = self._first_plan(max(lengths), micro_batch_tokens)
        if self._can_be_padding_free(padding_free):
            self.plan = replace(self.plan, padding_free=True)

    def _can_be_padding_free(self, wanted: bool | None) -> bool:
        """Return whether training is padding-free, and prepare the model for it."""
        if wanted is False or (wanted is None and self.args.device.type != "cuda"):
            return False
        reason = varlen.use(self.model)
        if wanted and reason is not None:
            raise ValueError(
                f"trainer.padding_free: true cannot work with this model: {reason}; leave it out"
            )
        self._progress(
            "rows lie one after the other, without padding"
            if reason is None
            else f"rows are padded, as the model cannot take them one after the other: {reason}"
        )
        return reason is None

    @property
    def loss(self) -> float:
        """Mean loss of the current or last epoch, in nats per answer token."""
        return self._nats / self._labels

    def _first_plan(self, longest: int, stated: int | None) -> Plan:
        """Return the first plan; the model is already on its device."""
        free = None
        if self.args.device.type == "cuda":
            free = torch.cuda.mem_get_info()[0]
            # The first step allocates the adapter's gradients and both moments of Adam.
            adapter = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
            free -= adapter * 3 * 4
            if self._shards.count > 1:
                free = self._shards.least(free - self._whole_bytes())
        element = next(self.model.parameters()).element_size()
        return plan(self.model.config, free, element, longest, stated)

    def _whole_bytes(self) -> int:
        """Return the memory of weights that FSDP gathers: two layers, and both embeddings.

        FSDP gathers the next layer's weights while one layer computes.
        """
        layers = [part for part in self.model.modules() if isinstance(part, nn.ModuleList)]
        each = [sum(p.numel() for p in layer.parameters()) for part in layers for layer in part]
        ends = (self.model.get_input_embeddings(), self.model.get_output_embeddings())
        numbers = 2 * max(each, default=0) + sum(end.weight.numel() for end in ends)
        return numbers * next(self.model.parameters()).element_size()

    def _sync_replicated_trainable_parameters(self, model: nn.Module) -> None:
        """Do nothing: adapters start equal, and their gradients are summed in each step."""

    def go_on(self, save: Path | None) -> None:
        """Train to the end, from a save or from the start.

        Raises:
            StoppedError: if `stop` was set. The state of the training is saved.
        """
        if save is not None:
            saved = SaveRecord.read(save / COUNTS)
            self._nats, self._labels = saved.nats, saved.labels
            # The same micro-batches round in the same way, so the saved plan is kept, except that
            # this machine may have another attention kernel.
            self.plan = replace(saved.plan, padding_free=self.plan.padding_free)
            self.earlier_seconds = saved.seconds
            self._progress(f"goes on from its save of step {saved.step}")
        if self.plan.checkpointing:
            self._checkpoint_activations()
        try:
            self.train(resume_from_checkpoint=None if save is None else str(save))
        except StoppedError:
            if self.state.global_step:
                self._save_checkpoint(self.model, None)
            raise

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Add the gradient of one optimiser step's rows, and return their mean loss.

        Raises:
            StoppedError: if `stop` was set.
            FloatingPointError: if the loss is not finite.
        """
        if not model.training:
            model.train()
        if self.state.global_step % self._steps_an_epoch() == 0:
            self._nats, self._labels = 0.0, 0
        inputs = self._prepare_inputs(inputs)
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        labels = int((inputs["labels"][:, 1:] != IGNORED).sum())
        while True:
            try:
                nats = self._in_micro_batches(model, inputs, lengths, max(1, labels))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self._shards.count > 1:
                    # The other processes wait in the larger step, and would not retry with this
                    # one.
                    raise RuntimeError(
                        f"memory did not suffice for micro-batches of {self.plan.tokens} tokens: "
                        "set trainer.micro_batch_tokens in the student's file to a smaller number"
                    ) from error
                smaller = halved(self._tried(lengths), max(lengths))
                if smaller is None:
                    raise
            else:
                break
            # Outside the handler, because the error's traceback keeps tensors in memory.
            self._shrink(smaller)
        if not math.isfinite(nats):
            step = self.state.global_step + 1
            raise FloatingPointError(f"the loss of step {step} is {nats}: lower learning_rate")
        self._nats += nats
        self._labels += labels
        self._tokens += sum(lengths)
        return torch.tensor(nats / max(1, labels), device=self.args.device)

    def _tried(self, lengths: Sequence[int]) -> Plan:
        """Return the plan with the actual number of tokens of a step's largest micro-batch."""
        batches = self.plan.cut(lengths)
        largest = max(self.plan.size([lengths[row] for row in rows]) for rows in batches)
        return replace(self.plan, tokens=min(self.plan.tokens, largest))

    def _in_micro_batches(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], lengths: list[int], labels: int
    ) -> float:
        """Add the gradient of the mean loss of all rows, and return their summed loss in nats."""
        nats = torch.zeros((), device=self.args.device, dtype=torch.float64)
        now = self.plan
        if self._shards.count > 1:
            # Small enough that each process gets a micro-batch.
            each = max(*lengths, math.ceil(sum(lengths) / self._shards.count))
            now = replace(now, tokens=min(now.tokens, each))
        batches = self._shards.share(now.cut(lengths))
        for number, (rows, counts) in enumerate(batches):
            if self._shards.any(self._stop.is_set()):
                raise StoppedError
            if time.monotonic() - self._said >= REPORT_SECONDS:
                self.report(f"{number} of its {len(batches)} micro-batches done")
            batch = self._batch(inputs, rows, [lengths[row] for row in rows])
            # Rows are numbered by their places in the step, which do not depend on the cut.
            with self._noise(self.state.global_step, rows, batch.spans):
                loss = self._loss(model, batch) / labels * counts
                self.accelerator.backward(loss)
            nats += loss.detach() * labels
        adapter = (part.grad for part in model.parameters() if part.grad is not None)
        self._shards.add([nats, *adapter])
        return nats.item()

    def _batch(
        self, inputs: dict[str, torch.Tensor], rows: Sequence[int], lengths: Sequence[int]
    ) -> Batch:
        """Return a micro-batch of a step's rows.

        Args:
            inputs: all rows of the step.
            rows: positions of the micro-batch's rows in the step.
            lengths: number of tokens of each of these rows.
        """
        if not self.plan.padding_free:
            width = max(lengths)
            chosen = torch.tensor(rows, device=self.args.device)
            ids, targets = (inputs[name][chosen, :width] for name in ("input_ids", "labels"))
            spans = [(place, slice(0, length)) for place, length in enumerate(lengths)]
            return Batch(ids, targets, spans, {})
        ids, targets = (
            torch.cat([inputs[name][row, :n] for row, n in zip(rows, lengths, strict=True)])[None]
            for name in ("input_ids", "labels")
        )
        ends = list(accumulate(lengths, initial=0))
        # A row's last token does not predict the first one of the next.
        targets[0, ends[:-1]] = IGNORED
        spans = [(0, slice(start, end)) for start, end in pairwise(ends)]
        return Batch(ids, targets, spans, varlen.borders(lengths, self.args.device))

    def _loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the summed loss. Logits are computed only at positions with a label."""
        ids, targets = batch.ids, batch.targets
        if self._fused:
            options = {"labels": targets, "fused_lm_head": True, "num_items_in_batch": 1}
            return model(input_ids=ids, **options, **batch.borders).loss
        targets = targets[:, 1:]
        mask = targets != IGNORED
        with _head_sees(self.model.get_output_embeddings(), mask):
            logits = model(input_ids=ids, use_cache=False, **batch.borders).logits
        return nn.functional.cross_entropy(logits[0].float(), targets[mask], reduction="sum")

    def floating_point_ops(self, inputs: object) -> int:
        """Return 0: the count is not used, and counting takes a tenth of a small model's step."""
        return 0

    def _shrink(self, plan: Plan) -> None:
        self._progress(
            f"memory did not suffice for micro-batches of {self.plan.tokens} tokens: trying "
            f"{plan.tokens}" + (", activations computed twice" if plan.checkpointing else "")
        )
        if plan.checkpointing and not self.plan.checkpointing:
            self._checkpoint_activations()
        self.plan = plan
        self.model.zero_grad()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _checkpoint_activations(self) -> None:
        self.model.enable_input_require_grads()
        self.model.gradient_checkpointing_enable()

    def _steps_an_epoch(self) -> int:
        return math.ceil(len(self.train_dataset) / self.args.per_device_train_batch_size)

    def report(self, also: str | None = None) -> None:
        """Report the progress of the training.

        Args:
            also: text to append.
        """
        state, self._said = self.state, time.monotonic()
        done = state.global_step - self._initial_global_step
        seconds = self._said - self._started
        said = f"step {state.global_step} of {state.max_steps}: "
        said += f"loss {self.loss:.4f}" if self._labels else "no loss yet"
        said += f", {self._tokens / max(seconds, 1e-9):,.0f} tokens/s"
        if done:
            left = seconds / done * (state.max_steps - state.global_step)
            said += f", {left:,.0f} s left" if left < 600 else f", {left / 60:,.0f} min left"
        self._progress(said if also is None else f"{said}; {also}")

    def quiet_for(self) -> float:
        """Return the seconds since the last report."""
        return time.monotonic() - self._said

    def start_clock(self) -> None:
        """Start to count seconds; called at the first step."""
        self._started = self._said = time.monotonic()

    def _save_checkpoint(self, model: nn.Module, trial: object) -> None:
        """Save the training, or report why that failed; Transformers calls this."""
        if self._saves is not None:
            self._saves.write(self.state.global_step, self._write_save)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Save the adapter; Transformers calls this."""
        if self._shards.count > 1:
            state_dict = adapter_state(self.model)
        super()._save(output_dir, state_dict)

    def _write_save(self) -> None:
        # The method of Transformers, because TRL's writes a model card first.
        super(SFTTrainer, self)._save_checkpoint(self.model, None)
        step = self.state.global_step
        record = SaveRecord(
            step=step,
            nats=self._nats,
            labels=self._labels,
            plan=self.plan,
            seconds=self.earlier_seconds + time.monotonic() - self._began,
        )
        record.write(Path(str(self.args.output_dir)) / f"checkpoint-{step}" / COUNTS)


def _unpacked(collate: Callable[[list[Any]], Any], blocks: Sequence[Mapping[str, Any]]) -> Any:
    """Return the rows of some blocks as a batch.

    The step then cuts these rows into micro-batches by length, regardless of their blocks.

    Args:
        collate: creates a batch from rows.
        blocks: blocks of TRL's `pack_dataset`, with tokens, labels and lengths of several rows.
    """
    rows = []
    for block in blocks:
        start = 0
        for length in block[BLOCKS]:
            part = slice(start, start + length)
            rows.append({name: block[name][part] for name in ("input_ids", "labels")})
            start += length
    return collate(rows)


class _Clock(TrainerCallback):
    """Triggers saves and reports when they are due."""

    def __init__(self, trainer: MicroBatchTrainer, save_seconds: float) -> None:
        self._trainer = trainer
        self._save_seconds = save_seconds
        self._saved = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._saved = time.monotonic()
        self._trainer.start_clock()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._trainer.quiet_for() >= REPORT_SECONDS:
            self._trainer.report()
        # After the last step, the adapter itself is written.
        due = time.monotonic() - self._saved >= self._save_seconds
        if due and state.global_step < state.max_steps:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._saved = time.monotonic()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._trainer.report()


@contextmanager
def _head_sees(head: nn.Module, mask: torch.Tensor) -> Iterator[None]:
    """Restrict a model's output layer to some positions while the block runs.

    Args:
        head: the output layer.
        mask: the positions, rows x (width - 1).
    """
    handle = head.register_forward_pre_hook(lambda _, args: (args[0][:, :-1][mask][None],))
    try:
        yield
    finally:
        handle.remove()


class RowDropout(nn.Module):
    """Dropout whose noise depends on the step, the row and the layer, not on the micro-batch."""

    def __init__(self, share: float, layer: int, rows: _Rows) -> None:
        super().__init__()
        self._share, self._layer, self._rows = share, layer, rows

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return rows x width x channels with some channels zero and the others scaled up."""
        if not self.training:
            return x
        keep = torch.ones_like(x)
        generator = torch.Generator(x.device)
        for row, span in self._rows.now:
            generator.manual_seed(self._rows.seed(row, self._layer))
            place = keep[span]
            # Drawn in the row's own shape, because a GPU's random numbers depend on the shape.
            noise = torch.rand(place.shape, device=x.device, generator=generator)
            place.copy_((noise >= self._share) / (1 - self._share))
        return x * keep


class _Rows:
    """The rows of the present forward pass, for the noise of dropout."""

    def __init__(self, seed: int) -> None:
        self._seed, self._step = seed, 0
        self.now: list[tuple[int, Span]] = []

    @contextmanager
    def __call__(self, step: int, rows: Sequence[int], spans: Sequence[Span]) -> Iterator[None]:
        self._step, self.now = step, list(zip(rows, spans, strict=True))
        yield

    def seed(self, row: int, layer: int) -> int:
        # A hash of tuples of numbers is the same in every process.
        return hash((self._seed, self._step, row, layer)) & (2**63 - 1)


def row_dropout(model: nn.Module, seed: int) -> _Rows:
    """Replace the dropout of a PEFT model's adapters by `RowDropout`, and disable other dropout.

    The base model's own dropout belongs to its pretraining, and is no setting of a study. Its noise
    would depend on how rows are cut.

    Returns:
        A context manager for each forward pass. Call it with the step, the rows and their spans.
    """
    rows, layer = _Rows(seed), 0
    for module in list(model.modules()):
        if isinstance(module, nn.ModuleDict) and any(
            isinstance(part, nn.Dropout) for part in module.values()
        ):
            for name, part in module.items():
                share = part.p if isinstance(part, nn.Dropout) else 0.0
                module[name] = RowDropout(share, layer, rows)
                layer += 1
        elif isinstance(module, nn.Dropout):
            module.p = 0.0
        for name in ("dropout", "attention_dropout", "hidden_dropout", "activation_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    return rows
