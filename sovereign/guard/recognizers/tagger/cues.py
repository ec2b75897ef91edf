"""Words that speak of a person, right beside a name: "says Keller", "my son Yaron", "the Keller
case". In a short text they are all that tells a name from a thing.

In English, German, French, Spanish, Italian, Portuguese and Dutch. A cue finds nothing by itself;
it says how much less sure the network has to be.
"""

from __future__ import annotations

import re

__all__ = ["beside"]

_words = str.split

_SAID = _words(
    "says said asks asked replies replied answers explains explained recalls recalled adds writes "
    "wrote told tells sagt sagte meint erklärt erklärte dit explique dice dijo afirma disse "
    "zegt zei"
)
_KIN = _words(
    "son daughter kid child wife husband mother father mom mum dad brother sister uncle aunt "
    "cousin nephew niece grandson granddaughter grandmother grandfather grandma grandpa fiancé "
    "fiancée boyfriend girlfriend friend boss colleague coworker neighbor neighbour roommate "
    "landlord tenant teacher student client patient doctor nurse therapist lawyer "
    "Sohn Tochter Frau Mann Mutter Vater Bruder Schwester Onkel Tante Cousin Cousine Neffe Nichte "
    "Oma Opa Freund Freundin Chef Chefin Kollege Kollegin Nachbar Nachbarin Patient Patientin "
    "fils fille femme mari mère père frère sœur oncle tante ami amie collègue voisin voisine "
    "hijo hija esposa esposo marido mujer madre padre hermano hermana tío tía primo prima amigo "
    "amiga jefe jefa vecino vecina paciente figlio figlia moglie marito fratello sorella zio zia "
    "cugino cugina amico amica collega filho filha mãe pai irmão irmã tio tia zoon dochter vrouw "
    "man moeder vader broer zus oom vriend vriendin buurman buurvrouw"
)
_MINE = _words(
    "my our your his her their mein meine meinen meinem meiner unser unsere ihr ihre sein seine "
    "mon ma mes notre son sa mi mis tu nuestro nuestra su mio mia meu minha mijn onze zijn haar"
)
_OF_ONE = _words(
    "novel novels memoir memoirs biography autobiography trilogy poem poems painting portrait "
    "family household estate siblings brothers sisters twins couple wedding funeral trial case "
    "file account appointment chart referral interview"
)
_WITH = _words(
    "began lives lived died married works worked told says said writes wrote explained recalled"
)


def _any(words: list[str]) -> str:
    return "(?:" + "|".join(words) + ")"


_BEFORE = re.compile(rf"(?:(?<!\w){_any(_SAID)}|(?<!\w)(?i:{_any(_MINE)}) {_any(_KIN)}),? \Z")
_AFTER = re.compile(rf"(?:,[^,.\n]{{3,40}},)? {_any(_WITH)}(?!\w)|['’]s? {_any(_KIN)}(?!\w)")
_BETWEEN = re.compile(r"(?<!\w)[Tt]he \Z")
_THING = re.compile(rf" {_any(_OF_ONE)}(?!\w)")
_FAR = 32


def beside(text: str, start: int, end: int) -> bool:
    """Whether a cue stands right before or after ``text[start:end]``."""
    before = text[max(0, start - _FAR) : start]
    if _BEFORE.search(before) or _AFTER.match(text, end):
        return True
    return _BETWEEN.search(before) is not None and _THING.match(text, end) is not None
