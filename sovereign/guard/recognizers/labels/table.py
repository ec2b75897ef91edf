"""The table of labels: which words before a value say what it is, in several languages."""

# ruff: noqa: E501 - a pattern broken in two is two riddles

from __future__ import annotations

import re
from dataclasses import dataclass

from sovereign.guard.recognizers.labels.languages import LATIN, SCRIPTS, WEAK

__all__ = ["LABELS", "NOT_NAMES", "TITLED", "TITLES", "Label"]

_ID = r"(?=[A-Za-z./\-#]{0,12}\d)[A-Za-z0-9](?:[A-Za-z0-9./\-]{1,34}[A-Za-z0-9])"
_SPACED = r"\d{2,8}(?:[ .\-/]\d{1,6}){1,5}(?: [A-Z]{2}\d\b)?"
_MONTH = (
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Mai|Okt|Dez|Mär|janv|févr|mars|avr|juin|juil|"
    r"août|ene|abr|ago|dic|genn|magg|giu|lugl|ott)[\wéû]*\.?"
)
_DATE = (
    r"\d{1,4}[./\-]\d{1,2}[./\-]\d{1,4}"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.|er)?\s(?:de\s)?{_MONTH},?\s(?:de\s)?\d{{2,4}}"
    rf"|{_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?,?\s\d{{2,4}}|(?:19|20)\d{{6}}"
    r"|(?:[昭平令]\w)?\d{1,4}年\d{1,2}月\d{1,2}日"
)
_UP = r"[A-ZÀ-ÖØ-ÞĀ-ŽΑ-ΩА-Я]"
_REST = r"(?:['’.\-]?[^\W\d_])*"
_NAME = rf"{_UP}{_REST}\.?(?:,? (?:(?:van|von|de|der|den|del|di|da|la|le|bin|ibn|al|el) ){{0,2}}{_UP}{_REST}\.?){{0,4}}"
NOT_NAMES = re.compile(
    r"(?:None|True|False|Null|String|Str|Text|Integer|Number|Object|Array|List|Optional|Any|Name|Value|Unknown|N/A|[A-Z_]{2,}_[A-Z_]*|"
    r"The|An?|This|That|These|If|When|Whether|For|In|On|Of|To|And|Or|Is|Are|Not|No|Yes|All|Each|Id|ID|Type|Key|Title|Date|Default|Test|Foo|Bar|Error|"
    r"Please|See|Set|Get|Use|Used|Must|Should|Returns?|class|func|function|method|attr|[A-Z][a-z]{3,}[A-Z][a-z]\w*|\w(?!\w|\.))\b"
)
_SEP = r"(?:\.(?=[\s\d]))?[\"']?\s{0,3}(?:\(\w{1,12}\)\s?)?(?:is|was|are|ist|est|es|=>|:=|[:=#：]|-|–|(?<=[\w\"])>(?=[^\s<]))?\s{0,3}[\"'(#]?\s{0,2}"
_NO = (
    r"(?:[\s_\-]{0,2}(?:(?:no|num|number|nr|nro|numero|número|numéro|nummer|numer|id|code|sz[áa]ma?|[čc][íi]slo|s[ốo])\b\.?"
    r"|n\.?[°º]\.?|n\.o\b\.?|n\.(?=\s)|#|№)){0,2}"
)

_COMPOUND = r"(?:e?n|s)?(?:nummer|number|numero|nr|no|id)?"
"""What German and its neighbours, and programmers, write in one word with the label."""


@dataclass(frozen=True, slots=True)
class Label:
    """``words`` before ``value`` make it an ``entity``."""

    entity: str
    words: str
    value: str
    score: float = 0.85
    strict: bool = False
    """Whether the separator must be there: words that also stand in plain sentences."""
    fold: bool = True

    @property
    def digits(self) -> bool:
        """Whether every value has one: without any in the text there is nothing to look for."""
        return self.entity not in ("PERSON", "USERNAME", "SECRET")

    def pattern(self) -> re.Pattern[str]:
        """The label in any case, then the value."""
        separator = (
            r"[\"']?\s{0,3}(?:\bis\b\s?)?(?:=>|:=|[:=：]|(?<=is\s)|(?<=\w)>(?=[^\s<]))\s{0,3}[\"']?"
            if self.strict
            else _SEP
        )
        label = rf"(?i:(?<![A-Za-z0-9])(?:{self.words}){'' if self.strict else _COMPOUND}(?-i:(?![a-z])){'' if self.strict else _NO}{separator})"
        value = f"(?i:{self.value})" if self.fold else self.value
        return re.compile(rf"{label}(?P<v>{value})(?![A-Za-z0-9])")


_GROUPED = r"(?-i:[A-Z]{1,4})[ \-]\d{2,6}(?:[ .\-/]\d{1,6}){0,4}"
_ANY_ID = f"(?:{_GROUPED}|{_SPACED}|{_ID})"
_LONG_ID = r"(?=(?:[A-Za-z\-]{0,6}\d){3})[A-Za-z0-9][A-Za-z0-9\-]{3,20}[A-Za-z0-9]"
"""For words that also stand before small numbers: five characters, three digits."""

_STREET = (
    rf"\d{{1,6}}\s(?:{_UP}|\d)[^\n,;]{{2,50}}|(?:{_UP}|calle\s|rua\s|rue\s|via\s|ulica\s|ul\.\s?)[^\W\d_]*\.?"
    r"(?:\s[\w.’'-]{1,20}){0,5},?\s(?:n\.?[º°o]\s?)?\d{1,5}[a-z]?\b"
)
_PLATE = (
    r"(?=[A-Z京津沪渝\-. ]{0,6}\d|\d)(?:[A-Z京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼]{1,3}[ \-.]?)?[A-Z0-9]{1,5}"
    r"(?:[ \-.][A-Z0-9]{1,5}){0,2}"
)
_PLATES = (
    r"(?:licen[sc]e|number|car|vehicle|veh)[\s]plate|plate|tags?|(?:vehicle|car|veh|driving|van|truck),?[\s]reg(?:istration)?(?:[\s](?:no|number|plate|mark))?\.?|reg(?:istration)?(?:[\s](?:no|number|plate|mark))?\.?|vrm|"
    r"(?:kfz[\s\-]?)?kennzeichen|nummernschild|immatriculation|plaque(?:[\s]d.immatriculation)?|matr[íi]cula|placas?|patente|targa|kenteken|"
    r"(?:numer|nr|tablica)[\s]rej(?:estracyjn[ya]|\.)|rejestracja|registreringsnummer|reg\.?nr|nummerplade|rekisteri(?:numero|tunnus)|spz|rendsz[áa]m|plaka|"
    r"bi[ểe]n[\s]s[ốo]|nopol"
)
_FLEET = (
    r"fahrzeug|pkw|lkw|kfz|auto|wagen|transporter|motorrad|anh[äa]nger|v[ée]hicule|voiture|camion"
)
_BY_FORM = r"[A-ZÄÖÜ]{1,3}-[A-ZÄÖÜ]{1,2}[ \-]?\d{1,4}[EH]?|[A-Z]{2}-\d{3}-[A-Z]{2}"
"""Words that stand before much, so only before plates of Germany's and France's form."""

_TOWN = r"[^\d\n,;.]{2,30}"
_CASE = (
    r"(?:[IVX]{1,5}|\d{1,3})[ .](?:[A-Z][A-Za-z]{0,3})[ .]\d{1,6}/\d{2,4}"
    r"|(?=[^\n]{0,10}\d)(?:(?:[A-Z0-9]{1,6}|cv|cr|civ|mj)[:\-/. ]){0,3}[A-Z0-9\-/]{3,20}\d(?:\.[A-Z0-9]{3,10})?"
)
_SAID = r"(?=[\w.\-#@]{3})(?=[\d._\-#@]{0,20}[A-Za-z])(?:[\w\-]{0,20}(?:[._#@]\w|\d)[\w.\-#]{0,30}|@[\w.\-]{3,32})"
"""A handle that is no plain word."""

_OTHER_ID = r"(?=[A-ZА-ЯΑ-Ω一-鿿.\-/№]{0,8}\d)[A-ZА-ЯΑ-Ω0-9](?:[A-ZА-ЯΑ-Ω0-9./\-]| (?=\d)){2,30}[A-ZА-ЯΑ-Ω0-9]"
LABELS: tuple[Label, ...] = (
    Label(
        "MEDICAL_RECORD_NUMBER",
        r"mrn|med(?:ical)?\.?[\s_]rec(?:ord)?|medical[\s_]record|chart|hospital|patient(?:en)?[\s_\-]?(?:id|"
        r"nr|nummer|number|identifier|no)|patient|pat\.?-?(?:id|nr)|encounter|visit|accession|specimen|"
        r"fallnummer|fall-nr|nhc|historia[\s_]cl[ií]nica|dossier|ipp|cartella(?:[\s]clinica)?|pati[ëe]ntnummer|episodio|"
        r"kartoteka|journalnummer|journalnr",
        _ANY_ID,
    ),
    Label(
        "MEMBER_ID",
        r"member(?:ship)?|subscriber|beneficiary|insurance|insured|mitglied(?:s)?|versicherten|versicherungs|"
        r"krankenversicherungs?|polisnummer|verzekerdennummer|lidnummer|vs-nr|nass|nuss|n[úu]mero[\s]de[\s]afiliaci[óo]n|afiliad[oa]|asegurad[oa]|adh[ée]rent|assur[ée]|group|medicaid|medicare",
        _ANY_ID,
    ),
    Label("POLICY_NUMBER", r"policy|police|polizza|p[óo]liza|policen|versicherungsschein", _ANY_ID),
    Label("CLAIM_NUMBER", r"claim|schaden(?:s)?|sinistre|siniestro|sinistro", _ANY_ID),
    Label(
        "ACCOUNT_NUMBER",
        r"account|acct|a/c|konto(?:nummer)?|kontonr|cuenta|compte|conto|rekening|loan|iban|sort[\s_]code|"
        r"customer|client|cust|kunden(?:nr|nummer)?|kd\.?[\s\-]{0,1}(?:nr|nummer)|klant(?:nr|nummer)?|kunde(?:nr|nummer)|asiakas(?:numero)?|kundnummer|"
        r"num[ée]ro[\s]client|codice[\s]cliente|nr[\s]klienta|cliente|debtor|borrower|mandate|wire|portfolio",
        _ANY_ID,
    ),
    Label(
        "ACCOUNT_NUMBER",
        r"(?:account|acct|card|konto)[\s\w]{0,12}(?:ending|ends|endend|endet)(?:[\s]{1,2}(?:in|with|auf))?",
        r"[x*]{0,12}\d{3,6}",
    ),
    Label(
        "CASE_NUMBER",
        r"case|docket|cause|file|matter|ref(?:erence)?|aktenzeichen|az\.?|gesch\.?-?z\.?|expediente|dossier|"
        r"complaint|application|petition|warrant|permit|receipt|alien|a-number|booking",
        _CASE,
        fold=False,
    ),
    Label("CASE_NUMBER", LATIN["CASE_NUMBER"], _CASE, fold=False),
    Label(
        "CASE_NUMBER",
        r"re|regarding|betr(?:eff|ifft)?|concerne|asunto|oggetto|betreft|dotyczy",
        r"(?=[A-Z0-9\-/]{0,6}\d{4})[A-Z0-9][A-Z0-9\-/]{4,24}[A-Z0-9]",
        fold=False,
    ),
    Label(
        "EMPLOYEE_ID",
        r"(?:case|social|key|eligibility|support|shift)[\s]?worker|worker|sachbearbeiter(?:in)?|adjuster|examiner|interviewer|inspector|technician|operator|clerk|assessor",
        _LONG_ID,
    ),
    Label("VEHICLE_ID", _PLATES, _PLATE, fold=False),
    Label("VEHICLE_ID", _FLEET, _BY_FORM, fold=False),
    Label(
        "IDENTIFIER",
        r"id|identifier|identifiant|identificador|kennung|identyfikator",
        r"(?=[A-Z0-9\-]{0,10}\d)(?=(?:[A-Z\-]*\d){3})[A-Z0-9][A-Z0-9\-]{4,30}[A-Z0-9]",
        0.6,
        fold=False,
    ),
    Label(
        "PIN",
        r"(?:one[\s\-]time|verification|security|login|sms|confirmation|mfa|auth(?:entication)?|unlock)[\s_\-](?:code|pass(?:word|code)|pin)|otp|"
        r"einmal(?:code|passwort|pin)|best[äa]tigungscode|tan|code[\s]de[\s](?:v[ée]rification|s[ée]curit[ée])|c[óo]digo[\s]de[\s](?:verificaci[óo]n|verifica[çc][ãa]o|seguridad)|"
        r"codice[\s]di[\s]verifica|verificatiecode|kod[\s]weryfikacyjny|engangskode|eng[åa]ngskod",
        r"\d{4,8}|\d{3}[ \-]\d{3}",
        0.85,
    ),
    Label(
        "USERNAME",
        r"discord|telegram|skype|snapchat|snap|instagram|insta|ig|twitter|tiktok|wechat|signal|steam|xbox|psn|github|gamertag|social|"
        r"identifiant|utilisateur|usuario|utente|gebruikersnaam|gebruiker|u[żz]ytkownik|anv[äa]ndarnamn|brugernavn|brukernavn|k[äa]ytt[äa]j[äa]tunnus|u[žz]ivatel|felhaszn[áa]l[óo]|kullan[ıi]c[ıi]|"
        r"analyst|agent|assignee|reviewer|(?:created|updated|modified|assigned|opened|closed|approved)[\s_](?:by|to)|owner",
        _SAID,
        0.7,
        strict=True,
    ),
    Label(
        "EMPLOYEE_ID",
        r"employee|emp|staff|personnel|personal|badge|mitarbeiter|empleado|matricule|payroll|officer",
        _ANY_ID,
    ),
    Label("US_SSN", r"ssn|social[\s_]security|social", r"\d{3}[ .\-/]?\d{2}[ .\-/]?\d{4}"),
    Label(
        "IDENTIFIER",
        r"passport(?:[\s_](?:no|number|nr))?|paspoort|paszport\w{0,3}|passaporto|reisepass(?:nummer)?|dow[óo]d\w{0,2}|"
        r"n[ºo°]?\.?[\s]?col(?:egiado)?|colegiado|driver(?:[\s']{0,2}s)?[\s]licen[sc]e|"
        r"f[üu]hrerschein(?:nummer)?|rijbewijs(?:nummer)?|patente|permis[\s]de[\s]conduire|prawo[\s]jazdy|regon|nip|oib|egn|cnp|"
        r"pasaporte|passeport|ssn|social(?:[\s_]security)?|tin|tax(?:payer)?|steuer|nif|nie|"
        r"dni|bsn|nino|nhs|npi|dea|licen[sc]e|licen[sc]e[\s_]plate|plate|vin|student|national[\s_]id|nric|"
        r"personnummer|cpr|f[øo]dselsnummer|ahv|svnr|tfn|cpf|cnpj|curp|pesel|rijksregister\w*|"
        r"s[ée]curit[ée][\s_]sociale|codice[\s_]fiscale|personalausweis|kimlik|voter|imei|imsi|serial|"
        r"matr[íi]cula|kennzeichen|immatriculation|targa|device|tracking|registration|registry|id[\s_](?:number|card)|identification",
        _ANY_ID,
    ),
    Label(
        "IDENTIFIER",
        r"(?:customer|client|patient|account|member|subscriber|employee|applicant|borrower|person|holder|beneficiary|claimant|"
        r"user|kunde|cliente)[\"']?\s?:\s?\{\s{0,20}[\"']?(?:id|number|no|code)",
        _ANY_ID,
    ),
    Label(
        "IDENTIFIER",
        r"(?:iris|retina|fingerprint|voice[\s]?print|face[\s]?print|biometric)(?:[\s_](?:id|template|hash|scan|token))?",
        r"(?=[A-Za-z:\-]{0,12}\d)[A-Za-z0-9][A-Za-z0-9:\-]{7,80}",
    ),
    Label(
        "US_BANK_NUMBER", r"bank[\s_](?:account|acct)(?:[\s_]?(?:no|number|#))?", r"\d{8,17}", 0.9
    ),
    Label(
        "US_PASSPORT", r"u\.?s\.?[\s]passport(?:[\s_]?(?:no|number|#))?", r"[A-Za-z]?\d{8,9}", 0.9
    ),
    Label(
        "US_EIN", r"ein|fein|employer[\s]identification|federal[\s]tax[\s]id", r"\d{2}-\d{7}", 0.95
    ),
    Label(
        "US_DRIVER_LICENSE",
        r"(?:a[lkzr]|c[aot]|d[ec]|fl|ga|hi|i[dlna]|k[sy]|la|m[edainsot]|n[evhjmycd]|o[hkr]|pa|ri|s[cd]|t[nx]|ut|v[ta]|w[aviy])[\s]dl",
        r"(?=[A-Za-z\-]{0,3}\d)[A-Za-z0-9](?:[A-Za-z0-9\-]{4,18})",
    ),
    Label(
        "DATE_OF_BIRTH",
        rf"d\.?o\.?b\.?|(?:date[\s_]of[\s_]birth|birth[\s_]?(?:date|day))|born(?:[\s]in[\s]{_TOWN})?(?:[\s]on)?|"
        rf"geb(?:oren)?\.?(?:[\s]in[\s]{_TOWN})?(?:[\s]am)?|"
        rf"geburtsdatum|n[ée]e?(?:[\s]à[\s]{_TOWN})?[\s]le|date[\s_]de[\s_]naissance|fecha[\s_]de[\s_]nacimiento|"
        rf"nacid[oa](?:[\s]en[\s]{_TOWN})?[\s]el|data[\s_]di[\s_]nascita|nat[oa](?:[\s]a[\s]{_TOWN})?[\s]il|"
        r"geboortedatum|data[\s]urodzenia|ur\.|f[øo]dt|född|syntynyt",
        _DATE,
        0.95,
    ),
    Label(
        "PERSON",
        r"(?:first|last|given|family|middle|full|maiden|sur|patient|customer|client|employee|contact|account[\s_]"
        r"holder|card[\s_]?holder|user|display|legal|mother|father|spouse|debtor|applicant|claimant|insured|member)"
        r"[\s_']{0,2}(?:s[\s_])?name|firstname|lastname|surname|vorname|nachname|nombre|apellidos?|pr[ée]nom|"
        r"nom|cognome|naam|name|patient(?:in)?|paciente|debtor|claimant|plaintiff|defendant|applicant|insured|"
        r"subscriber|account[\s_]holder|guarantor|provider|physician|attending|surgeon|nurse|contact|witness|"
        r"employee|supervisor|caller|customer|client|author|signed[\s]by|next[\s]of[\s]kin",
        rf"{_NAME}",
        0.85,
        strict=True,
        fold=False,
    ),
    Label(
        "PERSON",
        r"(?:first|last|given|family|middle|full|maiden)[\s_]?name|surname|vorname|nachname|apellidos?",
        r"[^\W\d_][\w'’.\-]{1,30}(?: [^\W\d_][\w'’.\-]{1,30}){0,3}",
        0.8,
        strict=True,
    ),
    Label("PHONE_NUMBER", r"电话|電話|전화|טלפון|手机", r"\+?[\d(][\d\s().\-/]{6,18}\d", 0.8),
    Label("IDENTIFIER", r"身份证号?", _ANY_ID),
    Label("DATE_OF_BIRTH", r"生年月日|出生日期", _DATE, 0.95),
    Label(
        "PERSON",
        r"患者氏名|氏名|姓名|名前|病人|患者",
        r"[\u4e00-\u9fff]{2,4}(?=今|[^\u4e00-\u9fff]|$)",
        0.8,
    ),
    Label(
        "USERNAME",
        r"user(?:name)?|user[\s_]?id|login|uid|screen[\s_]name|benutzer(?:name)?|handle",
        r"(?!(?:is|was|has|the|and|for|not|none|null|true|false|str|string|self|config|settings|os|env|name|id|password|postgres|root|admin|can|will|may|input|experience|interface|new|undefined|nil|this|void|await|async|function|return|typeof)\b)[A-Za-z][\w.\-]{2,30}",
        0.7,
        strict=True,
    ),
    Label(
        "SECRET",
        r"(?:password|passwd|passphrase|passwort|contrase[ñn]a|mot[\s]de[\s]passe|pwd|"
        r"secret(?:[_\-][\w\-]{0,30}?)?|api[\s_\-]?key|access[\s_\-]?key|auth[\s_\-]?token|access[\s_\-]?token|"
        r"private[\s_\-]?key|client[\s_\-]secret|credentials?)",
        r"(?!(?:None|null|true|false|undefined|required|str|string|os\.|self\.|getpass|input|process\.|\$\{|<|\*{3}))"
        r"[^\s\"'<>,;)(}{\]\[]{4,200}",
        0.85,
        strict=True,
    ),
    Label(
        "CARD_SECURITY_CODE",
        r"cvv2?|cvc2?|cid|csc|(?:card[\s_])?security[\s_]code|card[\s_]verification[\s_](?:code|value|number)",
        r"\d{3,4}",
        0.9,
    ),
    Label(
        "CREDIT_CARD",
        r"(?:credit|debit|bank)[\s_]?card|card|cc|visa|master[\s]?card|amex|american[\s]express|pan",
        r"\d(?:[ \-]?\d){11,18}",
        0.9,
    ),
    Label(
        "STREET_ADDRESS",
        r"address|adresse|adres|direcci[óo]n|domicilio|indirizzo|anschrift|endere[çc]o|lokalizacja|ahora[\s]es",
        _STREET,
        0.75,
        strict=True,
        fold=False,
    ),
    Label(
        "STREET_ADDRESS",
        r"(?:live|lives|living|lived|reside|resides|residing|located|office)(?:[\s]is)?[\s]at|ship[\s]to|"
        r"deliver(?:ed)?[\s]to|domiciliad[oa][\s]en|domicilio[\s]en|wohnhaft(?:[\s]in)?|zamieszka[łl][yae][\s]przy|habite[\s]au|residente[\s]in",
        _STREET,
        0.75,
        fold=False,
    ),
    Label("PIN", r"pin(?:[\s_]?code|[\s_]number)?", r"\d{4,8}", 0.85),
    Label(
        "PHONE_NUMBER",
        r"phone|tel(?:ephone|efon|éfono|efono|efone|efoon)?|tfno|tlf|mobile|mobil|cell|fax|call(?:ed)?|handy|móvil|portable|gsm|kom|kontakt|ph",
        r"\+?[\d(][\d\s().\-/]{6,18}\d",
        0.8,
    ),
    Label("US_POSTAL_CODE", r"zip(?:[\s_]?code)?|postal[\s_]code", r"\d{5}(?:-\d{4})?", 0.85),
    Label("IP_ADDRESS", r"ip(?:[\s_]addr(?:ess)?)?", r"\d{1,3}(?:\.\d{1,3}){3}", 0.9),
)

_OWN = frozenset({"CASE_NUMBER", "DATE_OF_BIRTH"})
LABELS += tuple(
    Label(entity, words, _ANY_ID) for entity, words in LATIN.items() if entity not in _OWN
)
LABELS += (Label("IDENTIFIER", WEAK, _LONG_ID),)
LABELS += (Label("DATE_OF_BIRTH", LATIN["DATE_OF_BIRTH"], _DATE, 0.95),)
_FORMS = {
    "DATE_OF_BIRTH": _DATE,
    "PHONE_NUMBER": r"\+?[\d(][\d\s().\-/]{6,18}\d",
    "VEHICLE_ID": _PLATE,
}
LABELS += tuple(
    Label(entity, words, _FORMS.get(entity, _OTHER_ID)) for entity, words in SCRIPTS.items()
)

TITLES = (
    r"Dr|Mr|Mrs|Ms|Miss|Mx|Prof|Professor|Pr|Herrn?|Frau|Hr|Fr|Mme|Mlle|Sr|Sra|Srta|Dña|Don|Sig|Dott|Dhr|Mevr|Mevrouw|"
    r"Judge|Nurse|Officer|Sgt|Capt|Rev|Hon"
)
TITLED = re.compile(
    rf"(?<!\w)(?:{TITLES})(?!\w)\.?\s(?:(?:Dr|Prof)\.?\s)?(?P<v>(?:{_UP}\.\s?){{0,3}}"
    rf"{_UP}[\w'’\-]+(?:[ \u00a0](?:(?:van|von|de|der|del|la|le|al)\s){{0,2}}{_UP}[\w'’\-]+){{0,2}})"
)
"""Names behind their titles."""
