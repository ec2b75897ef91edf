"""Measures what a fine-tuned model kept of its rows by heart. Knows no files; tells numbers only.

Three questions. Are inserted secrets likelier than secrets that were never inserted: exposure
(Carlini et al. 2019). Do identifiers of the rows come out when their beginning is given: extraction
(Carlini et al. 2021), where the base model does not say them by itself. Can a row that was trained
on be told from one that was not, by how much its loss fell: membership (Yeom et al. 2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sovereign.errors import TuneError
from sovereign.tune import stats
from sovereign.tune.canaries import Canary, candidates
from sovereign.tune.data import IGNORED, Example, Template, answer, mask
from sovereign.tune.gate import Identifier
from sovereign.tune.recipe import MemorizationConfig
from sovereign.tune.rows import Row
from sovereign.tune.train import Progress, Update

__all__ = ["Audit", "Exposure", "Kept", "exposures", "hold", "losses", "losses_of", "measure"]

FEWEST = 8  # rows on each side, or membership is not measured
BATCH = 32


@dataclass(frozen=True, slots=True)
class Exposure:
    """Of ``canaries`` secrets that were inserted ``copies`` times: mean bits, and 95 % interval.
    Chance is 1.44 bits; the most that can be seen is log2(candidates + 1)."""

    copies: int
    canaries: int
    mean: float
    low: float
    high: float
    bits: tuple[float, ...] = ()
    """Of each of them, so that several runs can be looked at together."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was found. ``p`` is how likely the canaries with most copies rank so high by chance,
    beside those with none. ``extracted`` of ``probed`` identifiers came out. ``auc`` is (area, low,
    high). None was not measured."""

    exposures: tuple[Exposure, ...] = ()
    p: float | None = None
    probed: int = 0
    extracted: int = 0
    auc: tuple[float, float, float] | None = None

    def record(self) -> dict[str, Any]:
        """For the passport: numbers."""
        bound = stats.binomial_upper(self.extracted, self.probed) if self.probed else None
        return {
            "exposure": [
                {
                    "copies": e.copies,
                    "canaries": e.canaries,
                    "mean": round(e.mean, 3),
                    "low": round(e.low, 3),
                    "high": round(e.high, 3),
                    "bits": [round(bits, 3) for bits in e.bits],
                }
                for e in self.exposures
            ],
            "p": self.p,
            "extraction": {"probed": self.probed, "extracted": self.extracted, "at_most": bound},
            "membership": None
            if self.auc is None
            else dict(zip(("auc", "low", "high"), (round(a, 3) for a in self.auc), strict=True)),
        }


@dataclass(frozen=True, slots=True)
class Audit:
    """What a measurement needs. ``base`` is a context in which ``model`` answers as it did before
    training."""

    model: Any
    tokenizer: Any
    template: Template
    base: Callable[[], AbstractContextManager[Any]]
    config: MemorizationConfig
    seed: int
    progress: Progress | None = None


def measure(
    audit: Audit,
    canaries: Sequence[Canary],
    rows: Sequence[Row],
    held_out: Sequence[Row],
    identifiers: Sequence[Identifier],
) -> Kept:
    """All three, where there is something to measure. ``rows`` were trained on."""
    exposed, p = exposures(audit, canaries)
    probed, extracted = _extract(audit, rows, identifiers[: audit.config.probes])
    auc = _membership(audit, rows, held_out)
    return Kept(exposed, p, probed, extracted, auc)


def hold(kept: Kept, config: MemorizationConfig) -> None:
    """Raises :class:`TuneError` if more was kept than the recipe allows. The upper end of each
    interval counts: what was not shown to be below is not below."""
    hint = "fewer epochs, a lower train.lr or lora.r, fewer copies; no adapter was kept"
    once = next((e for e in kept.exposures if e.copies), None)
    bits, share = config.exposure_at_most, config.extracted_at_most
    if bits is not None and once is not None and not once.high <= bits:
        raise TuneError(
            f"canaries with {once.copies} copies have up to {once.high:.1f} bits of exposure, "
            f"over memorization.exposure_at_most {bits:g}",
            hint=hint,
        )
    if share is not None and kept.extracted > share * kept.probed:
        raise TuneError(
            f"{kept.extracted} of {kept.probed} identifiers of the rows came out, over "
            f"memorization.extracted_at_most {share:.0%}",
            hint=hint,
        )
    if config.auc_at_most is not None:
        if kept.auc is None:
            raise TuneError(
                "memorization.auc_at_most cannot be held: there are too few held-out rows",
                hint=f"hold out {FEWEST} or more, by data.eval or data.eval_share",
            )
        if kept.auc[2] > config.auc_at_most:
            raise TuneError(
                f"rows can be told apart with an AUC of up to {kept.auc[2]:.2f}, over "
                f"memorization.auc_at_most {config.auc_at_most:g}",
                hint=hint,
            )


def exposures(
    audit: Audit, canaries: Sequence[Canary]
) -> tuple[tuple[Exposure, ...], float | None]:
    """Of each count of copies; and p, as :class:`Kept` has it."""
    bits: dict[int, list[float]] = {}
    others = candidates(audit.config.candidates, audit.seed)
    for done, canary in enumerate(canaries, 1):
        asked = canary.row.messages[0]
        answers = [canary.answer, *(c for c in others if c != canary.answer)]
        rows = [Row(0, (asked, {"role": "assistant", "content": a})) for a in answers]
        losses = losses_of(audit.model, audit.template, rows)
        # A tie counts as lost: with logits that do not move, nothing is exposed.
        rank = 1 + sum(loss <= losses[0] for loss in losses[1:])
        bits.setdefault(canary.copies, []).append(math.log2(len(losses)) - math.log2(rank))
        _tell(audit, "audit: canaries", done, len(canaries))
    found = tuple(
        Exposure(copies, len(values), *stats.mean_interval(values), tuple(values))
        for copies, values in sorted(bits.items())
    )
    most = max(bits, default=0)
    p = stats.rank_sum_p(bits[most], bits[0]) if most and 0 in bits else None
    return found, p


def _extract(
    audit: Audit, rows: Sequence[Row], identifiers: Sequence[Identifier]
) -> tuple[int, int]:
    by_line = {row.line: row for row in rows}
    probed = extracted = 0
    for done, wanted in enumerate(identifiers, 1):
        row = by_line.get(wanted.line)
        prefix = None if row is None else _before(audit, row, wanted)
        if prefix is not None:
            probed += 1
            if _says(audit, prefix, wanted.value):
                with audit.base():
                    known = _says(audit, prefix, wanted.value)
                extracted += not known  # what the base says too was not learnt here
        _tell(audit, "audit: extraction", done, len(identifiers))
    return probed, extracted


def _before(audit: Audit, row: Row, wanted: Identifier) -> str | None:
    """The text up to the identifier; None where it was said before: saying it is copying then."""
    assert wanted.message is not None
    prompt, said = answer(row, audit.template, wanted.message)
    at = said.find(wanted.value)
    if at < 0:
        return None
    text = (prompt + said[:at]).rstrip(" ")
    return None if wanted.value in text else text


def _says(audit: Audit, prefix: str, value: str) -> bool:
    """Whether ``value`` is what follows, greedily or in one of the samples."""
    import torch

    template = audit.template
    device = next(audit.model.parameters()).device
    ids = torch.tensor([template.tokens(prefix)], device=device)
    common: dict[str, Any] = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "max_new_tokens": len(template.tokens(value)) + 3,
        "eos_token_id": sorted(template.stops),
        "pad_token_id": min(template.stops),
        "use_cache": True,
    }
    torch.manual_seed(audit.seed)
    with torch.no_grad():
        out = audit.model.generate(
            **common, do_sample=False, temperature=None, top_p=None, top_k=None
        ).tolist()
        if audit.config.samples:
            out += audit.model.generate(
                **common, do_sample=True, num_return_sequences=audit.config.samples
            ).tolist()
    said = (str(audit.tokenizer.decode(o[ids.shape[1] :])).lstrip() for o in out)
    return any(text.startswith(value) for text in said)


def _membership(
    audit: Audit, rows: Sequence[Row], held_out: Sequence[Row]
) -> tuple[float, float, float] | None:
    if min(len(rows), len(held_out)) < FEWEST:
        return None
    fell = []
    for part in (rows[: audit.config.rows], held_out[: audit.config.rows]):
        now = losses_of(audit.model, audit.template, part)
        with audit.base():
            before = losses_of(audit.model, audit.template, part)
        fell.append([b - n for b, n in zip(before, now, strict=True)])
        _tell(audit, "audit: membership", len(fell), 2)
    return stats.auc(*fell)


def losses_of(model: Any, template: Template, rows: Sequence[Row]) -> list[float]:
    """The mean loss, in nats, of each row's learnt tokens.

    What rows next to each other begin with is computed once: a canary's hundred candidates share
    their question.
    """
    examples = [mask(row, template) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: len(examples[i].ids))
    out = [0.0] * len(rows)
    for at in range(0, len(order), BATCH):
        part = order[at : at + BATCH]
        for i, loss in zip(part, losses(model, [examples[i] for i in part]), strict=True):
            out[i] = loss
    return out


def losses(model: Any, examples: Sequence[Example]) -> list[float]:
    """The mean loss, in nats, of the learnt tokens of each of ``examples``, in one pass."""
    import torch
    from torch.nn.functional import cross_entropy

    device = next(model.parameters()).device
    common = _common(examples)
    width = max(len(e.ids) for e in examples) - common
    ids = torch.zeros((len(examples), width), dtype=torch.long)
    labels = torch.full((len(examples), width), IGNORED)
    attention = torch.zeros((len(examples), width), dtype=torch.long)
    for k, e in enumerate(examples):
        n = len(e.ids) - common
        ids[k, :n] = torch.tensor(e.ids[common:])
        labels[k, :n] = torch.tensor(e.labels[common:])
        attention[k, :n] = 1
    targets = labels[:, 1:]
    keep = (targets != IGNORED).any(0).nonzero().squeeze(1)
    more: dict[str, Any] = {"use_cache": False}
    with torch.no_grad():
        if common:
            first = torch.tensor([examples[0].ids[:common]], device=device)
            cache = model(input_ids=first, use_cache=True, logits_to_keep=1).past_key_values
            cache.batch_repeat_interleave(len(examples))
            attention = torch.cat([attention.new_ones(len(examples), common), attention], 1)
            more = {"use_cache": True, "past_key_values": cache}
        logits = model(
            input_ids=ids.to(device),
            attention_mask=attention.to(device),
            logits_to_keep=keep.to(device),
            **more,
        ).logits.float()
    chosen = targets[:, keep].to(device)
    each = cross_entropy(logits.transpose(1, 2), chosen, ignore_index=IGNORED, reduction="none")
    means: list[float] = (each.sum(1) / (chosen != IGNORED).sum(1)).tolist()
    return means


def _common(examples: Sequence[Example]) -> int:
    """How many tokens all begin with and learn nothing of. The one before the first learnt token
    stays out: it predicts it."""
    least = min(_begin(e) for e in examples) - 1
    first = examples[0].ids[: max(0, least)]
    for e in examples:
        same = next((k for k, (a, b) in enumerate(zip(first, e.ids, strict=False)) if a != b), None)
        first = first[:same] if same is not None else first
    return len(first)


def _begin(example: Example) -> int:
    return next(k for k, label in enumerate(example.labels) if label != IGNORED)


def _tell(audit: Audit, phase: str, done: int, total: int) -> None:
    if audit.progress is not None:
        audit.progress(Update(phase=phase, done=done, total=total))
