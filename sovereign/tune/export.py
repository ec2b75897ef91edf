"""Makes one model of a base and its adapter, for engines that serve no adapters, and proves that it
answers as the two did. Knows nothing of training.

Merged in fp32 and cast afterwards: merged in bf16, logits move by up to 1.1, and what a small
update changes is rounded away. What is compared is what was written: the files are read back.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sovereign.errors import TuneError
from sovereign.tune import model
from sovereign.tune.adapter import saving
from sovereign.tune.offline import offline
from sovereign.weights import passport
from sovereign.weights.lock import File
from sovereign.weights.staging import hash_file, require_space
from sovereign.weights.store import Store

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

__all__ = [
    "Dtype",
    "Merged",
    "close_to",
    "copy_papers",
    "export",
    "hold",
    "load_plain",
    "logits_of",
]

Dtype = Literal["bfloat16", "float32"]
ARITHMETIC = 1e-3  # of the largest logit: what another order of sums may change in fp32
KEPT = 0.5  # of what the adapter moves a logit, the cast may move back at most
WEIGHTS = (".safetensors", ".safetensors.index.json")


@dataclass(frozen=True, slots=True)
class Merged:
    """``merge_off``, ``cast_off``: how far the logits of the probe are from those of base and
    adapter, in fp32, once merged and once read back from the files; ``moved``: how far the adapter
    moves them. Root mean squares, except for ``merge_off``, which is the largest."""

    folder: Path
    merge_off: float
    cast_off: float
    moved: float
    agreement: float
    """Share of the probe's positions whose likeliest token is the same."""

    def record(self) -> dict[str, float]:
        """For the papers: numbers."""
        return {
            "merge_off": round(self.merge_off, 6),
            "cast_off": round(self.cast_off, 6),
            "moved": round(self.moved, 6),
            "agreement": round(self.agreement, 4),
        }


def export(
    adapter: Path,
    store: Store,
    out: Path,
    *,
    dtype: Dtype,
    key: Ed25519PrivateKey,
    trust: Sequence[Ed25519PublicKey],
) -> Merged:
    """Write ``adapter`` merged into its base as a folder of safetensors at ``out``, with the base's
    tokenizer, template and licence, and signed papers that name both.

    Needs memory for the base in fp32, twice for a moment. Raises :class:`PassportRefused` for an
    adapter that nobody trusted signed, :class:`NotVerified` for other weights than its passport
    names, and :class:`TuneError` if what was written does not answer as the adapter did; then
    ``out`` holds nothing.
    """
    with offline(), model.quiet():
        vouched = passport.read(adapter, trust)
        name = str(vouched.predicate["base"]["name"])
        entry = store.entry(name)
        whole = passport.is_model(adapter)
        if whole:
            passport.admit_model(adapter, trust)
        else:
            passport.admit(adapter, entry.digest, trust)
        if out.exists():
            raise TuneError(f"{out} is there already", hint="choose another DEST")
        model.require()
        base = store.get(name)
        with _folder(out) as work:
            wide = 4 if dtype == "float32" else 2
            require_space(work, sum(f.size for f in entry.files) * wide // 2)
            merged = _merge(base, adapter, work, dtype)
            made = [p for p in sorted(work.iterdir()) if p.name != passport.CARD]
            files = tuple(File(p.name, *hash_file(p)) for p in made)
            predicate = {
                "type": "tune.export",
                "base": vouched.predicate["base"],
                "model" if whole else "adapter": {
                    "digest": vouched.digest,
                    "passport_sha256": hash_file(adapter / passport.NAME)[1],
                    "signer": vouched.signer,
                },
                "dtype": dtype,
                "checks": merged.record(),
                "versions": {n: importlib.metadata.version(n) for n in ("torch", "peft")},
            }
            papers = passport.statement(predicate, files, kind=passport.MERGED_TYPE)
            (work / passport.MERGED).write_bytes(passport.seal(papers, key))
            _card(work, vouched, merged)
            for file in work.iterdir():
                file.chmod(0o644)
            work.rename(out)
        return Merged(out, merged.merge_off, merged.cast_off, merged.moved, merged.agreement)


def logits_of(found: Any) -> Any:
    """Of every position of the probe, in fp32: (4, 32, vocabulary)."""
    import torch

    ids = _probe(found.get_input_embeddings().weight.shape[0])
    with torch.inference_mode():
        return found(input_ids=ids, use_cache=False).logits.float()


def close_to(wanted: Any, found: Any) -> tuple[float, float]:
    """Root mean square of the difference, and the share of positions that agree."""
    off = float((found - wanted).pow(2).mean().sqrt())
    return off, float((found.argmax(-1) == wanted.argmax(-1)).float().mean())


def hold(off: float, moved: float, what: str, hint: str) -> None:
    """Raises :class:`TuneError` if rounding took back what was learnt."""
    if not off <= KEPT * moved:
        raise TuneError(
            f"{what} are {off:.3g} away from the adapter's, which itself moves them by {moved:.3g}",
            hint=hint,
        )


def load_plain(folder: Path) -> Any:
    """The model in ``folder`` in fp32, on the CPU, ready to answer."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    return AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
    ).eval()


def _probe(vocabulary: int) -> Any:
    """Four texts of 32 tokens from all over the vocabulary, the same on every machine."""
    import torch

    return (torch.arange(1, 129) * 7919 % vocabulary).reshape(4, 32)


def _merge(base: Path, adapter: Path, work: Path, dtype: Dtype) -> Merged:
    import torch
    from peft import PeftModel

    plain = load_plain(base)
    before = logits_of(plain)
    both: Any = None
    if passport.is_model(adapter):
        joined = load_plain(adapter)
        wanted = logits_of(joined)
    else:
        both = PeftModel.from_pretrained(plain, str(adapter), local_files_only=True).eval()
        wanted = logits_of(both)
        joined = both.merge_and_unload(safe_merge=True)
    moved, _ = close_to(before, wanted)
    merge_off = float((logits_of(joined) - wanted).abs().max())
    if not merge_off <= ARITHMETIC * float(wanted.abs().max()):
        raise TuneError(
            f"merged in fp32, logits are {merge_off:.3g} away from the adapter's",
            hint="serve the adapter itself: `sovereign serve MODEL --adapter FOLDER`",
        )
    with saving("model"):
        joined.to(getattr(torch, dtype)).save_pretrained(work)
    del plain, both, joined
    copy_papers(base, work, dtype)
    off, agreement = close_to(wanted, logits_of(load_plain(work)))
    hold(
        off,
        moved,
        "the logits of what was written",
        "rounding takes back what was learnt: --dtype float32"
        if dtype != "float32"
        else "serve the adapter itself: `sovereign serve MODEL --adapter FOLDER`",
    )
    return Merged(work, merge_off, off, moved, agreement)


def copy_papers(base: Path, work: Path, dtype: Dtype) -> None:
    """What the base has beside its weights, as it is: tokenizer, template, licence."""
    for file in sorted(base.iterdir()):
        if file.is_file() and not file.name.endswith(WEIGHTS):
            shutil.copyfile(file, work / file.name)
    config = json.loads((base / "config.json").read_bytes())
    config.pop("torch_dtype", None)
    config["dtype"] = dtype
    (work / "config.json").write_text(
        json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _card(work: Path, vouched: passport.Passport, merged: Merged) -> None:
    said = vouched.predicate
    did = "with the adapter" if "adapter" in said else "fully fine-tuned to the model"
    what = "merged into it" if "adapter" in said else "cast"
    lines = [
        f"# {said['recipe']}, merged",
        "",
        f"`{said['base']['name']}` (weights {vouched.base_digest[:12]}) {did} "
        f"{vouched.digest[:12]}, {what} by `sovereign tune export`.",
        f"`{passport.MERGED}`, signed, names both; `sovereign tune verify` holds this folder",
        "against it.",
        "",
        f"- licence: {said['base']['licence']}, as the base",
        f"- logits, away from the adapter's: {merged.cast_off:.3g}, of {merged.moved:.3g} that it "
        "moves them (root mean square)",
        f"- same likeliest token: {merged.agreement:.0%} of the probe",
    ]
    (work / passport.CARD).write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def _folder(out: Path) -> Iterator[Path]:
    """A working folder beside ``out``; nothing of it stays unless it was renamed."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=out.parent, prefix=".export."))
    except OSError as e:
        raise TuneError(f"{out}: cannot be written: {e.strerror}") from None
    try:
        work.chmod(0o755)
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
