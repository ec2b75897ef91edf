"""The road as a whole, with a recogniser that finds what tests mark."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sovereign.config import Config
from sovereign.entities import describe
from sovereign.errors import ConfigError, RecognizerFailed, Refused, ResidualFound, Unreadable
from sovereign.guard import Guard, Limits, TakesLong
from sovereign.guard.recognizers import build
from sovereign.guard.recognizers.onnx_ner import OnnxRecognizer
from sovereign.guard.recognizers.spacy_ner import SpacyRecognizer
from sovereign.guard.scan import Scanner
from sovereign.policy import Policy
from sovereign.types import Action, Destination, Finding

HOSTED = Destination("openai", "hosted")
INSIDE = Destination("clinic", "local")
MakeGuard = Callable[..., Guard]


def chat(*contents: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": c} for c in contents]}


class Raises:
    name = "raises"
    build = "1"

    def recognize(self, text: str) -> Sequence[Finding]:
        raise ValueError(f"cannot read {text}")


class Slow:
    name = "slow"
    build = "1"

    def recognize(self, text: str) -> Sequence[Finding]:
        time.sleep(0.03)
        return ()


class Outside:
    name = "outside"
    build = "1"

    def recognize(self, text: str) -> Sequence[Finding]:
        return [Finding((), 0, len(text) + 5, "PERSON", 0.9, self.name)]


@pytest.mark.parametrize(("recognizer", "named"), [(Raises(), "raises"), (Outside(), "outside")])
def test_a_recogniser_that_fails_is_named_and_the_request_refused(
    make_guard: MakeGuard, recognizer: object, named: str
) -> None:
    """What could not be read does not leave; and the error quotes nothing."""
    with pytest.raises(RecognizerFailed) as caught:
        make_guard(recognizer).inspect(chat("Ada Zorblatt"), to=HOSTED)
    assert named in str(caught.value)
    assert "Zorblatt" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_slow_recogniser_fails_the_request_by_name(make_guard: MakeGuard) -> None:
    """The deadline is for the whole request: many leaves cannot stretch it."""
    guard = make_guard(Slow(), limits=Limits(deadline_s=0.1))
    with pytest.raises(RecognizerFailed, match=r"slow.*deadline"):
        guard.inspect(chat(*(f"text {i}" for i in range(50))), to=HOSTED)


def test_a_canary_notices_recognisers_that_see_nothing(make_guard: MakeGuard) -> None:
    """A guard that has gone blind must not stay open."""
    with pytest.raises(RecognizerFailed, match="known"):
        make_guard().canary()


def test_what_is_found_once_is_held_back_wherever_it_recurs(make_guard: MakeGuard) -> None:
    """In other leaves, other case, parts of a name, and in the keys."""
    body = chat("Ada Zorblatt, 512-47-3391", "ada zorblatt has 512 47 3391", "Dr. Zorblatt will")
    body["metadata"] = {"ZORBLATT": "512473391"}
    done = make_guard().inspect(body, to=HOSTED, shape="openai.chat")
    out = done.encode().decode()
    assert "orblatt" not in out.lower()
    assert "3391" not in out
    assert "will" in out
    done.check_residual(raw=done.encode())


class Twice:
    """Finds the first "short short"."""

    name, build = "twice", "1"

    def recognize(self, text: str) -> list[Finding]:
        at = text.find("short short")
        return [Finding((), at, at + 11, "PERSON", 0.9, self.name)] if at >= 0 else []


def test_what_is_left_of_a_recurrence_is_taken_out_and_is_no_value(make_guard: MakeGuard) -> None:
    """Half a value would be looked for by the last check, found where it is a word, and the request
    refused. Found by half an hour of traffic made of few words."""
    body = chat("A short letter. Then short short short and again short short.")
    inspection = make_guard(Twice()).inspect(body, to=HOSTED, shape="openai.chat")
    out = inspection.body["messages"][0]["content"]
    assert "short short" not in out
    assert out.startswith("A short letter. Then PERSON_")
    inspection.check_residual(raw=inspection.encode())
    assert inspection.restorer.text(out) == body["messages"][0]["content"]


def test_the_same_value_has_the_same_surrogate_in_every_request(make_guard: MakeGuard) -> None:
    """Across guards and turns, so that prompt caches hold; but not across tenants."""
    one = make_guard().inspect(chat("Ada Zorblatt"), to=HOSTED).body
    two = make_guard().inspect(chat("x", "so Ada Zorblatt said"), to=HOSTED).body
    other = make_guard().inspect(chat("Ada Zorblatt"), to=HOSTED, tenant="b").body
    made = one["messages"][0]["content"]
    assert made in two["messages"][1]["content"]
    assert made != other["messages"][0]["content"]


def test_a_surrogate_that_the_caller_typed_restores_to_nothing(make_guard: MakeGuard) -> None:
    """Or anybody who saw one could ask for the value."""
    made = make_guard().inspect(chat("Ada Zorblatt"), to=HOSTED).body["messages"][0]["content"]
    done = make_guard().inspect(chat(f"{made} and Ada Zorblatt"), to=HOSTED)
    assert done.restorer.text(made) == made
    assert done.restorer.text(done.body["messages"][0]["content"]) == f"{made} and Ada Zorblatt"


RESIDUES = {
    "url_query": {"url": "https://h/v1?q=ada%20zorblatt"},
    "url_path": {"url": "https://h/v1/512473391/x"},
    "header": {"headers": {"x-who": "Ada Zorblatt"}},
    "header_number": {"headers": {"x-n": "512.47.3391"}},
    "body_plain": {"raw": b'{"a":"Ada Zorblatt"}'},
    "body_upper_case": {"raw": b'{"a":"ADA ZORBLATT"}'},
    "body_base64": {"raw": b'{"a":"IEFkYSBab3JibGF0dCBpcyBoZXJlIA=="}'},
    "body_escaped": {"raw": b'{"a":"\\u0041da Zorblatt"}'},
    "body_zero_width": {"raw": '{"a":"Ada\u200b Zorb\u200blatt"}'.encode()},
    "body_number": {"raw": b'{"a":512473391}'},
    "body_number_in_number": {"raw": b'{"a":"00512473391777"}'},
    "body_key": {"raw": b'{"Ada Zorblatt":1}'},
    "body_not_json": {"raw": b"Ada Zorblatt"},
}


@pytest.mark.parametrize("where", RESIDUES)
def test_the_residual_check_finds_a_held_back_value_in(make_guard: MakeGuard, where: str) -> None:
    """The last net under every bug of ours, in every decoded view."""
    done = make_guard().inspect(chat("Ada Zorblatt 512-47-3391"), to=HOSTED)
    with pytest.raises(ResidualFound) as caught:
        done.check_residual(**{"raw": b"{}", **RESIDUES[where]})  # type: ignore[arg-type]
    assert "orblatt" not in str(caught.value)


HARMLESS = {
    "part_of_a_word": b'{"a":"adazorblattish"}',
    "other_number": b'{"a":"512-47-3392"}',
    "digits_apart": b'{"a":"512 items, 47 left, room 3391"}',
    "own_mask": b'{"a":"[PERSON] PERSON_AAAAAAAA"}',
}


@pytest.mark.parametrize("what", HARMLESS)
def test_the_residual_check_lets_pass(make_guard: MakeGuard, what: str) -> None:
    """A net that refuses harmless requests is soon cut."""
    done = make_guard().inspect(chat("Ada Zorblatt 512-47-3391"), to=HOSTED)
    done.check_residual(raw=HARMLESS[what])


class Shorts:
    name = "shorts"
    build = "1"

    def recognize(self, text: str) -> Sequence[Finding]:
        return [
            Finding((), at, at + len(word), "PERSON", 0.9, self.name)
            for word in ("Bo", "Will", "user", "42")
            if (at := text.find(word)) >= 0 and text.startswith("names:")
        ]


def test_short_values_do_not_refuse_other_words(make_guard: MakeGuard) -> None:
    """ "Bo" is in "about", "Will" is not "will", "user" is a role, "42" is a number of pages."""
    body = chat("names: Bo Will user 42", "Bob will book about 42 users")
    done = make_guard(Shorts()).inspect(body, to=HOSTED, shape="openai.chat")
    assert done.body["messages"][1]["content"] == "Bob will book about 42 users"
    done.check_residual(raw=done.encode(), url="https://bo.example/v1", headers={"user": "x42"})
    with pytest.raises(ResidualFound):
        done.check_residual(raw=b'{"a":"Will"}')


OPAQUE: dict[str, Any] = {
    "image_url": [{"type": "image_url", "image_url": {"url": "https://h/x.png"}}],
    "image_data": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
    "input_image": [{"type": "input_image", "image_url": "https://h/x.png"}],
    "anthropic_image": [{"type": "image", "source": {"type": "base64", "data": "AAAA"}}],
    "audio": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}],
    "file": [{"type": "file", "file": {"file_id": "file-1"}}],
    "file_by_unknown_type": [{"type": "newest", "file_id": "file-1"}],
    "document": [{"type": "document", "source": {"type": "url", "url": "https://h/x.pdf"}}],
    "data_uri_in_text": "see data:application/pdf;base64,JVBERi0",
    "blob_in_text": "decode " + "q83vASNFZ4mrze8BI0VniavN7wEjRWeJ" * 8,
}


@pytest.mark.parametrize("what", OPAQUE)
def test_what_cannot_be_read_is_refused_or_kept_inside(make_guard: MakeGuard, what: str) -> None:
    """Never passed through: block raises, local reroutes, inside nothing leaves."""
    body = chat(OPAQUE[what])
    with pytest.raises(Unreadable):
        make_guard().inspect(body, to=HOSTED, shape="openai.chat")
    kept = Policy(name="p", unreadable="local", hosted={"*": "mask"})
    done = make_guard(policy=kept).inspect(body, to=HOSTED, shape="openai.chat")
    assert done.verdict.action is Action.LOCAL
    assert done.verdict.entities["UNREADABLE"]["local"] >= 1
    assert describe("UNREADABLE") == "things that could not be read"  # in reports
    if "https://" in json.dumps(body):
        with pytest.raises(Unreadable, match="host"):  # a model inside would fetch it
            make_guard().inspect(body, to=INSIDE, shape="openai.chat")
        return
    inside = make_guard().inspect(body, to=INSIDE, shape="openai.chat")
    assert inside.verdict.action is Action.ALLOW
    assert inside.body == body


@pytest.mark.parametrize("prompt", [[1, 2, 3], [[1, 2], [3]], ["a", [4]]])
def test_token_ids_are_refused(make_guard: MakeGuard, prompt: Any) -> None:
    """They are text in a spelling that nobody here can read."""
    with pytest.raises(Unreadable):
        make_guard().inspect({"prompt": prompt}, to=HOSTED, shape="openai.completions")
    with pytest.raises(Unreadable):
        make_guard().inspect({"input": prompt}, to=HOSTED, shape="openai.embeddings")


def test_a_schema_that_speaks_of_files_is_no_file(make_guard: MakeGuard) -> None:
    """Properties may be called file or image; only content is content."""
    schema = {"type": "object", "properties": {"file": {"type": "string"}}}
    body = {**chat("hi"), "tools": [{"type": "function", "function": {"parameters": schema}}]}
    assert make_guard().inspect(body, to=HOSTED, shape="openai.chat").body == body


def test_verbs_do_what_they_say(make_guard: MakeGuard) -> None:
    """The strictest verb is the verdict's; local and block change nothing, since nothing leaves."""
    for verb, action in (
        ("allow", 0),
        ("mask", 1),
        ("pseudonymize", 2),
        ("local", 3),
        ("block", 4),
    ):
        policy = Policy(name="p", hosted={"*": "allow", "PERSON": verb})  # type: ignore[dict-item]
        done = make_guard(policy=policy).inspect(chat("Ada Zorblatt!"), to=HOSTED)
        assert done.verdict.action == action
        text = done.body["messages"][0]["content"]
        assert (text == "[PERSON]!") == (verb == "mask")
        assert ("Ada" in text) == (verb not in ("mask", "pseudonymize"))
        assert bool(len(done.restorer)) == (verb == "pseudonymize")


def test_no_object_of_the_guard_shows_a_value(make_guard: MakeGuard) -> None:
    """Reprs end up in logs and tracebacks."""
    guard = make_guard()
    done = guard.inspect(chat("Ada Zorblatt 512-47-3391"), to=HOSTED)
    events = done.restorer.events("openai.chat")
    stream = done.restorer.stream()
    stream.feed("PERS")
    objects = [guard, done, done.restorer, done.findings, done.verdict, done._held, events, stream]
    for shown in [repr(o) + str(o) for o in objects]:
        assert "orblatt" not in shown
        assert "3391" not in shown


@pytest.mark.parametrize(
    "text", ["\x00" * 50, "\u202e" * 500 + "x", "a" * 100_000, "[{" * 900, "%" * 5000]
)
def test_any_string_is_legal(make_guard: MakeGuard, text: str) -> None:
    """Nothing raises, nothing hangs, nothing is cut."""
    body = chat(text)
    assert make_guard().inspect(body, to=HOSTED).body == body


def test_half_a_surrogate_pair_fails_closed(make_guard: MakeGuard) -> None:
    """It could not be written as UTF-8, so it cannot be sent; the error is ours."""
    with pytest.raises(Unreadable):
        make_guard().inspect(chat("\ud800 Ada"), to=HOSTED)


def test_nothing_is_cut_from_a_long_text(make_guard: MakeGuard) -> None:
    """A value at every cut of a long text is found, wherever the cuts are."""
    text = "".join(f"{'x ' * 3000}Ada Zorblatt {i} " for i in range(40))
    out = make_guard().inspect(chat(text), to=HOSTED).body["messages"][0]["content"]
    assert out.count("PERSON_") == 40
    assert "Zorblatt" not in out


def test_builds_differ_where_recognisers_differ(make_guard: MakeGuard) -> None:
    """The record says which recognisers read a request."""
    assert make_guard().build == make_guard().build
    assert make_guard().build != make_guard(Slow()).build


def test_a_missing_key_names_the_command_that_makes_it(tmp_path: Any) -> None:
    """Without a key there are no surrogates, and no guard."""
    config = Config.model_validate(
        {"policy": {"preset": "hipaa"}, "guard": {"key_file": str(tmp_path / "k")}}
    )
    with pytest.raises(ConfigError) as caught:
        Guard.from_config(config)
    assert "sovereign init" in caught.value.hint


def test_inspecting_imports_no_torch() -> None:
    """A guard process must stay small; presidio and spaCy would import torch if they could."""
    code = """
import sys
from sovereign.guard import Guard
from sovereign.guard.recognizers import build
from sovereign.policy import load_policy
from sovereign.types import Destination
guard = Guard(load_policy(preset="hipaa"), build(), key=b"k" * 32)
guard.canary()
body = {"messages": [{"role": "user", "content": "mail maria.keller@northvale.org"}]}
assert guard.inspect(body, to=Destination("o", "hosted")).findings
print([m for m in ("torch", "transformers", "tensorflow") if sys.modules.get(m) is not None])
import torch
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.strip().replace("'", '"')) == []


def test_local_and_block_are_refused_by_the_transport(make_guard: MakeGuard) -> None:
    """The client has no model inside to turn to."""
    policy = Policy(name="p", hosted={"*": "local"})
    client = make_guard(policy=policy).http_client(HOSTED)
    with pytest.raises(Refused):
        client.post("http://127.0.0.1:9/v1/chat/completions", json=chat("Ada Zorblatt"))


def test_what_cannot_be_read_goes_inside_as_it_came() -> None:
    """Also under a policy that holds something back from models inside: an emptied picture would
    be an answer to another question."""
    policy = Policy(
        name="ours", unreadable="local", hosted={"PERSON": "mask"}, local={"PIN": "block"}
    )
    guard = Guard(policy, [], key=b"k" * 32)
    url = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    part = {"type": "image_url", "image_url": {"url": url}}
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    out = guard.inspect(body, to=HOSTED, shape="openai.chat")
    assert out.verdict.action is Action.LOCAL
    inside = guard.inspect(body, to=Destination("clinic", "local"), shape="openai.chat")
    assert inside.verdict.action is Action.ALLOW
    assert inside.body == body


class Quick:
    """A recogniser that says that it takes no time."""

    name, build, quick = "quick", "1", True

    def recognize(self, text: str) -> list[Finding]:
        return []


def test_quick_means_that_nothing_takes_long(make_guard: MakeGuard) -> None:
    """A recogniser of somebody else's, or a document, is never met where other callers wait."""
    ours = make_guard(Quick())
    assert ours.inspect(chat("Hello"), to=HOSTED, shape="openai.chat", quick=True).findings == ()
    document = "data:text/plain;base64,SGVsbG8gdGhlcmUsIE1hcmlhIEtlbGxlci4="
    with pytest.raises(TakesLong):
        ours.inspect(chat(document), to=HOSTED, shape="openai.chat", quick=True)
    theirs = make_guard(Quick(), Outside())
    with pytest.raises(TakesLong):
        theirs.inspect(chat("Hello"), to=HOSTED, shape="openai.chat", quick=True)


def test_what_was_built_in_is_quick_and_what_was_not_is_not() -> None:
    """Second opinions and engines, too, are somebody else's."""
    assert Scanner(build("tagger"), cache_key=b"k").quick
    assert not Scanner([*build("tagger"), Slow()], cache_key=b"k").quick
    assert not any(getattr(kind, "quick", False) for kind in (OnnxRecognizer, SpacyRecognizer))
