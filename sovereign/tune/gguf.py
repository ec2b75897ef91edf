"""Writes a merged model as GGUF with llama.cpp's own converter, and reads it back before it counts.

No converter comes with this toolkit: llama.cpp's knows some hundred architectures, and grows with
its loader. It is a script of somebody else, so it runs where it can reach nothing and write one
folder only.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

from sovereign.errors import TuneError
from sovereign.tune.export import close_to, load_plain, logits_of
from sovereign.tune.model import quiet as quietly
from sovereign.tune.offline import offline
from sovereign.weights import cage
from sovereign.weights.gguf import quiet

__all__ = ["write"]

TYPES = {"bfloat16": "bf16", "float32": "f32"}
HINT = "git clone https://github.com/ggml-org/llama.cpp, and --converter its convert_hf_to_gguf.py"
LONGEST_S = 4 * 3600
TEXTS = (
    "Call extension 4711, ward 3B.\n\tDose: 2.5 mg (twice daily)",
    "Überweisung an José Núñez: 1 234,56 €",
    "Can't, won't — 日本語 🙂   end",
)
"""What a tokenizer is asked, as a file and as GGUF."""


def write(folder: Path, file: Path, converter: Path | None, *, dtype: str) -> float:
    """Convert the model in ``folder`` to ``file``; how far its logits are from the folder's, root
    mean square, in fp32.

    Raises :class:`TuneError` without a converter, if it refuses the model, or if what it wrote has
    other weights, another tokenizer or another template; then there is no ``file``.
    """
    if converter is None or not converter.is_file():
        said = "no converter was named" if converter is None else f"{converter}: no such file"
        raise TuneError(f"GGUF needs llama.cpp's converter: {said}", hint=HINT)
    if file.exists():
        raise TuneError(f"{file} is there already", hint="choose another name")
    with (
        offline(),
        quietly(),
        tempfile.TemporaryDirectory(dir=file.parent, prefix=".gguf.") as made,
    ):
        work = Path(made) / "model.gguf"
        command = [sys.executable, "-I", "-m", "sovereign.tune.gguf", str(converter.absolute())]
        try:
            done = subprocess.run(
                [*command, str(folder.absolute()), str(work.absolute()), TYPES[dtype]],
                # Nothing of ours: an environment holds tokens, and a working directory a project.
                env={
                    "PATH": os.defpath,
                    "TMPDIR": made,
                    "TORCHINDUCTOR_CACHE_DIR": made,  # it may make no folder in there
                    "OMP_NUM_THREADS": "1",
                    "HF_HUB_OFFLINE": "1",
                },
                cwd=made,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                timeout=LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TuneError("llama.cpp's converter took too long") from None
        if done.returncode != 0 or not work.is_file():
            last = (done.stderr.strip().splitlines() or ["?"])[-1][:200]
            said = last if last.isprintable() else "?"
            raise TuneError(
                f"llama.cpp's converter does not take this model: {said}",
                hint="another release of llama.cpp, or serve the folder of safetensors",
            )
        off = _compare(folder, work)
        work.rename(file)
        return off


def _compare(folder: Path, made: Path) -> float:
    """Raises :class:`TuneError` unless transformers reads in the file what is in the folder."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    local = {"local_files_only": True}
    try:
        with quiet():
            found = AutoModelForCausalLM.from_pretrained(
                made.parent,
                gguf_file=made.name,
                quantization_config=GgufConfig(dequantize=True),
                dtype=torch.float32,
                **local,
            ).eval()
            tokenizer = AutoTokenizer.from_pretrained(made.parent, gguf_file=made.name, **local)
    except Exception as e:  # noqa: BLE001 - the parser of a foreign file may raise anything
        raise TuneError(
            f"what was written cannot be read back ({type(e).__name__}), so nothing says that it "
            "is the model",
            hint="serve the folder of safetensors",
        ) from None
    wanted = logits_of(load_plain(folder))
    off, agreement = close_to(wanted, logits_of(found))
    if agreement < 1 or off > 1e-3 * float(wanted.abs().max()):
        raise TuneError(f"the GGUF answers differently: logits are {off:.3g} away")
    plain = AutoTokenizer.from_pretrained(folder, **local)
    if any(plain(t)["input_ids"] != tokenizer(t)["input_ids"] for t in TEXTS):
        raise TuneError("the GGUF cuts text into other tokens")
    if plain.chat_template != tokenizer.chat_template:
        raise TuneError("the GGUF has another chat template")
    return off


def _child(converter: Path, source: Path, out: Path, kind: str) -> None:
    cage.close(read=[converter.parent, source], write=out.parent)
    sys.path.insert(0, str(converter.parent))
    sys.argv = [str(converter), str(source), "--outfile", str(out), "--outtype", kind]
    runpy.run_path(str(converter), run_name="__main__")


if __name__ == "__main__":
    _child(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
