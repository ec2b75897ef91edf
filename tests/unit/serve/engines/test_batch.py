"""Many requests in one batch: each gets what it would get alone, and leaves when it is done.

The model is a real Llama of two layers with random weights, in float32.
"""

from __future__ import annotations

import queue
import random
from collections.abc import Iterator

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from sovereign.serve.engines.batch import Batcher, Full
from sovereign.serve.engines.row import Done, Event, Failed, Job, Piece
from sovereign.serve.engines.sampling import Sampling

EOS = 1


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(5)
    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,  # wide, so that tokens depend on what came before
    )
    return LlamaForCausalLM(config).eval()


def _decode(ids: list[int]) -> str:
    return "".join(chr(0x100 + i) for i in ids)


@pytest.fixture
def batcher(model: LlamaForCausalLM) -> Iterator[Batcher]:
    made = Batcher(model, _decode, frozenset({EOS}), slots=4, waiting=16, chunk=16)
    made.start()
    yield made
    made.close()


class Caller:
    """Submits one job and collects what comes of it."""

    def __init__(
        self,
        batcher: Batcher,
        prompt: list[int],
        n: int,
        sampling: Sampling = Sampling(temperature=0),  # noqa: B008 — frozen
        stop: tuple[str, ...] = (),
    ) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self.job = Job(prompt, n, sampling, stop, self.events.put)
        batcher.submit(self.job)

    def finish(self) -> tuple[str, Done | Failed]:
        text = ""
        while True:
            event = self.events.get(timeout=30)
            if isinstance(event, Piece):
                text += event.text
            else:
                return text, event


def _reference(model: LlamaForCausalLM, prompt: list[int], n: int, eos: int = EOS) -> str:
    out = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=n,
        do_sample=False,
        eos_token_id=eos,
        pad_token_id=0,
    )[0, len(prompt) :].tolist()
    return _decode(out[:-1] if out[-1] == eos else out)


def _prompts(n: int) -> list[list[int]]:
    rng = random.Random(3)
    return [[rng.randrange(2, 97) for _ in range(rng.randrange(1, 40))] for _ in range(n)]


def test_every_request_of_a_crowd_gets_what_generate_gives_it_alone(
    model: LlamaForCausalLM, batcher: Batcher
) -> None:
    """Twelve prompts of 1 to 40 tokens join and leave four slots, read in chunks of 16: padding,
    joining and leaving must not move anybody's positions. The reference is model.generate."""
    prompts = _prompts(12)
    lengths = [3 + 5 * i for i in range(12)]
    callers = [Caller(batcher, p, n) for p, n in zip(prompts, lengths, strict=True)]
    for caller, prompt, n in zip(callers, prompts, lengths, strict=True):
        text, end = caller.finish()
        assert text == _reference(model, prompt, n)
        assert isinstance(end, Done)
    assert batcher.load == (0, 0)


def test_a_seed_gives_the_same_text_alone_and_in_a_crowd(batcher: Batcher) -> None:
    """Concurrent requests with other parameters do not influence it: transformers' own server
    uses the first request's sampling for all."""
    prompt = _prompts(1)[0]
    wanted = Sampling(temperature=0.9, top_p=0.9, seed=11)
    alone, _ = Caller(batcher, prompt, 20, wanted).finish()
    others = [Caller(batcher, p, 30, Sampling(1.5, 1.0, i)) for i, p in enumerate(_prompts(3))]
    crowded, _ = Caller(batcher, prompt, 20, wanted).finish()
    assert crowded == alone
    for other in others:
        other.finish()


def test_a_stop_string_ends_its_own_request_only(model: LlamaForCausalLM, batcher: Batcher) -> None:
    """And is not part of the text."""
    a, b = _prompts(2)
    full = _reference(model, a, 20)
    stop = full[6:8]
    stopped, other = Caller(batcher, a, 20, stop=(stop,)), Caller(batcher, b, 20)
    text, end = stopped.finish()
    assert text == full[: full.index(stop)]
    assert end == Done("stop", full.index(stop) + 2)
    assert other.finish()[0] == _reference(model, b, 20)


def test_the_count_of_tokens_is_exact_at_the_limit(batcher: Batcher) -> None:
    """One token is one token."""
    assert Caller(batcher, [5, 6], 1).finish()[1] in (Done("length", 1), Done("stop", 1))


@pytest.mark.parametrize("crowd", [0, 1])
def test_who_reads_a_first_token_is_counted_and_who_reads_the_end_is_not(
    model: LlamaForCausalLM, crowd: int
) -> None:
    """Also in the moment in which a row goes over from the prompts into the batch, where another
    row may be or not: what a supervisor reads there decides whether it drains."""
    batcher = Batcher(model, _decode, frozenset(), slots=4)
    loads: list[tuple[type[Event], int]] = []
    for prompt in _prompts(crowd):
        batcher.submit(Job(prompt, 9, Sampling(temperature=0), (), lambda _: None))
    with torch.inference_mode():
        batcher._turn()
        batcher.submit(
            Job(
                [5, 6, 7],
                2,
                Sampling(temperature=0),
                (),
                lambda event: loads.append((type(event), batcher.load[0])),
            )
        )
        batcher._turn()
    assert loads == [(Piece, crowd + 1), (Piece, crowd), (Done, crowd)]


def test_a_failure_at_the_first_token_is_told_to_the_caller(model: LlamaForCausalLM) -> None:
    """Its row is then in no batch yet. Nobody waits for ever."""

    def broken(ids: list[int]) -> str:
        raise MemoryError

    batcher = Batcher(model, broken, frozenset())
    batcher.start()
    assert Caller(batcher, [5, 6], 5).finish() == ("", Failed("out_of_memory"))
    assert batcher.load == (0, 0)
    batcher.close()


def test_a_cancelled_request_leaves_and_the_others_go_on(model: LlamaForCausalLM) -> None:
    """Its row goes before the next token; the rows that stay are not moved."""
    batcher = Batcher(model, _decode, frozenset(), slots=4)
    batcher.start()
    a, b = _prompts(2)
    gone, stays = Caller(batcher, a, 10_000), Caller(batcher, b, 60)
    gone.events.get(timeout=30)
    gone.job.cancel()
    assert stays.finish()[0] == _reference(model, b, 60, eos=99)
    last, _ = Caller(batcher, a, 1).finish()  # the thread has turned since, so it has left
    assert last == _reference(model, a, 1, eos=99)
    assert batcher.load == (0, 0)
    batcher.close()


def test_a_request_cancelled_while_its_prompt_is_read_leaves_the_others_intact(
    model: LlamaForCausalLM,
) -> None:
    """Prompts are read together in a padded block, which must be cut to those who stay."""
    batcher = Batcher(model, _decode, frozenset({EOS}), slots=4, chunk=8)
    long, short = list(range(2, 60)), [7, 8, 9]
    gone, stays = Caller(batcher, long, 5), Caller(batcher, short, 9)
    with torch.inference_mode():
        batcher._turn()  # one chunk of the block
        gone.job.cancel()
        for _ in range(40):
            batcher._turn()
    assert stays.finish()[0] == _reference(model, short, 9)
    assert gone.events.empty()


def test_a_full_queue_refuses_at_once(model: LlamaForCausalLM) -> None:
    """Bounded: the caller hears of it, instead of waiting without end."""
    batcher = Batcher(model, _decode, frozenset({EOS}), slots=1, waiting=2)
    for _ in range(2):
        Caller(batcher, [3], 1)
    with pytest.raises(Full):
        Caller(batcher, [3], 1)


def test_who_left_while_waiting_takes_no_room(model: LlamaForCausalLM) -> None:
    """Callers that give up and ask again would fill the queue with nobody."""
    batcher = Batcher(model, _decode, frozenset({EOS}), slots=1, waiting=2)
    stays, leaves = Caller(batcher, [3], 1), Caller(batcher, [3], 1)
    leaves.job.cancel()
    comes = Caller(batcher, [3], 1)
    with pytest.raises(Full):
        Caller(batcher, [3], 1)
    with torch.inference_mode():
        for _ in range(2):
            batcher._turn()
    assert [stays.finish()[1], comes.finish()[1]] == [Done("length", 1)] * 2
    assert leaves.events.empty()


def test_the_answers_of_one_request_are_taken_in_together_or_not_at_all(
    model: LlamaForCausalLM,
) -> None:
    """Half a request would take the room of a whole one, for nobody."""
    batcher = Batcher(model, _decode, frozenset({EOS}), slots=4, waiting=3)
    heard: queue.Queue[Event] = queue.Queue()
    three, two = (
        [Job([3], 1, Sampling(temperature=0), (), heard.put) for _ in range(n)] for n in (3, 2)
    )
    batcher.submit(*two)
    with pytest.raises(Full):
        batcher.submit(*two)
    assert batcher.load == (0, 2)
    with pytest.raises(Full):
        batcher.submit(*three)
    batcher.submit(two[0])
    assert batcher.load == (0, 3)
    with torch.inference_mode():
        batcher._turn()
    assert batcher.load == (0, 0)
    assert [type(heard.get_nowait()) for _ in range(6)] == [Piece, Done] * 3


def test_a_step_that_fails_ends_its_requests_and_not_the_engine(
    model: LlamaForCausalLM, batcher: Batcher, capfd: pytest.CaptureFixture[str]
) -> None:
    """A token id outside the vocabulary raises inside the model; the next request is answered,
    and the log names the place, without a message."""
    text, end = Caller(batcher, [9999], 3).finish()
    assert (text, end) == ("", Failed("engine_error"))
    assert Caller(batcher, [5, 6], 4).finish()[0] == _reference(model, [5, 6], 4)
    said = capfd.readouterr().err
    assert "generation failed: IndexError at " in said
    assert "9999" not in said


def test_a_request_that_cannot_be_taken_in_is_told_so(batcher: Batcher) -> None:
    """It is no longer in the queue and not yet in the batch: nobody else would tell its caller."""
    wrong = Caller(batcher, [3], 1, Sampling(seed=2**70))  # more than a generator takes
    assert wrong.finish()[1] == Failed("engine_error")
    assert Caller(batcher, [3], 1).finish()[1] == Done("length", 1)
    assert batcher.load == (0, 0)


def test_a_model_that_works_no_more_is_said_once_and_nobody_hangs(
    model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """oneDNN that was refused memory once refuses for ever: only another process helps."""
    said: queue.Queue[str] = queue.Queue()
    batcher = Batcher(model, _decode, frozenset({EOS}), slots=1, broken=lambda: said.put("broken"))

    def refuses(*_: object, **__: object) -> None:
        raise RuntimeError("could not create a primitive")

    monkeypatch.setattr(model, "forward", refuses)
    callers = [Caller(batcher, [3, 4], 5) for _ in range(2)]
    batcher.start()
    ends = [c.finish()[1] for c in callers]
    assert ends == [Failed("out_of_memory"), Failed("shutting_down")]
    assert said.get(timeout=30) == "broken"
    batcher.close()
    assert not batcher.alive
    assert said.empty()


def test_closing_tells_those_who_wait(model: LlamaForCausalLM) -> None:
    """Nobody hangs when the engine stops."""
    batcher = Batcher(model, _decode, frozenset(), slots=1)
    callers = [Caller(batcher, [3, 4], 100_000) for _ in range(3)]
    batcher.start()
    callers[0].events.get(timeout=30)
    batcher.close()
    assert [c.finish()[1] for c in callers] == [Failed("shutting_down")] * 3
    with pytest.raises(Full):
        Caller(batcher, [3], 1)
