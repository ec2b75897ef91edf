"""Log-probabilities of a reply: the tokens joined are the restored text, on every wire."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sovereign.guard import Restorer
from sovereign.types import JSON

TAG = "PERSON_K7Q2MX4D"
RESTORER = Restorer({TAG: "Märia Keller", "EMAIL_ADDRESS_AAAA2222": "m@k.de"})


def entry(token: str, logprob: float | None = -0.5, **more: JSON) -> dict[str, Any]:
    others = [{"token": token, "logprob": logprob, "bytes": list(token.encode())}]
    return {
        "token": token,
        "logprob": logprob,
        "bytes": list(token.encode()),
        "top_logprobs": others,
        **more,
    }


def entries(*tokens: str) -> list[dict[str, Any]]:
    return [entry(token, -(at + 1) / 4) for at, token in enumerate(tokens)]


def chat(said: JSON, content: JSON = None, refusal: JSON = None) -> dict[str, Any]:
    message = {"role": "assistant", "content": said, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    choice["logprobs"] = {"content": content, "refusal": refusal}
    return {"id": "c", "choices": [choice]}


def of_chat(body: JSON) -> Any:
    restored: Any = RESTORER.tree(body, "openai.chat")
    return restored["choices"][0]


def joined(scored: list[dict[str, Any]]) -> str:
    assert all(bytes(e["bytes"]).decode("utf-8", "replace") == e["token"] for e in scored)
    return b"".join(bytes(e["bytes"]) for e in scored).decode()


class TestWholeReplies:
    def test_the_tokens_of_a_surrogate_become_one_entry(self) -> None:
        """With the letters before and after that share a token, the joint log-probability, and no
        alternatives: those were to pieces of a surrogate. The other entries are as they came."""
        tokens = entries("Dear", " PERSON", "_K7", "Q2MX", "4D,", " hello")
        choice = of_chat(chat(f"Dear {TAG}, hello", tokens))
        first, name, last = choice["logprobs"]["content"]
        assert first == tokens[0]
        assert last == tokens[-1]
        assert name == {
            "token": " Märia Keller,",
            "logprob": -(2 + 3 + 4 + 5) / 4,
            "bytes": list(" Märia Keller,".encode()),
            "top_logprobs": [],
        }
        assert joined([first, name, last]) == choice["message"]["content"]
        assert choice["logprobs"]["refusal"] is None

    def test_one_token_over_two_surrogates_makes_one_entry_of_all(self) -> None:
        text = f"{TAG}, {TAG}."
        tokens = entries("PERSON_K7Q2", "MX4D, PERS", "ON_K7Q2MX4D", ".")
        name, last = of_chat(chat(text, tokens))["logprobs"]["content"]
        assert name["token"] == "Märia Keller, Märia Keller"
        assert last == tokens[-1]

    def test_refusals_are_restored_as_contents_are(self) -> None:
        body = chat(None, None, entries("No", ", PERSON_", "K7Q2MX4D"))
        body["choices"][0]["message"]["refusal"] = f"No, {TAG}"
        choice = of_chat(body)
        assert joined(choice["logprobs"]["refusal"]) == choice["message"]["refusal"]
        assert joined(choice["logprobs"]["refusal"]) == "No, Märia Keller"

    def test_halves_of_characters_are_joined_by_their_bytes(self) -> None:
        """A token may end inside a character; the half that it shares with a surrogate's stays."""
        text = f"né {TAG}"
        halves = [(b"n\xc3", "n\ufffd"), (b"\xa9", "\ufffd"), (b" PERSON_K7Q2", ""), (b"MX4D", "")]
        scored = [
            {"token": token or raw.decode(), "logprob": -1, "bytes": list(raw), "top_logprobs": []}
            for raw, token in halves
        ]
        choice = of_chat(chat(text, scored))
        assert choice["logprobs"]["content"][:2] == scored[:2]
        assert joined(choice["logprobs"]["content"]) == "né Märia Keller"
        glued = [{**scored[0]}, {**scored[1], "bytes": list("\xe9 PERSON_".encode()[1:])}]
        glued.append({**scored[2], "bytes": list(b"K7Q2MX4D")})
        _, name = of_chat(chat(text, glued))["logprobs"]["content"]
        assert bytes(name["bytes"]) == b"\xa9 M\xc3\xa4ria Keller"
        assert name["token"] == "\ufffd Märia Keller"

    def test_without_bytes_tokens_are_joined_by_their_letters(self) -> None:
        tokens = [{**e, "bytes": None} for e in entries("PERSON_K7Q2", "MX4D", "!")]
        name, last = of_chat(chat(f"{TAG}!", tokens))["logprobs"]["content"]
        assert name["token"] == "Märia Keller"
        assert name["bytes"] is None
        assert last == tokens[-1]

    def test_a_sum_of_what_is_not_told_is_not_told(self) -> None:
        tokens = [entry("PERSON_K7Q2", None), entry("MX4D", -1.0)]
        (name,) = of_chat(chat(TAG, tokens))["logprobs"]["content"]
        assert name["logprob"] is None

    @pytest.mark.parametrize(
        "wrong",
        [
            entries("Dear", " PERSON_K7Q2", "MX4E"),
            entries(" PERSON_K7Q2", "MX4D"),
            [entry("Dear"), entry(" PERSON"), {"token": 7}, entry("_K7Q2MX4D")],
            [entry("Dear"), entry(" PERSON"), entry("_K7Q2MX4D", bytes=[300])],
            [entry("Dear"), entry(" PERSON"), entry("_K7Q2MX4D", bytes="_K7Q2MX4D")],
            [entry("Dear"), entry(" PERSON"), entry("_K7Q2MX4D", 1e300)],
            [entry("Dear"), entry(" PERSON"), entry("_K7Q2MX4D", bytes=[])],
            [entry("Dear"), entry(" PERSON")],
        ],
    )
    def test_entries_that_are_not_the_text_stay_as_they_came(self, wrong: JSON) -> None:
        """Nothing is guessed: they hold surrogates, which tell nobody anything."""
        body = chat(f"Dear {TAG}", wrong)
        choice = of_chat(body)
        assert choice["message"]["content"] == "Dear Märia Keller"
        assert choice["logprobs"] == body["choices"][0]["logprobs"]

    def test_what_follows_the_text_stays_and_what_is_the_text_is_restored(self) -> None:
        """Some servers score the token that ends an answer, which is no part of it."""
        end = entry("<|im_end|>")
        name, last = of_chat(chat(TAG, [*entries("PERSON_K7Q2", "MX4D"), end]))["logprobs"][
            "content"
        ]
        assert name["token"] == "Märia Keller"
        assert last == end

    def test_entries_without_their_text_stay_as_they_came(self) -> None:
        body = chat(None, entries("PERSON_K7Q2", "MX4D"))
        assert RESTORER.tree(body, "openai.chat") is body

    def test_a_text_without_surrogates_is_the_body_that_came(self) -> None:
        body = chat("Dear all", entries("Dear", " all"))
        assert RESTORER.tree(body, "openai.chat") is body

    def test_what_is_no_log_probabilities_is_restored_as_any_leaf(self) -> None:
        """A schema, or a tool's input on Anthropic's wire, may have a key of that name."""
        schema = {"properties": {"logprobs": {"description": f"of {TAG}"}}}
        body = {"id": "r", "tools": [{"parameters": schema}]}
        restored: Any = RESTORER.tree(body, "openai.responses")
        assert "Märia" in str(restored)
        given = {"text": TAG, "logprobs": [{"token": f"{TAG}"}]}
        message = {"content": [{"type": "tool_use", "input": given}]}
        restored = RESTORER.tree(message, "anthropic.messages")
        assert "PERSON" not in str(restored)

    def test_completions_have_columns_and_offsets_that_fit(self) -> None:
        """Offsets count the characters of the text that is shown."""
        said = f"Dear {TAG}, and {TAG}."
        tokens = ["Dear", " PERSON", "_K7Q2MX4D", ",", " and", " PERSON_K7Q2MX", "4D."]
        offsets = [sum(map(len, tokens[:at])) for at in range(len(tokens))]
        scored = {
            "tokens": tokens,
            "token_logprobs": [None, -0.5, -0.25, -1, -2, -0.125, -3.0],
            "top_logprobs": [{token: -1.0} for token in tokens],
            "text_offset": offsets,
        }
        choice = {"index": 0, "text": said, "finish_reason": "stop", "logprobs": scored}
        restored: Any = RESTORER.tree({"choices": [choice]}, "openai.completions")
        (got,) = restored["choices"]
        shown = ["Dear", " Märia Keller", ",", " and", " Märia Keller."]
        assert got["logprobs"] == {
            "tokens": shown,
            "token_logprobs": [None, -0.75, -1, -2, -3.125],
            "top_logprobs": [{"Dear": -1.0}, {}, {",": -1.0}, {" and": -1.0}, {}],
            "text_offset": [sum(map(len, shown[:at])) for at in range(5)],
        }
        assert "".join(shown) == got["text"]

    def test_completions_spell_halves_of_characters_in_letters(self) -> None:
        tokens = ["n", "bytes:\\xc3", "bytes:\\xa9", " PERSON_", "K7Q2MX4D"]
        scored = {"tokens": tokens, "token_logprobs": [-1.0] * 5, "text_offset": [0, 1, 1, 2, 10]}
        choice = {"index": 0, "text": f"né {TAG}", "logprobs": scored}
        restored: Any = RESTORER.tree({"choices": [choice]}, "openai.completions")
        got = restored["choices"][0]["logprobs"]
        assert got["tokens"] == [*tokens[:3], " Märia Keller"]
        assert got["text_offset"] == [0, 1, 1, 2]

    @pytest.mark.parametrize("column", ["token_logprobs", "top_logprobs", "text_offset"])
    def test_columns_may_be_missing_but_not_of_another_length(self, column: str) -> None:
        scored: dict[str, Any] = {
            "tokens": ["PERSON_K7Q2", "MX4D"],
            "token_logprobs": [-1.0, -1.0],
            "top_logprobs": [{}, {}],
            "text_offset": [0, 11],
        }
        for odd, whole in ((None, True), ([], False)):
            choice = {"index": 0, "text": TAG, "logprobs": {**scored, column: odd}}
            restored: Any = RESTORER.tree({"choices": [choice]}, "openai.completions")
            got = restored["choices"][0]["logprobs"]
            assert (got["tokens"] == ["Märia Keller"]) is whole
            assert got[column] == odd
            assert whole or got == choice["logprobs"]

    @pytest.mark.parametrize("kind", ["part", "item", "response", "done"])
    def test_parts_of_responses_wherever_they_stand(self, kind: str) -> None:
        """In the whole reply, and in the events that repeat what was streamed."""
        part = {"type": "output_text", "text": f"To {TAG}.", "annotations": []}
        part["logprobs"] = entries("To", " PERSON_", "K7Q2MX4D", ".")
        item = {"id": "m", "type": "message", "content": [part]}
        bodies: dict[str, dict[str, Any]] = {
            "part": {"type": "response.content_part.done", "part": part},
            "item": {"type": "response.output_item.done", "item": item},
            "response": {"type": "response.completed", "response": {"output": [item]}},
            "done": {**part, "type": "response.output_text.done", "item_id": "m"},
        }
        restored: Any = RESTORER.tree(bodies[kind], "openai.responses")
        while "text" not in restored:
            below = ("part", "item", "response", "output", "content")
            restored = next(restored[k] for k in below if k in restored)
            restored = restored[0] if isinstance(restored, list) else restored
        assert joined(restored["logprobs"]) == restored["text"] == "To Märia Keller."
        assert [e["logprob"] for e in restored["logprobs"]] == [-0.25, -1.25, -1.0]


def chunk(delta: JSON, scored: JSON = None, finish: JSON = None) -> dict[str, Any]:
    told = None if scored is None else {"content": scored, "refusal": None}
    choice = {"index": 0, "delta": delta, "logprobs": told, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "choices": [choice]}


def stream(*events: JSON) -> tuple[list[Any], list[dict[str, Any]], str]:
    """All events that come out, and their entries and text."""
    restored = RESTORER.events("openai.chat")
    out: list[Any] = [e for event in events for _, e in restored.feed(None, event)]
    out += [e for _, e in restored.flush()]
    choices = [c for e in out for c in e["choices"]]
    told = [e for c in choices if c.get("logprobs") for e in c["logprobs"]["content"] or ()]
    return out, told, "".join(c["delta"].get("content") or "" for c in choices)


class TestStreams:
    def test_entries_are_held_as_their_text_is(self) -> None:
        tokens = entries("To", " PERSON", "_K7Q2", "MX4D", ".", " now")
        events = [chunk({"content": e["token"]}, [e]) for e in tokens]
        out, told, text = stream(*events, chunk({}, finish="stop"))
        assert joined(told) == text == "To Märia Keller. now"
        assert [e["logprob"] for e in told] == [-0.25, -(2 + 3 + 4) / 4, -1.25, -1.5]
        choices = [one["choices"][0] for one in out]
        scored = [(c["logprobs"] or {}).get("content") for c in choices]
        assert scored == [tokens[:1], [], [], told[1:2], told[2:3], told[3:], None]
        assert [c["delta"].get("content") for c in choices][:4] == ["To", " ", "", "Märia Keller"]

    def test_what_is_held_at_the_end_goes_out_before_it(self) -> None:
        tokens = entries("To", " PERSON", "_K7")
        events = [chunk({"content": e["token"]}, [e]) for e in tokens]
        out, told, text = stream(*events, chunk({}, finish="length"))
        assert joined(told) == text == "To PERSON_K7"
        assert told == tokens
        assert out[-1]["choices"][0]["finish_reason"] == "length"
        _, told, _ = stream(*events)  # and where nothing ends it
        assert told == tokens

    def test_events_that_repeat_each_other_are_each_scored(self) -> None:
        """The quick way of an event that is as the last one does not pass over its entries."""
        again = entry(" no", -0.5)
        name = entries(" PERSON_", "K7Q2MX4D")
        events = [chunk({"content": " no"}, [again]) for _ in range(5)]
        events += [chunk({"content": e["token"]}, [e]) for e in name]
        _, told, text = stream(*events, chunk({}, finish="stop"))
        assert told[:5] == [again] * 5
        assert joined(told) == text

    def test_halves_of_characters_wait_for_the_other(self) -> None:
        """Servers send no text until the character is whole, or no delta at all."""
        halves = [entry("\ufffd", -1.0, bytes=[half]) for half in "é".encode()]
        for empty in ({"content": ""}, {}):
            events = [
                chunk({"role": "assistant", "content": ""}),
                chunk({"content": "To"}, [entry("To")]),
            ]
            events += [chunk(empty, halves[:1]), chunk({"content": "é"}, halves[1:])]
            events += [chunk({"content": TAG}, entries(TAG))]
            _, told, text = stream(*events, chunk({}, finish="stop"))
            assert text == "ToéMäria Keller"
            assert b"".join(bytes(e["bytes"]) for e in told).decode() == text
            assert told[1:3] == halves

    def test_entries_that_are_not_the_text_stay_in_order(self) -> None:
        tokens = entries("To", " PERSON", "_XXXX", "MX4D", ".")
        said = ["To", " PERSON", "_K7Q2", "MX4D", "."]
        events = [chunk({"content": s}, [e]) for s, e in zip(said, tokens, strict=True)]
        _, told, text = stream(*events, chunk({}, finish="stop"))
        assert text == "To Märia Keller."
        assert told == tokens

    def test_entries_of_another_text_pass(self) -> None:
        """What a model thought is scored under content by some servers; it has no text there."""
        thought = [chunk({"reasoning": TAG[:8]}, entries(TAG[:8])), chunk({"reasoning": TAG[8:]})]
        said = [chunk({"content": t}, [e]) for t, e in zip("ab", entries("a", "b"), strict=True)]
        out, told, text = stream(*thought, *said, chunk({}, finish="stop"))
        assert [e["token"] for e in told] == [TAG[:8], "a", "b"]
        assert text == "ab"
        assert "Märia" in str(out)

    def test_nothing_is_scored_twice_on_the_wire_of_responses(self) -> None:
        """Held text goes out as a copy of the last event, which had entries of its own."""
        where = {"item_id": "m", "output_index": 0, "content_index": 0}
        tokens = entries("To", " PERSON_", "K7Q2MX")
        kind = "response.output_text"
        events: list[Any] = [
            {"type": f"{kind}.delta", "delta": e["token"], "logprobs": [e], **where} for e in tokens
        ]
        said = "".join(e["token"] for e in tokens)
        events.append({"type": f"{kind}.done", "text": said, "logprobs": tokens, **where})
        restored = RESTORER.events("openai.responses")
        out: list[Any] = [e for event in events for _, e in restored.feed(None, event)]
        assert [e for o in out[:-1] for e in o["logprobs"]] == tokens
        assert out[-1] == events[-1]

    def test_completions_keep_their_offsets_over_events(self) -> None:
        restored = RESTORER.events("openai.completions")
        out: list[Any] = []
        at = 0
        for token in ["To", " PERSON", "_K7Q2MX4D", ".", " Bye", " PERS"]:
            scored = {"tokens": [token], "token_logprobs": [-0.5], "text_offset": [at]}
            scored["top_logprobs"] = None  # type: ignore[assignment]
            choice = {"index": 0, "text": token, "logprobs": scored, "finish_reason": None}
            out += restored.feed(None, {"id": "c", "choices": [choice]})
            at += len(token)
        out += restored.flush()
        choices = [e["choices"][0] for _, e in out]
        tokens = [t for c in choices for t in c["logprobs"]["tokens"]]
        offsets = [o for c in choices for o in c["logprobs"]["text_offset"]]
        assert tokens == ["To", " Märia Keller", ".", " Bye", " PERS"]
        assert offsets == [0, 2, 15, 16, 20]
        scores = [p for c in choices for p in c["logprobs"]["token_logprobs"]]
        assert math.isclose(sum(scores), -3.0)
        assert "".join(tokens) == "".join(c["text"] for c in choices)

    def test_a_stream_says_how_many_entries_it_holds_and_no_more(self) -> None:
        followed = RESTORER.stream().scored()
        followed.add(entries("PERSON_"))
        assert repr(followed) == "Scores(1 entries held)"
