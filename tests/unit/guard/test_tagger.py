"""The tagger: what it finds, that offsets are exact, and that no text breaks it."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sovereign.guard.recognizers as package
from sovereign.errors import ConfigError
from sovereign.guard import Guard
from sovereign.guard.recognizers import build
from sovereign.guard.recognizers.tagger import _STEP, ENTITIES, Tagger, decode
from sovereign.guard.recognizers.tagger.decode import NEAR, Span, kept
from sovereign.guard.recognizers.tagger.net import LABELS, REACH, load, parse
from sovereign.guard.recognizers.tagger.pinned import MODEL, MODEL_SHA256
from sovereign.guard.recognizers.tagger.room import ALONE
from sovereign.guard.recognizers.tagger.tokens import ROWS, features, pieces
from sovereign.guard.recognizers.tagger.words import Words
from sovereign.policy import load_policy
from sovereign.types import Destination


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger()


def values(tagger: Tagger, text: str, entity: str) -> list[str]:
    return [text[f.start : f.end] for f in tagger.recognize(text) if f.entity == entity]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("Please call Margaret Okonkwo about the invoice.", "PERSON", "Margaret Okonkwo"),
        ("please call margaret okonkwo about the invoice", "PERSON", "margaret okonkwo"),
        ("Herr Vogelsang wohnt in Bremen.", "PERSON", "Vogelsang"),
        ("Mme Lefebvre a rappelé ce matin.", "PERSON", "Lefebvre"),
        ("La paciente Lucía Barrenechea acudió a urgencias.", "PERSON", "Lucía Barrenechea"),
        ("She lives at 48 Winterbourne Road, Leeds.", "STREET_ADDRESS", "48 Winterbourne Road"),
        ("Er wohnt in der Lindenstraße 14, 50674 Köln.", "STREET_ADDRESS", "Lindenstraße 14"),
        ("MRN: 00482913", "IDENTIFIER", "00482913"),
        ("my username is pixelfox92", "USERNAME", "pixelfox92"),
        ("the password is Tr0ub4dor&3x", "SECRET", "Tr0ub4dor&3x"),
    ],
)
def test_it_finds_what_stands_in_plain_sentences(
    tagger: Tagger, text: str, entity: str, value: str
) -> None:
    """The model does what it is for. A broken export or tokenizer fails all of these at once."""
    assert any(value in found for found in values(tagger, text, entity)), tagger.recognize(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\n",
        "What is the capital of France?",
        "The meeting is moved to Thursday at three.",
        "Parkinson's disease is treated with levodopa.",
        "def add(a, b):\n    return a + b",
        "Take two tablets every six hours with food.",
        "Bitte geben Sie Ihre Kundennummer an.",
        "You need a permit, one 3 by 5 card and two stamps.",
    ],
)
def test_texts_without_personal_data_stay_quiet(tagger: Tagger, text: str) -> None:
    """A guard that cries wolf is switched off."""
    quiet = {"LOCATION", "ORGANIZATION"}
    assert [f for f in tagger.recognize(text) if f.entity not in quiet] == []


@pytest.mark.parametrize(
    "text",
    [
        "\ud800\udfff lone \udc00 surrogates",
        "\x00" * 100,
        "‮evil‬ bidi ‮" * 50,
        "a" * 100_000,
        "٣" * 5_000,
        "漢字" * 5_000,
        " " * 50_000,
        "-" * 50_000,
        "e\u0301" * 1_000,
        "😀" * 1_000,
        ",\n" * 10_000,
        "|" * 10_000 + "\n" + "|" * 10_000 + "\n" + "|" * 10_000,
    ],
    ids=lambda t: f"{t[:8]!a}x{len(t)}",
)
def test_any_text_is_legal(tagger: Tagger, text: str) -> None:
    """Attackers choose the text. It must be read to its end, with offsets that lie in it."""
    last = 0
    for f in tagger.recognize(text):
        assert last <= f.start < f.end <= len(text)
        assert 0 <= f.score <= 1
        last = f.end


def test_findings_say_who_found_them_and_where_they_end(tagger: Tagger) -> None:
    """The guard maps offsets back to the request: a space too much corrupts the text."""
    text = "Dear  Mr. Abernathy ,\nthank you."
    (f,) = [f for f in tagger.recognize(text) if f.entity == "PERSON"]
    assert text[f.start : f.end] == "Abernathy"
    assert (f.recognizer, f.path, f.view) == ("tagger", (), "text")


def test_a_text_is_read_the_same_whole_or_in_a_long_one(tagger: Tagger) -> None:
    """Where pieces of a long text end must not show: a name on the edge would be lost."""
    note = "On Monday Margaret Okonkwo of 48 Winterbourne Road called about claim 4471-903.\n"
    filler = "The committee met and nothing was decided about the new rules of the house. "
    alone = [(f.start, f.end, f.entity) for f in tagger.recognize(note)]
    assert alone
    for shift in range(0, 65_536 + 400, 6_553):
        lead = (filler * (shift // len(filler) + 1))[:shift] + "\n" * 40
        found = [
            (f.start - len(lead), f.end - len(lead), f.entity)
            for f in tagger.recognize(lead + note + "\n" * 40 + filler * 20)
            if len(lead) <= f.start < len(lead) + len(note)
        ]
        assert [x for x in found if x[2] == "PERSON"] == [x for x in alone if x[2] == "PERSON"], (
            shift
        )


def test_probabilities_do_not_depend_on_where_pieces_are_cut(
    tagger: Tagger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same numbers, whatever the step: each piece sees its neighbours' tokens."""
    text = "Margaret Okonkwo, 48 Winterbourne Road, wrote to Dr. Abernathy. " * 200
    whole = np.concatenate([p for p, _ in tagger.read(text)])
    monkeypatch.setattr("sovereign.guard.recognizers.tagger._STEP", 37)
    monkeypatch.setattr("sovereign.guard.recognizers.tagger.tokens._PIECE", 1000)
    cut = np.concatenate([p for p, _ in tagger.read(text)])
    assert whole.shape == cut.shape
    np.testing.assert_allclose(whole, cut, atol=1e-4)


def test_time_is_linear_in_length(tagger: Tagger) -> None:
    """A request cannot be made slow by making it long: ten times the text, ten times the time."""
    unit = "id,name\n1,Margaret Okonkwo\nDear Mr. Abernathy, call (415) 823-4471 by noon. "
    tagger.recognize(unit * 100)

    def seconds(n: int) -> float:
        start = time.process_time()
        tagger.recognize(unit * n)
        return time.process_time() - start

    small = min(seconds(400) for _ in range(3))
    assert min(seconds(4_000) for _ in range(2)) < 10 * small * 2.5


def test_the_memory_of_words_never_changes_an_answer(tagger: Tagger) -> None:
    """Words are forgotten when there are too many; the reading stays the same."""
    texts = [f"Dear Margaret Okonkwo{i}, your claim {i}471-903 is open." for i in range(60)]
    forgetful = Tagger()
    forgetful._words = Words(forgetful._net, limit=16)
    assert [forgetful.recognize(t) for t in texts] == [tagger.recognize(t) for t in texts]
    assert [forgetful.recognize(t) for t in texts] == [Tagger().recognize(t) for t in texts]


def test_no_product_is_so_large_that_threads_share_it() -> None:
    """Threads of a BLAS spin while they wait: shared by two, the products of a text that is full of
    fresh words took ten times the CPU time."""
    seen: list[int] = []

    class Seen(np.ndarray):
        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **more: Any) -> Any:
            bare = [np.asarray(one) for one in inputs]
            if ufunc is np.matmul:
                seen.append(bare[0].shape[-2] * bare[1].size)
            return getattr(ufunc, method)(*bare, **more)

    net = load(MODEL, MODEL_SHA256)
    weights = {name: getattr(net, name).view(Seen) for name in ("project", "out")} | {
        "convs": tuple(conv.view(Seen) for conv in net.convs)
    }
    net = dataclasses.replace(net, **weights)
    net.probabilities(net.embed([f"user{n:06}" for n in range(_STEP + 2 * REACH)]))
    assert len(seen) > 10
    assert max(seen) <= ALONE


def test_nothing_of_a_text_is_left_in_the_room_of_the_next() -> None:
    """A thread reads short texts in the same memory: what stood there is no neighbour."""
    net = load(MODEL, MODEL_SHA256)
    x = net.embed([f" Margaret Okonkwo {n}" for n in range(150)])
    for n in (150, 41, 83, 42, 7, 1):
        alone: list[Any] = []
        thread = threading.Thread(target=lambda: alone.append(net.probabilities(x[:n])))  # noqa: B023
        thread.start()
        thread.join()
        np.testing.assert_array_equal(net.probabilities(x[:n]), alone[0])


def test_threads_may_share_a_tagger(tagger: Tagger) -> None:
    """The gateway reads requests in threads; they share the memory of words."""
    texts = [f"Ask Ottoline Ferreira-{i} and user x{i}y about MRN 00{i}913." for i in range(200)]
    expected = [tagger.recognize(t) for t in texts]
    fresh, results = Tagger(), {}

    def work(k: int) -> None:
        results[k] = [fresh.recognize(t) for t in texts]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(results[k] == expected for k in range(4))


def test_a_changed_model_file_is_refused() -> None:
    """The file is pinned by its SHA-256: a tagger with other weights may be one that is blind."""
    with pytest.raises(ConfigError):
        load(MODEL, "0" * 64)
    assert load(MODEL, MODEL_SHA256).digest == MODEL_SHA256


def test_the_build_changes_with_the_model() -> None:
    """The log names the build; two models must not share one."""
    file = Path(package.__file__).parent / "data" / MODEL
    net = parse(file.read_bytes())
    other = Tagger(type(net)(**{**{k: getattr(net, k) for k in net.__slots__}, "digest": "x"}))
    assert Tagger(net).build == Tagger().build != other.build


def test_the_model_fits_the_wheel_and_loads_fast() -> None:
    """At most 15 MB in the wheel, and half a second from nothing to ready."""
    file = Path(package.__file__).parent / "data" / MODEL
    assert file.stat().st_size <= 15_000_000
    start = time.process_time()
    Tagger()
    assert time.process_time() - start < 0.5


def test_most_cells_of_a_column_speak_for_all(tagger: Tagger) -> None:
    """A column of names holds names, also where one alone would not look like one."""
    rows = ["Okonkwo;Margaret;4471903", "Ferreira;Ottoline;9120344", "Abernathy;Percival;5518203"]
    text = "last_name;first_name;member_id\n" + "\n".join([*rows, "Table;Blue;7718209"]) + "\n"
    found = "".join(
        text[f.start : f.end] for f in tagger.recognize(text) if f.entity not in ("LOCATION",)
    )
    for cell in ("Okonkwo", "Ottoline", "Percival", "Table", "7718209"):
        assert cell in found


def test_likely_spans_count_only_near_sure_ones() -> None:
    """Hysteresis: what is likely is kept beside what is sure, and dropped where it stands alone."""
    sure = Span(0, 8, "PERSON", 0.99)
    near = Span(8 + NEAR, 20 + NEAR, "ID", 0.5)
    far = Span(5000, 5008, "ID", 0.5)
    text = "a word " * 800
    assert kept(text, [sure, near, far]) == [sure, near]
    assert kept(text, [near, far]) == []


def test_more_is_asked_for_in_programs_than_in_prose() -> None:
    """Words of programs look like names; a name in prose needs no certainty."""
    span = Span(20, 28, "PERSON", 0.6)
    assert kept("and so we went with Margaret to the sea, all of us", [span]) == [span]
    assert kept("x = f(a[0], b[1]);  Margaret(y); z = {c: [d]}; }", [span]) == []


def test_alone_a_listed_name_needs_less_and_other_words_more(tagger: Tagger) -> None:
    """In short texts the network is unsure; what the gazetteer says of a word decides there."""

    def stands(word: str, score: float) -> bool:
        text = f"so it was {word} again on that day"
        return bool(kept(text, [Span(10, 10 + len(word), "PERSON", score)], tagger._high))

    assert stands("Margaret", decode.NAMED)
    assert not stands("margaret", decode.NAMED)
    assert not stands("Because", 0.85)
    assert stands("Because", 0.95)
    assert not stands("Zxqavirn", 0.6)
    assert stands("Zxqavirn", 0.7)
    assert stands("zxqavirn", 0.6)  # nothing is capitalised here


@pytest.mark.parametrize(
    "text",
    [
        "Which of A, B, C, D, E is it?",
        "upgraded 4.26.15 to 4.27.0 on Monday",
        '{"system": "http://loinc.org", "code": "5893-9", "display": "Body weight"}',
    ],
)
def test_what_has_the_form_of_nobody_is_left_alone(tagger: Tagger, text: str) -> None:
    """Letters in a list, versions and codes of laboratory values are no names or identifiers."""
    found = [f for f in tagger.recognize(text) if f.entity not in ("ORGANIZATION", "LOCATION")]
    assert found == []


def test_a_place_for_a_value_is_no_value(tagger: Tagger) -> None:
    """Manuals and templates are full of them; what looks the same and holds digits is a secret."""
    for text in ("API_KEY=your-api-key-here", "password: your_password", "token = <your token>"):
        assert values(tagger, text, "SECRET") == []
    assert values(tagger, "password: Yq7-Wx2here!9", "SECRET")


def test_example_addresses_are_nobodys(tagger: Tagger) -> None:
    """RFC 2606 keeps these names for documentation: flagging them would flag every manual."""
    text = "SMTP_FROM=noreply@example.com\nadmin@example.org"
    assert values(tagger, text, "EMAIL_ADDRESS") == []


def test_tokens_cover_the_text_and_rows_lie_in_the_table() -> None:
    """Offsets are sums of token lengths, so tokens must leave nothing out."""
    text = "Dear  O'Brien,\n\ttel.: +49 (0)30-1234 漢字かな 👩‍⚕️ __x__ \ud800\r\n" + "ab" * 200
    tokens = [t for p in pieces(text) for t in p]
    assert "".join(tokens) == text
    assert all(0 <= r < ROWS for t in tokens for r in features(t, 3, 1))


def test_every_label_has_an_entity() -> None:
    """A label without an entity would raise in the middle of a request."""
    assert set(ENTITIES) == set(LABELS) - {"O"}
    assert REACH == 15


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("We talked about the Okafor case on Monday.", "Okafor"),
        ('"It hurts when I sit," says Lindqvist.', "Lindqvist"),
        ("Can my neighbour Ilse pick it up for me?", "Ilse"),
        ("Meine Tochter Mechthild schläft nicht.", "Mechthild"),
        ("Mon fils Gwenaël ne dort plus.", "Gwenaël"),
        ("Mi vecina Itziar no contesta.", "Itziar"),
        ("What did the Haverkamp family ask for?", "Haverkamp"),
        ("Why was the Ostrowski appointment moved?", "Ostrowski"),
    ],
)
def test_one_word_beside_a_lone_name_is_enough(tagger: Tagger, text: str, name: str) -> None:
    """The commonest prompt of all has one name in it, and nothing else that is personal."""
    assert values(tagger, text, "PERSON") == [name]


@pytest.mark.parametrize(
    "text",
    [
        "The Apple account is closed.",
        "The Linux family of kernels.",
        "Have you read the Paris novel?",
        '"We ship on Friday," says Amazon.',
        "My Python teacher likes the Django case study.",
        "Is the January file closed?",
        "Why was the Monday appointment moved?",
        "She said Monday works, and he said Yes twice.",
        "The Android family, the Chrome case, the Default account.",
    ],
)
def test_the_same_word_beside_a_thing_is_not(tagger: Tagger, text: str) -> None:
    """A cue finds nothing by itself: the network has to think of a name, too."""
    assert values(tagger, text, "PERSON") == []


def test_what_was_only_judged_gives_way_to_what_was_checked(tagger: Tagger) -> None:
    """An address that the network is as sure to be a secret comes back to who wrote it: a soak run
    lost one of fourteen thousand, masked for good."""
    words = "short write write kind kind short please letter write letter write to short to write"
    text = f"{words} a a a qwmkblqkrpgp@northvale.org"
    assert any(found.score == 1 and found.entity == "SECRET" for found in tagger.recognize(text))
    guard = Guard(load_policy(preset="direct"), build("tagger"), key=b"k" * 32)
    seen = guard.inspect({"input": text}, to=Destination("hosted", "hosted"))
    assert "qwmkblqkrpgp" not in str(seen.body)
    assert seen.restorer.text(seen.body["input"]).endswith("qwmkblqkrpgp@northvale.org")
