"""OCR engines on generated pictures: how many identifiers each reads, and what it costs.

Pictures are made here from invented people: printed letters, screens, and photographs of letters
taken at an angle, blurred, noisy and unevenly lit. An identifier counts as read if its letters and
digits stand side by side in the text, in any case. What is not read is not guarded: this is the
figure that matters, before the rate of wrong characters.
"""

from __future__ import annotations

import argparse
import difflib
import io
import random
import re
import resource
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from sovereign.guard.documents import ocr

FONTS = Path("/usr/share/fonts/truetype")
PRINT = ["liberation/LiberationSerif-Regular.ttf", "liberation/LiberationSans-Regular.ttf"]
SCREEN = ["dejavu/DejaVuSans.ttf", "dejavu/DejaVuSansMono.ttf"]
_words = str.split  # a list of words is easier to read as one string
FIRST = _words("Maria Ahmed Ingrid Tomás Chiara Kwame Yuki Bogdan Leila Seán")
LAST = _words("Keller Hassan Lindqvist Ferreira Moretti Mensah Tanaka Ionescu Haddad Byrne")


def person(rng: random.Random) -> dict[str, str]:
    first, last = rng.choice(FIRST), rng.choice(LAST)
    number = rng.randrange
    return {
        "name": f"{first} {last}",
        "ssn": f"{number(100, 665)}-{number(10, 99)}-{number(1000, 9999)}",
        "mrn": f"{number(10**7, 10**8)}",
        "mail": f"{first}.{last}@northvale.example".lower(),
        "phone": f"+1 212 555 {number(1000, 9999)}",
        "street": f"{number(1, 200)} Harbour Street",
    }


def letter(p: dict[str, str]) -> list[str]:
    return [
        "Northvale General Hospital, Department of Cardiology",
        "",
        f"Patient: {p['name']}",
        f"MRN {p['mrn']}    SSN {p['ssn']}",
        f"Address: {p['street']}, Northvale",
        "",
        "Thank you for referring this patient, who was seen on the ward",
        "last week with palpitations. The recording showed short runs of",
        "atrial ectopy and nothing worse. We started a low dose of",
        "bisoprolol and will see the patient again in six weeks.",
        "",
        f"Please call {p['phone']} or write to {p['mail']}",
        "with any question about the treatment.",
    ]


def page(lines: list[str], font: str, size: int, ink: str, paper: str) -> Image.Image:
    face = ImageFont.truetype(str(FONTS / font), size)
    wide = max(int(face.getlength(line)) for line in lines) + 4 * size
    picture = Image.new("RGB", (wide, int(len(lines) * size * 1.5) + 4 * size), paper)
    draw = ImageDraw.Draw(picture)
    for i, line in enumerate(lines):
        draw.text((2 * size, 2 * size + i * size * 1.5), line, font=face, fill=ink)
    return picture


def scan(rng: random.Random, lines: list[str]) -> Image.Image:
    return page(lines, rng.choice(PRINT), rng.choice((24, 30, 36)), "#111", "#fdfdfa")


def screen(rng: random.Random, lines: list[str]) -> Image.Image:
    ink, paper = rng.choice([("#222", "#fff"), ("#ddd", "#1e1e1e"), ("#fff", "#2a5db0")])
    return page(lines, rng.choice(SCREEN), rng.choice((12, 14, 16)), ink, paper)


def photo(rng: random.Random, lines: list[str]) -> Image.Image:
    flat = page(lines, rng.choice(PRINT), 34, "#222", "#f4f1e8")
    w, h = flat.size
    table = Image.new("RGB", (w + 200, h + 200), "#6b5a48")
    table.paste(flat, (100, 100))
    table = table.rotate(rng.uniform(-6, 6), Image.Resampling.BICUBIC, fillcolor="#6b5a48")
    w, h = table.size

    def jitter() -> float:
        return rng.uniform(0, 0.05)

    quad = (
        w * jitter(), h * jitter(), w * jitter(), h * (1 - jitter()),
        w * (1 - jitter()), h * (1 - jitter()), w * (1 - jitter()), h * jitter(),
    )  # fmt: skip
    table = table.transform((w, h), Image.Transform.QUAD, quad, Image.Resampling.BICUBIC)
    table = table.filter(ImageFilter.GaussianBlur(rng.uniform(0.6, 1.4)))
    light = np.linspace(rng.uniform(0.45, 0.7), 1.0, w)[None, :, None]
    noise = np.random.default_rng(rng.randrange(1 << 30)).normal(0, 9, (h, w, 3))
    shot = Image.fromarray(np.clip(np.asarray(table) * light + noise, 0, 255).astype("uint8"))
    out = io.BytesIO()
    shot.save(out, "JPEG", quality=60)
    return Image.open(out).convert("RGB")


def plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text).lower()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=20, help="of each kind")
    parser.add_argument("--engines", nargs="*", default=["rapidocr", "tesseract"])
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--save", type=Path, help="a folder for the first picture of each kind")
    given = parser.parse_args()
    print(f"{'engine':10} {'kind':7} {'read':>12} {'by kind of identifier':48} wrong  CPU-s wall-s")
    for name in given.engines:
        engine = ocr.engine(name)
        for kind, make in (("scan", scan), ("screen", screen), ("photo", photo)):
            rng = random.Random(given.seed)
            found: dict[str, int] = {}
            wrong = 0.0
            cpu = wall = 0.0
            for i in range(given.pictures):
                p = person(rng)
                lines = letter(p)
                picture = make(rng, lines)
                if given.save and i == 0:
                    picture.save(given.save / f"{kind}.png")
                before, at = usage(), time.perf_counter()
                text = "\n".join(line.text for line in engine.lines(picture))
                cpu, wall = cpu + usage() - before, wall + time.perf_counter() - at
                for what, value in p.items():
                    found[what] = found.get(what, 0) + (plain(value) in plain(text))
                whole = "\n".join(filter(None, lines))
                wrong += 1 - difflib.SequenceMatcher(None, whole, text, autojunk=False).ratio()
            n = given.pictures
            each = " ".join(f"{k} {v}" for k, v in found.items())
            read = f"{sum(found.values())} of {len(found) * n}"
            print(
                f"{name:10} {kind:7} {read:>12} {each:48} {wrong / n:5.1%} "
                f"{cpu / n:6.2f} {wall / n:6.2f}",
                flush=True,
            )


def usage() -> float:
    """CPU seconds of this process and of those it waited for."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, who))


if __name__ == "__main__":
    main()
