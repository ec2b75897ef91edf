"""Writes the names that realistic stand-ins are made of.

    scripts/make_standin_names.py DATA     DATA: the folder with gazetteers/ and ner_train/

A stand-in must not be an ordinary word: "Will Rose" restored in a reply would change other words.
So names that the training texts also write in lower case are left out, and all but plain ASCII.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "sovereign" / "guard" / "standins" / "names.txt"
SURNAMES = 3000
HEAD = """\
# Names for stand-ins: f and m given names, s surnames. Made by scripts/make_standin_names.py.
# Given names: sigpwned/popular-names-by-country-dataset (CC0 1.0). Surnames: the same, and the US
# Census of 1990 (public domain).
# A mark + before a given name: only to know its gender by, never given out.
"""


def main(data: Path) -> None:
    """Write the file."""
    words = ordinary(data / "ner_train")
    gender: dict[str, set[str]] = {}
    for name, _country, sex in rows(data / "gazetteers" / "first_names_by_country.txt.gz"):
        gender.setdefault(name, set()).add(sex.lower())
    lines = []
    given = set()
    for name in sorted(gender):
        if len(gender[name]) == 1 and name.isalpha():
            mark = "" if plain(name, words) else "+"
            lines.append(f"{min(gender[name])} {mark}{name}")
            given.add(name)
    every = [r[0] for r in rows(data / "gazetteers" / "surnames_by_country.txt.gz")]
    every += [r[0] for r in rows(data / "gazetteers" / "surnames_us_census1990.txt.gz")]
    surnames = list(dict.fromkeys(n for n in every if plain(n, words) and n not in given))
    lines += [f"s {name}" for name in sorted(surnames[:SURNAMES])]
    OUT.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    kinds = {kind: sum(x.startswith(kind + " ") and "+" not in x for x in lines) for kind in "fms"}
    print(f"{OUT}: {kinds}")


def plain(name: str, words: set[str]) -> bool:
    """Whether ``name`` is fit to be given out."""
    return bool(re.fullmatch(r"[A-Z][a-z]{4,9}", name)) and name.lower() not in words


def ordinary(folder: Path) -> set[str]:
    """Words that the texts write in lower case."""
    found: set[str] = set()
    for file in sorted(folder.glob("*/*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                found.update(re.findall(r"(?<![\w@#.])[a-z]{3,12}(?!\w)", json.loads(line)["text"]))
    return found


def rows(file: Path) -> Iterator[list[str]]:
    """The fields of each line that is no comment."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("#"):
                yield line.rstrip("\n").split("\t")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
