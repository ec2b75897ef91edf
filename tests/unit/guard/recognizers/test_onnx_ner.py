"""A token classifier in ONNX: a tiny one is made here, whose weights say which word is a name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from sovereign.errors import ConfigError
from sovereign.guard.recognizers.onnx_ner import OnnxRecognizer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "maria", "keller", "paid", "today", ".", "oak", "lane"]
LABELS = {"0": "O", "1": "B-GIVEN_NAME", "2": "I-SURNAME", "3": "B-STREET_NAME"}


Field = tuple[int, "int | bytes"]


def message(*fields: Field) -> bytes:
    """Protocol buffers: numbers as varints, everything else with its length."""

    def varint(n: int) -> bytes:
        out = bytearray()
        while n > 127:
            out.append(n & 127 | 128)
            n >>= 7
        return bytes([*out, n])

    return b"".join(
        varint(number << 3) + varint(value)
        if isinstance(value, int)
        else varint(number << 3 | 2) + varint(len(value)) + value
        for number, value in fields
    )


def tensor(name: bytes, kind: int) -> bytes:
    """A ValueInfoProto of shape (1, n)."""
    shape = message((1, message((1, 1))), (1, message((2, b"n"))))
    if name == b"logits":
        shape += message((1, message((1, len(LABELS)))))
    return message((1, name), (2, message((1, message((1, kind), (2, shape))))))


def model(table: np.ndarray) -> bytes:
    """One Gather: the logits of a token are its row of ``table``. ONNX 1.7, operators 13."""
    rows = message(
        (1, table.shape[0]), (1, table.shape[1]), (2, 1), (8, b"rows"), (9, table.tobytes())
    )
    node = message((1, b"rows"), (1, b"input_ids"), (2, b"logits"), (4, b"Gather"))
    inputs = [(11, tensor(name, 7)) for name in (b"input_ids", b"attention_mask")]
    graph = message((1, node), (2, b"g"), (5, rows), *inputs, (12, tensor(b"logits", 1)))
    return message((1, 7), (7, graph), (8, message((1, b""), (2, 13))))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's files, as a classifier's folder holds them."""
    made = tmp_path_factory.mktemp("onnx")
    vocabulary = {w: i for i, w in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(made / "tokenizer.json"))
    (made / "config.json").write_text(json.dumps({"id2label": LABELS}))
    table = np.zeros((len(WORDS), len(LABELS)), np.float32)
    table[:, 0] = 3.0
    for word, label in (("maria", 1), ("keller", 2), ("oak", 3), ("lane", 3)):
        table[vocabulary[word], label] = 9.0
    (made / "model.onnx").write_bytes(model(table))
    return made


def test_names_are_found_whole(folder: Path) -> None:
    """A given name and a surname side by side are one person."""
    text = "Maria Keller paid today. Oak Lane"
    found = {(f.entity, text[f.start : f.end]) for f in OnnxRecognizer(folder).recognize(text)}
    assert found == {("PERSON", "Maria Keller"), ("STREET_ADDRESS", "Oak Lane")}


def test_a_long_text_is_read_to_its_end(folder: Path) -> None:
    """In windows; each name once, wherever a window ends."""
    text = "paid today . Maria paid . " * 400
    found = OnnxRecognizer(folder).recognize(text)
    assert [f.start for f in found] == [m for m in range(len(text)) if text.startswith("Maria", m)]


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(ConfigError, match=r"\.onnx"):
        OnnxRecognizer(tmp_path)
