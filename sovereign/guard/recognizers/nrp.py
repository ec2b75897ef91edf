"""Nationality, religion, politics and ethnic origin of a person (Article 9 GDPR in part), by word lists
of eight languages. A word alone says little ("French wine"), so it counts beside a label ("religion:
…") or beside a person ("a Kenyan patient", "is Catholic"). Runs only if the policy acts on NRP."""

# ruff: noqa: E501 - a list broken in two is two riddles

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from sovereign.types import Finding

__all__ = ["NrpRecognizer"]

_words = str.split
_NATIONS = _words(
    "afghan albanian algerian american angolan argentine argentinian armenian australian austrian azerbaijani bangladeshi belarusian "
    "belgian bolivian bosnian brazilian british bulgarian cambodian cameroonian canadian chilean chinese colombian congolese croatian "
    "cuban cypriot czech danish dominican dutch ecuadorian egyptian english eritrean estonian ethiopian filipino finnish french "
    "georgian german ghanaian greek guatemalan haitian honduran hungarian icelandic indian indonesian iranian iraqi irish israeli "
    "italian ivorian jamaican japanese jordanian kazakh kenyan korean kosovar kurdish kuwaiti latvian lebanese liberian libyan "
    "lithuanian macedonian malaysian malian mexican moldovan mongolian moroccan mozambican namibian nepali nepalese nigerian norwegian "
    "pakistani palestinian panamanian paraguayan peruvian polish portuguese romanian russian rwandan salvadoran saudi scottish senegalese "
    "serbian singaporean slovak slovenian somali spanish sudanese swedish swiss syrian taiwanese tamil tanzanian thai tunisian turkish "
    "ugandan ukrainian uruguayan uzbek venezuelan vietnamese welsh yemeni zambian zimbabwean roma sinti sami hispanic latino latina "
    "caucasian african-american afro-american asian-american "
    "deutsch(?:e[rnms]?)? türkisch(?:e[rnms]?)? türkin türke syrer(?:in)? pole polin russ(?:e|in) ukrainer(?:in)? österreicher(?:in)? schweizer(?:in)? "
    "italiener(?:in)? franzose französin spanier(?:in)? afghane afghanin iraker(?:in)? rumäne rumänin kroat(?:e|in) serb(?:e|in) grieche griechin kurd(?:e|in) "
    "français(?:e)? allemand(?:e)? algérien(?:ne)? marocain(?:e)? tunisien(?:ne)? belge suisse espagnol(?:e)? italien(?:ne)? portugais(?:e)? polonais(?:e)? russe turc turque syrien(?:ne)? "
    "sénégalais(?:e)? malien(?:ne)? ivoirien(?:ne)? camerounais(?:e)? haïtien(?:ne)? "
    "español(?:a)? alemán alemana francés francesa inglés inglesa marroquí ecuatorian[oa] colombian[oa] peruan[oa] mexican[oa] argentin[oa] chilen[oa] cuban[oa] bolivian[oa] "
    "venezolan[oa] rumano rumana ucranian[oa] portugués portuguesa dominican[oa] paraguay[oa] hondureñ[oa] subsaharian[oa] senegalés gitan[oa] "
    "italian[oa] tedesc[oa] albanese marocchin[oa] rumen[oa] ucrain[oa] cinese nigerian[oa] tunisin[oa] brasilian[oa] "
    "português portuguesa brasileir[oa] angolan[oa] moçambican[oa] cabo-verdian[oa] "
    "nederlander nederlandse marokkaan(?:se)? turk(?:se)? surinaamse? syrische pool poolse duitse? belgische? "
    "polak polka ukrainiec ukrainka niemiec niemka białorusin(?:ka)? rosjanin rosjanka wietnamczyk "
    "svensk norsk dansk finsk islandsk somalisk syrisk "
)
_FAITHS = _words(
    "muslim moslem sunni shia shiite alevi ahmadi christian catholic protestant orthodox evangelical baptist methodist lutheran presbyterian "
    "pentecostal mormon adventist quaker jewish jew hindu sikh buddhist taoist jain bahá.í zoroastrian atheist agnostic jehovah.s\\switness "
    "muslim(?:in|isch)? katholisch protestantisch evangelisch jüdisch konfessionslos christlich orthodox "
    "musulman(?:e)? catholique protestant(?:e)? juif juive chrétien(?:ne)? bouddhiste hindou(?:e)? athée "
    "musulmán musulmana católic[oa] evangélic[oa] judí[oa] cristian[oa] budista hinduista ate[oa] testigo\\sde\\sjehová "
    "musulman[oa] cattolic[oa] protestante ebre[oa] buddista induista "
    "muçulman[oa] judeu judia evangélic[oa] "
    "moslim katholiek protestants joods boeddhist hindoeïstisch "
    "muzułmanin muzułmanka katolik katoliczka prawosławn[ya] żyd żydówka ewangelik "
    "muslimsk katolsk judisk kristen "
)
_POLITICS = _words(
    "republican democrat communist socialist conservative liberal libertarian labour tory green anarchist marxist trotskyist nationalist "
    "sozialdemokrat(?:in)? christdemokrat(?:in)? kommunist(?:in)? linke grüne liberale[r]? gewerkschaft(?:er|erin|smitglied) "
    "socialista comunista conservador(?:a)? republican[oa] sindicalista syndicaliste communiste socialiste centriste écologiste "
    "trade[\\s-]unionist unionist"
)
_NATION = "|".join(sorted(set(_NATIONS), key=len, reverse=True))
_BELIEF = "|".join(sorted({*_FAITHS, *_POLITICS}, key=len, reverse=True))
_ANY = f"(?:{_NATION}|{_BELIEF})"
_PERSON = (
    r"(?:m[ae]n|wom[ae]n|boy|girl|male|female|patient|client|claimant|applicant|national|citizen|subject|origin|descent|nationality|ancestry|ethnicity|heritage|born|"
    r"immigrant|refugee|migrant|passport|family|father|mother|parents?|husband|wife|couple|employee|student|voter|party|convert|believer|"
    r"herr|frau|mann|staatsbürger(?:in|schaft)?|staatsangehörig\w*|patient(?:in)?|herkunft|homme|femme|origine|citoyen(?:ne)?|varón|mujer|hombre|paciente|origen|"
    r"donna|uomo|paziente|origini|homem|mulher|origem|vrouw|patiënt|afkomst|kobieta|mężczyzna|pacjent(?:ka)?|pochodzenia)"
)
_LABEL = (
    r"(?:nationality|citizenship|religion|religious\saffiliation|faith|denomination|ethnicity|ethnic\s(?:origin|group)|race|political\s(?:party|affiliation|views?)|party|trade\sunion|"
    r"staatsangehörigkeit|nationalität|konfession|religionszugehörigkeit|parteizugehörigkeit|nationalité|confession|appartenance\s(?:religieuse|politique|syndicale)|origine\sethnique|"
    r"nacionalidad|religión|confesión|afiliación\s(?:política|sindical)|etnia|raza|nazionalità|cittadinanza|religione|nacionalidade|religião|nationaliteit|godsdienst|geloof|"
    r"narodowość|obywatelstwo|wyznanie|nationalitet|medborgarskap|trossamfund|kansalaisuus|uskonto|гражданство|национальность|вероисповедание|国籍|宗教)"
)
_LABELLED = re.compile(
    rf"(?<![^\W_]){_LABEL}[\"']?\s?(?:[:=：|\t]|\sis\s|\sist\s|\ses\s|\sest\s)\s{{0,3}}[\"']?(?P<v>[^\W\d_][\w’' -]{{1,40}}?)(?=[\"',.;:|\n<(]|\s(?:and|und|et|y|e|i)\s|$)",
    re.IGNORECASE,
)
_BESIDE = re.compile(
    rf"(?<![\w-])(?P<v>{_ANY})(?![\w-])(?=[\s-]{{1,2}}(?:\w{{2,14}}\s)?{_PERSON}(?!\w))",
    re.IGNORECASE,
)
_AFTER = re.compile(
    rf"(?<![\w-]){_PERSON}[\s,]{{1,3}}(?:(?:of|de|d['’]|di|von|van|with|nato|nata|raza)\s?)?(?P<v>{_ANY})(?![\w-])",
    re.IGNORECASE,
)
_IS = re.compile(
    r"(?<!\w)(?:(?:he|she|they|i|we|who|patient|client|er|sie|ich|il|elle|ella|él)\s(?:is|am|are|was|were|ist|bin|war|est|était|es|era|è)|i'm|he's|she's|soy|sono|je\ssuis)\s"
    rf"(?:an?\s|ein[e]?\s|une?\s|una?\s)?(?:(?:devout|practi[sc]ing|strict|lapsed|registered|committed|gläubige[r]?)\s)?(?P<v>{_ANY})(?![\w-])",
    re.IGNORECASE,
)
_FORMS = (("label", _LABELLED), ("person", _BESIDE), ("person", _AFTER), ("said", _IS))
_STEM = re.compile(rf"(?<![^\W_])(?:{_LABEL}|{_ANY})", re.IGNORECASE)


class NrpRecognizer:
    """Finds NRP. Its findings name the form that showed it."""

    name = "nrp"
    quick = True

    def __init__(self) -> None:
        text = "\n".join(p.pattern for _, p in _FORMS)
        self.build = hashlib.sha256(text.encode()).hexdigest()

    def recognize(self, text: str) -> Sequence[Finding]:
        """Where somebody's origin, faith or party is written. Only around words of the lists: so
        its time is linear in the text."""
        found: dict[tuple[int, int], Finding] = {}
        done = 0
        for stem in _STEM.finditer(text):
            begin, end = max(done, stem.start() - 60), min(len(text), stem.end() + 80)
            for form, pattern in _FORMS:
                for match in pattern.finditer(text, begin, end):
                    span = match.span("v")
                    found.setdefault(span, Finding((), *span, "NRP", 0.7, f"nrp:{form}"))
            done = max(done, stem.start() - 60)
        return list(found.values())
