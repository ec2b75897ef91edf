"""The table of secrets: what each kind looks like, and which signs say that it may be there."""

# ruff: noqa: E501 - a pattern broken in two is two riddles

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["KINDS", "LEAST", "Kind", "entropy", "no_placeholder"]

LEAST = 15
"""Characters of the shortest token that an issuer's prefix gives away."""

_A = "[A-Za-z0-9]"
_U = r"[\w-]"
_HEX = "[0-9a-f]"
_B64 = "[A-Za-z0-9+/]"


@dataclass(frozen=True, slots=True)
class Kind:
    """``pattern`` finds a secret: its group ``v`` if it has one, else the whole match. It is tried
    only if one of ``hints`` stands in the text, in any case if the hint is lower case. With
    ``least``, a match is one run of so many characters or more without space, hint included."""

    name: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    score: float = 1.0
    check: Callable[[str], bool] | None = None
    least: int = 0


def entropy(value: str) -> float:
    """Bits per character, from the characters' own frequencies."""
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in Counter(value).values())


_words = str.split
_STAND_INS = frozenset(
    _words(
        "password passwd passphrase pass pwd pw changeme change-me change_me secret example test testing "
        "guest root admin user username token key none null nil true false undefined required optional "
        "placeholder redacted hidden masked postgres string str text bytes value your yours here "
        "tiger incorrect wrong invalid expired obligatoire invalide incorrecta requerida falsch"
    )
)
_STAND_IN = re.compile(
    r"(?i)^(?:(?:self|settings|config|conf|os|env|process|request|args|options|ctx|this|cls|app|client)\.|your|my|the|some|insert|enter|replace|example|sample|dummy|fake|x{3,}|\*{2,}|\.{3,}|<|\$|%\(|\{|\[)"
    r"|(?:[._-]here|placeholder)$"
)


def no_placeholder(value: str) -> bool:
    """Whether a labelled value may be a password at all: no word that manuals write in its place."""
    return value.lower() not in _STAND_INS and len(set(value)) > 2


def _real(value: str) -> bool:
    """No word that manuals write in a password's place, no variable, no call."""
    return (
        value.lower() not in _STAND_INS
        and _STAND_IN.search(value) is None
        and len(set(value)) > 3
        and not any(c in value for c in "(){}[]")
    )


def _password(value: str) -> bool:
    """A word with more than letters in it: "password: required" is a sentence."""
    plain = value.rstrip(".!?")
    return (
        _real(value)
        and not plain.replace("-", "").replace("_", "").isalpha()
        and (any(c.isdigit() for c in value) or any(not c.isalnum() for c in value[:-1]))
    )


def _spoken(value: str) -> bool:
    """A password inside a sentence, where any word may follow: letters, and digits or marks too."""
    return (
        _password(value) and any(c.isalpha() for c in value) and (
            any(c.isdigit() for c in value) or value.count("-") > 1
        )
    )  # fmt: skip


def _random(value: str) -> bool:
    """As drawn by a machine: of several kinds of characters, none of them often."""
    return _real(value) and any(c.isdigit() for c in value) and entropy(value) > 3.0


def _kind(
    name: str,
    hints: str,
    pattern: str,
    check: Callable[[str], bool] | None = None,
    score: float = 1.0,
    flags: int = 0,
    least: int = 0,
) -> Kind:
    return Kind(name, tuple(hints.split()), re.compile(pattern, flags), score, check, least)


def _token(name: str, pattern: str, hint: str, check: Callable[[str], bool] | None = None) -> Kind:
    """A token that its own prefix gives away."""
    whole = rf"(?<![A-Za-z0-9_])(?:{pattern})(?![A-Za-z0-9])"
    return _kind(name, hint, whole, check, least=LEAST)


_I = re.IGNORECASE
_WORDS_FOR = (
    r"pass(?:word|wd|phrase|code)|passwort|kennwort|contrase[ñn]a|clave|mot de passe|parola|senha|wachtwoord|"
    r"has[łl]o|l[öo]senord|adgangskode|пароль|密码|パスワード"
)
_SET = r"(?:[\"']?\s{0,2}(?:=>|:=|[=:：])\s{0,2}[\"']?|>)"  # the last one is XML's
_VALUE = r"[^\s\"'<>,;&]{6,200}"

KINDS: tuple[Kind, ...] = (
    _kind(
        "private_key",
        "private",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:[^-]|-(?!----END)){0,16000}(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?",
    ),
    _kind("putty_key", "putty-user-key", r"PuTTY-User-Key-File-\d:[\s\S]{0,8000}?Private-MAC: \w+"),
    _token("age_key", r"AGE-SECRET-KEY-1[A-Z0-9]{50,60}", "age-secret-key"),
    _token(
        "aws_access_key",
        r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}",
        "AKIA ASIA ABIA ACCA AROA AIDA",
    ),
    _kind(
        "aws_secret_key",
        "aws",
        rf"aws.{{0,20}}?(?:secret|key|token).{{0,20}}?[=:\s\"']{{1,4}}(?P<v>{_B64}{{40}})(?![A-Za-z0-9+/=])",
        _random,
        0.95,
        _I,
    ),
    _token(
        "github",
        rf"gh[pousr]_{_A}{{20,251}}|github_pat_\w{{22,255}}",
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat",
    ),
    _token(
        "gitlab",
        rf"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas|ffct)-{_U}{{20,200}}",
        "glpat- gldt- glrt- glcbt- glptt- glft- glsoat- glagent- gloas- glffct-",
    ),
    _token(
        "slack",
        r"xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}|xoxe\.xox[bp]-[\w-]{20,}",
        "xox xapp-",
    ),
    _kind(
        "slack_webhook",
        "hooks.slack.com",
        r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{30,80}",
    ),
    _kind(
        "teams_webhook",
        "webhook.office.com",
        r"https://[\w-]+\.webhook\.office\.com/webhookb2/[\w@-]{30,90}/IncomingWebhook/[\w/-]{30,90}",
    ),
    _kind(
        "discord_webhook",
        "webhooks",
        r"https://(?:\w+\.)?discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d{17,20}/[\w-]{60,80}",
    ),
    _kind(
        "discord_bot",
        "M N O",
        r"(?<![\w.])[MNO][A-Za-z0-9]{22,27}\.[\w-]{6}\.[\w-]{27,40}(?![\w.])",
        _random,
        least=57,
    ),
    _kind("telegram_bot", ":aa", r"(?<!\w)\d{8,10}:AA[\w-]{32,34}(?![\w-])"),
    _token(
        "stripe",
        rf"(?:sk|rk|pk)_(?:live|test)_{_A}{{10,99}}|whsec_[A-Za-z0-9+/]{{24,}}=*",
        "_live_ _test_ whsec_",
    ),
    _token(
        "model_api",
        rf"sk-{_U}{{16,200}}",
        "sk-",
        lambda value: any(c.isdigit() for c in value),
    ),
    _token(
        "model_host",
        rf"hf_{_A}{{20,}}|api_org_{_A}{{34}}|gsk_{_A}{{20,}}|r8_{_A}{{20,}}|nvapi-{_U}{{20,200}}|xai-{_A}{{60,90}}|pplx-{_A}{{40,60}}|fw_{_A}{{20,32}}",
        "hf_ api_org_ gsk_ r8_ nvapi- xai- pplx- fw_",
    ),
    _token(
        "google",
        rf"AIza{_U}{{35}}|GOCSPX-{_U}{{28}}|ya29\.{_U}{{20,}}|1//0{_U}{{40,100}}",
        "AIza GOCSPX ya29. 1//0",
    ),
    _token("npm", rf"npm_{_A}{{36}}", "npm_"),
    _token("pypi", rf"pypi-{_U}{{40,300}}", "pypi-"),
    _token("rubygems", rf"rubygems_{_HEX}{{48}}", "rubygems_"),
    _token("crates", rf"cio{_A}{{32}}", "cio"),
    _token("docker_hub", rf"dckr_(?:pat|oat)_{_U}{{20,80}}", "dckr_"),
    _token("sendgrid", rf"SG\.{_U}{{16,40}}\.{_U}{{16,80}}", "SG."),
    _token("mailgun", rf"key-{_HEX}{{32}}", "key-"),
    _token("mailchimp", rf"{_HEX}{{32}}-us\d{{1,2}}", "-us"),
    _token("twilio", rf"SK{_HEX}{{32}}", "SK"),
    _token("shopify", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}", "shpat_ shpca_ shppa_ shpss_"),
    _token("square", rf"EAAA{_U}{{56,64}}|sq0(?:atp|csp|idp)-{_U}{{22,43}}", "EAAA sq0"),
    _token("digitalocean", rf"do[opr]_v1_{_HEX}{{64}}", "_v1_"),
    _token("databricks", rf"dapi{_HEX}{{32}}(?:-\d)?", "dapi"),
    _token("vault", rf"hv[sbr]\.{_U}{{20,300}}", "hvs. hvb. hvr."),
    _token("terraform_cloud", rf"{_A}{{14}}\.atlasv1\.{_U}{{60,70}}", ".atlasv1."),
    _token("azure_client", rf"{_U}{{3}}\dQ~{_U}{{31,34}}", "q~"),
    _kind(
        "azure_key",
        "accountkey sharedaccesskey",
        rf"(?:Account|SharedAccess)Key=(?P<v>{_B64}{{40,90}}={{0,2}})",
        None,
        1.0,
        _I,
    ),
    _kind("azure_sas", "sig=", r"[?&]sig=(?P<v>[A-Za-z0-9%+/]{40,80}={0,2})", _random, 0.95),
    _token("linear", rf"lin_(?:api|oauth)_{_A}{{30,64}}", "lin_"),
    _token("notion", rf"ntn_{_A}{{40,50}}|secret_{_A}{{43}}", "ntn_ secret_"),
    _token("figma", rf"fig[dour]_{_U}{{36,60}}", "figd_ figo_ figu_ figr_"),
    _token("grafana", rf"glsa_{_A}{{32}}_[a-fA-F0-9]{{8}}|glc_{_B64}{{40,400}}=*", "glsa_ glc_"),
    _token(
        "new_relic", rf"NRAK-[A-Z0-9]{{27}}|NRJS-{_HEX}{{19}}|NRII-{_U}{{32}}", "nrak- nrjs- nrii-"
    ),
    _token("sentry", r"sntr(?:ys|yu)_[\w+/=-]{20,400}", "sntry"),
    _token(
        "doppler", rf"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{{2,35}}\.)?{_A}{{40,44}}", "dp."
    ),
    _token("planetscale", rf"pscale_(?:pw|tkn|oauth)_{_U}{{32,64}}", "pscale_"),
    _token("postman", r"PMAK-[0-9a-f-]{50,80}", "pmak-"),
    _token(
        "atlassian",
        rf"AT(?:ATT|CTT|BB)[A-Za-z0-9]{{1}}{_U}{{24,250}}=?{_HEX[:-1]}A-F]{{0,8}}",
        "ATATT ATCTT ATBB",
    ),
    _token(
        "more_issuers",
        rf"tskey-[\w-]{{20,80}}|pat_{_A}{{30,80}}|sqp_{_HEX}{{40}}|xkeysib-[0-9a-f-]{{60,120}}|EAACEdEose0cBA\w{{10,400}}|dd[pa]_{_A}{{34,40}}|CFPAT-{_U}{{43}}|EZ[AT]K{_A}{{54}}|pat[A-Za-z0-9]{{14}}\.{_HEX}{{64}}|PRVT?-{_A}{{40,}}|sbp_{_HEX}{{40}}|fo1_{_U}{{43}}|ops_eyJ{_U}{{100,}}|shippo_(?:live|test)_{_HEX}{{40}}",
        "tskey- pat_ sqp_ xkeysib- EAACEd ddp_ dda_ cfpat- EZAK EZAT pat PRV sbp_ fo1_ ops_eyj shippo_",
    ),
    _kind(
        "jwt",
        "eyJ",
        r"(?<![\w-])eyJ[\w-]{8,4000}\.eyJ[\w-]{4,8000}\.[\w-]{0,2000}",
        least=LEAST,
    ),
    _kind(
        "url_password",
        "://",
        r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"']{0,100}:(?P<v>[^\s/@\"'<>]{3,200})@(?=[\w\[])",
        _real,
        0.95,
        _I,
    ),
    _kind(
        "authorization",
        "bearer basic token apikey",
        r"\b(?:bearer|basic|token|apikey)\s{1,3}(?P<v>[A-Za-z0-9+/_.~-]{16,2000}={0,2})(?![\w-])",
        _random,
        0.95,
        _I,
    ),
    _kind(
        "npmrc",
        "_auth",
        r"_auth(?:Token)?\s?=\s?[\"']?(?P<v>[A-Za-z0-9+/_.=-]{16,500})",
        _random,
        1.0,
    ),
    _kind(
        "docker_auth", '"auth"', rf"\"auth\"\s?:\s?\"(?P<v>{_B64}{{12,400}}={{0,2}})\"", None, 0.95
    ),
    _kind(
        "curl_user",
        "-u --user",
        r"(?:\s-u|--user)[ =]?[\"']?[\w.@-]{1,64}:(?P<v>[^\s\"'@]{4,200})",
        _password,
        0.9,
    ),
    _kind(
        "netrc",
        "machine",
        r"\bmachine\s\S{1,200}\slogin\s\S{1,100}\spassword\s(?P<v>\S{3,200})",
        _real,
        0.95,
    ),
    _kind(
        "credentials_pair",
        "log login logon credential anmeld sign zugang ssh",
        r"\b(?:log(?:\s?in|\s?on)?|sign in|credentials?|zugangsdaten|anmelde\w*|ssh)\b[^\n/]{0,24}?[\s:][\w.@-]{2,64}\s/\s(?P<v>[^\s\"'<>,;]{6,100})",
        _spoken,
        0.85,
        _I,
    ),
    _kind(
        "assigned",
        "secret token key credential auth salt pin_code dsn",
        r"(?<![A-Za-z0-9])(?:[\w.-]{0,40}[_.-])?(?:secret(?:[_-]?(?:key|token|access[_-]?key))?|(?:api|access|auth|client|private|signing|encryption|session|refresh|master|webhook|bot|deploy|account)[_-]?(?:key|token|secret)|token|credentials?)"
        rf"{_SET}(?P<v>[A-Za-z0-9+/_.~=-]{{16,400}})(?![A-Za-z0-9(\[])",
        _random,
        0.9,
        _I,
    ),
    _kind(
        "password_set",
        "pass pwd pw kennwort contrase clave parola senha wachtwoord haslo hasło senord adgangskode пароль 密码 パスワード",
        rf"(?<![A-Za-z0-9])(?:[\w.-]{{0,40}}[_.-])?(?:{_WORDS_FOR}|pass|pwd|pw){_SET}(?P<v>{_VALUE})",
        _password,
        0.9,
        _I,
    ),
    _kind(
        "password_said",
        "pass pw kennwort contrase clave parola senha wachtwoord haslo hasło senord adgangskode пароль 密码 パスワード",
        rf"(?<![A-Za-z0-9])(?:{_WORDS_FOR}|pw|pwd)\s{{1,2}}(?:(?:is|was|now|ist|lautet|war|es|era|est|[ée]tait|[eè]|é|jest|är|er|to|of|auf|for \w{{2,20}} is)[\s:]{{1,3}}){{0,2}}[\"'“„«`]?(?P<v>[^\s\"'<>;”»`]{{6,100}})",
        _spoken,
        0.85,
        _I,
    ),
    _kind(
        "pin_said",
        "pin code",
        r"\b(?:(?:lockbox|door|gate|alarm|entry|access|keypad|safe)[\s-]code|passcode|pin[\s-]?code|pin)(?:(?:\s[a-zA-Z]{2,12}){0,4}?\s?(?:is|was|:|=)|\s)\s?(?P<v>\d{4,8})(?!\d|[.,]\d|\s?%)",
        None,
        0.85,
        _I,
    ),
)
