"""One adapter on three roads says the same: as it was trained, merged and exported, and served.

For each model family of recipes/models: a real model of that architecture with random weights, two
layers, a tokenizer of its own kind and a chat template that renders as the family's does.
"""

from __future__ import annotations

import json
import queue
import socket
from collections.abc import Sequence
from contextlib import nullcontext as nothing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from families import FAMILIES
from parity import KEY, OFF, SAID, TOKENS, TRUST, Made, greedy

from sovereign.errors import PassportRefused, TuneError
from sovereign.tune.data import encode
from sovereign.tune.export import export
from sovereign.tune.prepare import each_answer
from sovereign.tune.rows import Row, row_of
from sovereign.weights import passport


@pytest.fixture(scope="module", params=FAMILIES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(request.param, tmp_path_factory.mktemp(request.param))


def served(
    weights: Path, adapters: dict[str, Path], prompt: Sequence[int]
) -> tuple[list[int], list[float]]:
    """What the embedded engine says, with the log-probability of each token."""
    from sovereign.serve.engines import adapted
    from sovereign.serve.engines import model as loader
    from sovereign.serve.engines.batch import Batcher
    from sovereign.serve.engines.row import Done, Event, Job, Piece
    from sovereign.serve.engines.sampling import Sampling

    loaded = loader.load(weights, adapters, dtype="float32", max_context=256)
    batcher = Batcher(
        loaded.model,
        lambda ids: "".join(chr(0x100 + i) for i in ids),
        frozenset(),
        chunk=16,  # the prompt is read in parts
        adapted=bool(adapters),
    )
    events: queue.Queue[Event] = queue.Queue()
    slot = adapted.slot("") if adapters else ""
    # A second request of another length shares the batch, so that rows are padded.
    for asked, emit in ((prompt, events.put), (prompt[5:], lambda _: None)):
        job = Job(asked, TOKENS, Sampling(temperature=0), (), emit, logprobs=0, adapter=slot)
        batcher.submit(job)
    batcher.start()
    scored = []
    while not isinstance(event := events.get(timeout=60), Done):
        assert isinstance(event, Piece)
        scored += event.tokens
    batcher.close()
    return [s.token for s in scored], [s.logprob for s in scored]


def test_trainer_merged_model_and_engine_say_the_same_tokens(made: Made, tmp_path: Path) -> None:
    """Identical ids over 24 greedy tokens, longer than gemma's window of sixteen; logits of the
    merged model and log-probabilities of the engine, with the adapter and merged, within 2e-4."""
    import torch
    from transformers import AutoModelForCausalLM

    merged = export(
        made.adapter, made.store, tmp_path / "merged", dtype="float32", key=KEY, trust=TRUST
    )
    prompt = made.template.tokens(made.template.render(SAID[:1], prompt=True))
    wanted, logits = greedy(made.model, prompt)
    assert len(set(wanted)) > TOKENS / 3  # one token for ever would be a poor witness
    plain = AutoModelForCausalLM.from_pretrained(merged.folder, dtype=torch.float32).eval()
    ids, joined = greedy(plain, prompt)
    assert ids == wanted
    assert float((joined - logits).abs().max()) < OFF
    rows = torch.log_softmax(logits[len(prompt) - 1 :], -1)
    logprobs = [float(rows[i, token]) for i, token in enumerate(wanted[: len(rows)])]
    for weights, adapters in ((made.base, {"": made.adapter}), (merged.folder, {})):
        ids, told = served(weights, adapters, prompt)
        assert ids == wanted
        assert told == pytest.approx(logprobs, abs=OFF)
    with made.model.disable_adapter():
        assert greedy(made.model, prompt)[0] != wanted


def test_packed_rows_do_not_see_each_other(made: Made) -> None:
    """Three rows in one line have the logits that each has alone, and the loss and gradients that
    they have side by side; a row that is exchanged moves no logit of the others."""
    import torch

    from sovereign.tune.loss import _line, loss_of, packs

    rows = [
        Row(n, (dict(SAID[0]), {"role": "assistant", "content": text}))
        for n, text in enumerate(
            ("Ward 3B.", "Ask at the desk on the second floor " * 3, "4711"), 1
        )
    ]
    examples = encode(rows, made.template, where="rows", max_length=512).examples
    assert packs(made.model)
    assert len(examples[1].ids) - len(examples[0].ids) > 16  # gemma's window
    logits = {}
    with torch.no_grad():
        for name, line in (("all", examples), ("other", (examples[1], examples[0], examples[2]))):
            inputs, _ = _line(line)
            logits[name] = made.model(**inputs, use_cache=False).logits[0]
        at = 0
        for example in examples:
            alone = made.model(input_ids=torch.tensor([example.ids]), use_cache=False).logits[0]
            among = logits["all"][at : at + len(example.ids)]
            assert float((among - alone).abs().max()) < OFF
            at += len(example.ids)
    last = len(examples[2].ids)
    assert float((logits["all"][-last:] - logits["other"][-last:]).abs().max()) < OFF
    weight = next(p for n, p in made.model.named_parameters() if "lora_A" in n)
    found = []
    for packed in (False, True):
        loss = loss_of(made.model, examples, 0, packed=packed)
        found.append((float(loss), torch.autograd.grad(loss, weight)[0]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-4)


def test_what_is_learnt_is_what_serving_renders(made: Made) -> None:
    """Token by token: the row begins with the prompt that the server will send, learns the answer,
    and stops learning at the end token that stops the server."""
    from sovereign.serve.engines.messages import Message
    from sovereign.serve.engines.prompt import Prompter

    (example,) = encode(
        [Row(1, SAID)], made.template, where="rows", max_length=512, over_long="raise"
    ).examples
    asked = Prompter(made.tokenizer).chat([Message(role="user", content=SAID[0]["content"])])
    at = len(asked)
    assert list(example.ids[:at]) == asked
    assert set(example.labels[:at]) == {-100}
    learnt = [label for label in example.labels if label != -100]
    assert list(example.labels[at : at + len(learnt)]) == learnt
    assert learnt[-1] in made.template.stops
    said = made.tokenizer.decode(learnt[:-1], skip_special_tokens=False)
    assert said.endswith(SAID[1]["content"])


def test_calls_of_tools_are_learnt_as_serving_renders_them(made: Made) -> None:
    """At each answer of a conversation with calls, a result and tools, the row begins with the
    tokens that the engine makes of what came before; the call itself and the end token after it
    are learnt, and read back as the call that the engine would report."""
    from sovereign.serve.engines.messages import parse_messages
    from sovereign.serve.engines.prompt import Prompter
    from sovereign.serve.engines.tools import CallFilter, parse_tools

    named = {"type": "function", "function": {"name": "find", "arguments": '{"ward": "3B"}'}}
    schema = {"type": "object", "properties": {"ward": {"type": "string"}}}
    tool = {"name": "find", "description": "Find a ward.", "parameters": schema}
    body = {
        "tools": [{"type": "function", "function": tool}],
        "messages": [
            dict(SAID[0]),
            {"role": "assistant", "content": "", "tool_calls": [named | {"id": "c1"}]},
            {"role": "tool", "tool_call_id": "c1", "content": "second floor"},
            dict(SAID[1]),
        ],
    }
    whole = row_of(1, body, "rows")
    with pytest.raises(TuneError, match="differently") if made.entry.name == "qwen3" else nothing():
        encode([whole], made.template, where="rows", max_length=512)
    first, second = (
        encode([row], made.template, where="rows", max_length=512).examples[0]
        for row in each_answer([whole])
    )
    prompter = Prompter(made.tokenizer)
    tools = parse_tools(body)
    for example, end in ((first, 1), (second, 3)):
        asked = prompter.chat(parse_messages({"messages": body["messages"][:end]}), tools)
        at = len(asked)
        assert list(example.ids[:at]) == asked
        assert set(example.labels[:at]) == {-100}
        learnt = [label for label in example.labels if label != -100]
        assert list(example.ids[at : at + len(learnt)]) == learnt
        assert learnt[-1] in made.template.stops
        if end == 1:
            said = made.tokenizer.decode(learnt[:-1], skip_special_tokens=False)
            (call,) = [part for part in CallFilter().feed(said) if not isinstance(part, str)]
            assert (call.name, json.loads(call.arguments)) == ("find", {"ward": "3B"})


def test_the_export_says_what_it_is_and_holds_no_path(made: Made, tmp_path: Path) -> None:
    """Signed papers name base and adapter; tokenizer and template are the base's, byte for byte;
    the store takes the folder in; and a changed file is found."""
    out = tmp_path / "merged"
    export(made.adapter, made.store, out, dtype="bfloat16", key=KEY, trust=TRUST)
    said = passport.admit_merged(out, TRUST)
    assert said.base_digest == made.entry.digest
    assert said.predicate["dtype"] == "bfloat16"
    for file in out.iterdir():
        if file.suffix != ".safetensors":
            assert str(tmp_path).encode() not in file.read_bytes(), file.name
            assert str(made.base).encode() not in file.read_bytes(), file.name
        assert file.stat().st_mode & 0o777 == 0o644, file.name
    same = (out / "tokenizer.json").read_bytes()
    assert same == (made.base / "tokenizer.json").read_bytes()
    assert json.loads((out / "config.json").read_text())["dtype"] == "bfloat16"
    assert made.store.add_folder(out, name="again").files
    (out / "generation_config.json").write_text("{}")
    with pytest.raises(PassportRefused, match="generation_config"):
        passport.admit_merged(out, TRUST)


def test_an_update_that_rounding_would_take_back_is_not_exported(
    made: Made, tmp_path: Path
) -> None:
    """A LoRA a thousand times smaller than bf16 can hold: in float32 it is exported, in bfloat16
    refused, and nothing is left."""
    from safetensors.torch import load_file, save_file

    file = made.adapter / "adapter_model.safetensors"
    whole = file.read_bytes()
    try:
        save_file({k: v * (1e-4 if "lora_B" in k else 1) for k, v in load_file(file).items()}, file)
        made.sign()
        with pytest.raises(TuneError, match="away from the adapter's"):
            export(
                made.adapter, made.store, tmp_path / "bf", dtype="bfloat16", key=KEY, trust=TRUST
            )
        assert list(tmp_path.iterdir()) == []
    finally:
        file.write_bytes(whole)
        made.sign()


def test_an_export_opens_no_connection(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that calls home while weights are read is refused, and so is the export."""

    def homesick(*_: object, **__: object) -> None:
        socket.create_connection(server.getsockname())

    monkeypatch.setattr("sovereign.tune.export._merge", homesick)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(ConnectionRefusedError, match="the network is closed"),
    ):
        export(made.adapter, made.store, tmp_path / "m", dtype="float32", key=KEY, trust=TRUST)
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_that_nobody_trusted_signed_is_not_exported(made: Made, tmp_path: Path) -> None:
    """Before anything is loaded."""
    other = [Ed25519PrivateKey.from_private_bytes(bytes(31) + b"1").public_key()]
    with pytest.raises(PassportRefused, match="no trusted key"):
        export(made.adapter, made.store, tmp_path / "m", dtype="float32", key=KEY, trust=other)
    assert list(tmp_path.iterdir()) == []
