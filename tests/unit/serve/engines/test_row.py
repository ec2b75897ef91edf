"""A row turns tokens into events: text that is safe, and each token's score with its text."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from sovereign.serve.engines.row import Done, Event, Failed, Job, Piece, Row
from sovereign.serve.engines.sampling import Sampling

LETTERS = "abcdefghij"
EOS = len(LETTERS)


def _logits(token: int) -> torch.Tensor:
    line = torch.zeros(EOS + 1)
    line[token] = 9
    return line


def _decode(ids: list[int]) -> str:
    return "".join(LETTERS[i] for i in ids)


def _run(tokens: list[int], stop: tuple[str, ...], limit: int) -> list[Event]:
    heard: list[Event] = []
    job = Job([], limit, Sampling(temperature=0), stop, heard.append, logprobs=2)
    row = Row(job, _decode)
    for token in tokens:
        more = row.draw(_logits(token), frozenset({EOS}))
        row.tell()
        if not more:
            break
    return heard


@given(
    st.lists(st.integers(0, EOS), min_size=1, max_size=30),
    st.lists(st.text(LETTERS[:3], min_size=1, max_size=3), max_size=3),
    st.integers(1, 30),
)
def test_the_scores_that_go_out_are_of_the_text_that_goes_out(
    tokens: list[int], stops: list[str], limit: int
) -> None:
    """Here a token is a letter: their sequence is the text, with stop strings, limits and ends."""
    heard = _run(tokens, tuple(stops), limit)
    text = "".join(e.text for e in heard if isinstance(e, Piece))
    scored = [s for e in heard if isinstance(e, Piece) for s in e.tokens]
    ended = isinstance(heard[-1], Done) if heard else False
    letters = "".join(LETTERS[s.token] for s in scored)
    assert letters == text if ended else text.startswith(letters)
    assert all(s.logprob < 0 and len(s.top) == 2 and s.top[0][0] == s.token for s in scored)


def test_penalties_and_bias_move_what_is_drawn_and_not_what_is_told() -> None:
    """OpenAI's formula: the logit less the count times one, less the other once."""
    heard: list[Event] = []
    sampling = Sampling(
        temperature=0, frequency_penalty=1.0, presence_penalty=0.5, bias=((2, 8.2),)
    )
    row = Row(Job([], 9, sampling, (), heard.append, logprobs=0), _decode)
    # 9 for a, and 8.2 for c by its bias: a, then a loses 1.5, then c does, then a has lost 2.5 …
    for _ in range(4):
        row.draw(_logits(0), frozenset({EOS}))
    row.tell()
    scored = [s for e in heard if isinstance(e, Piece) for s in e.tokens]
    assert [s.token for s in scored] == [0, 2, 0, 2]
    assert scored[0].logprob == scored[2].logprob > scored[1].logprob == scored[3].logprob


class _Breaks:
    """A grammar that meets its own limit."""

    def mask(self) -> torch.Tensor:
        from sovereign.serve.engines.constrain import Broken

        raise Broken


def test_a_grammar_that_breaks_ends_its_own_answer_only() -> None:
    """As a failure that says so, not as text that nothing holds any more."""
    heard: list[Event] = []
    job = Job([], 9, Sampling(), (), heard.append)
    job.constraint = _Breaks()  # type: ignore[assignment]
    row = Row(job, _decode)
    assert not row.draw(_logits(0), frozenset({EOS}))
    row.tell()
    assert heard == [Failed("grammar_failed")]


def test_no_text_is_in_a_repr() -> None:
    """Events and jobs turn up in tracebacks."""
    assert "secret" not in repr(Piece("secret"))
    assert "secret" not in repr(Job([1], 1, Sampling(), ("secret",), [].append))
