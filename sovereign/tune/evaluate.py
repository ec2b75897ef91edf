"""Asks held-out questions, greedily, and counts the answers that are exactly right.

Exactly: the same characters, and the end right after them; only space around them is forgiven. An
answer is cut off one token after the expected one would have ended: what goes on is wrong anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sovereign.tune.data import Template, answer
from sovereign.tune.rows import Row
from sovereign.tune.train import Progress, Update

__all__ = ["Score", "exact_match"]


@dataclass(frozen=True, slots=True)
class Score:
    """Of ``rows`` questions, ``exact`` were answered exactly. ``wrong`` holds the lines of the
    others in the data file, never their text."""

    exact: int
    rows: int
    wrong: tuple[int, ...] = ()

    @property
    def share(self) -> float:
        return self.exact / self.rows


def exact_match(
    model: Any,
    tokenizer: Any,
    template: Template,
    rows: Sequence[Row],
    *,
    batch: int = 16,
    phase: str = "evaluate",
    progress: Progress | None = None,
) -> Score:
    """The share of ``rows`` whose last message ``model`` says by itself."""
    import torch

    asked = [(row.line, *_question(row, template)) for row in rows]
    asked.sort(key=lambda question: len(question[1]))
    wrong: list[int] = []
    done = 0
    device = next(model.parameters()).device
    for at in range(0, len(asked), batch):
        part = asked[at : at + batch]
        width = max(len(ids) for _, ids, _ in part)
        pad = _pad(tokenizer)
        ids = torch.full((len(part), width), pad)
        attention = torch.zeros((len(part), width), dtype=torch.long)
        for i, (_, prompt, _) in enumerate(part):
            ids[i, width - len(prompt) :] = torch.tensor(prompt)
            attention[i, width - len(prompt) :] = 1
        with torch.no_grad():
            out = model.generate(
                input_ids=ids.to(device),
                attention_mask=attention.to(device),
                do_sample=False,
                use_cache=True,
                temperature=None,
                top_p=None,
                top_k=None,
                max_new_tokens=max(len(wanted) for _, _, wanted in part) + 2,
                pad_token_id=pad,
                eos_token_id=sorted(template.stops),
            )
        for (line, _, wanted), said in zip(part, out[:, width:].tolist(), strict=True):
            if not _is(wanted, said, tokenizer, template.stops):
                wrong.append(line)
        done += len(part)
        if progress is not None:
            progress(Update(phase=phase, done=done, total=len(asked)))
    return Score(len(asked) - len(wrong), len(asked), tuple(sorted(wrong)))


def _question(row: Row, template: Template) -> tuple[list[int], list[int]]:
    """The tokens of the prompt, and those of the answer without its end: words, or calls."""
    prompt, said = answer(row, template)
    ids = template.tokens(said)
    end = next((k for k, token in enumerate(ids) if token in template.stops), len(ids))
    return template.tokens(prompt), ids[:end]


def _is(wanted: Sequence[int], said: Sequence[int], tokenizer: Any, stops: frozenset[int]) -> bool:
    end = next((k for k, token in enumerate(said) if token in stops), None)
    if end is None:
        return False
    texts = (str(tokenizer.decode(list(ids))).strip() for ids in (said[:end], wanted))
    return next(texts) == next(texts)


def _pad(tokenizer: Any) -> int:
    pad = tokenizer.pad_token_id
    return int(pad if pad is not None else tokenizer.eos_token_id)
