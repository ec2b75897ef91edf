"""Secrets of every kind that ``recognizers/secrets`` knows, made up afresh from a seed, in the
words around them that people use. Nothing here ever opened a door, and no literal looks as if."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["KINDS", "LOOKALIKES", "Sample", "samples"]

ALNUM = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits
LOWER = string.ascii_lowercase + string.digits
HEX = "0123456789abcdef"
URLSAFE = ALNUM + "_-"
BASE64 = ALNUM + "+/"


@dataclass(frozen=True, slots=True)
class Sample:
    """``text`` with the secret ``value`` in it."""

    kind: str
    text: str
    value: str


Make = Callable[[random.Random], tuple[str, str]]


def _of(rng: random.Random, chars: str, size: int) -> str:
    """``size`` characters, with a digit and a letter among them."""
    while True:
        made = "".join(rng.choices(chars, k=size))
        if any(c.isdigit() for c in made) and any(c.isalpha() for c in made):
            return made


def _token(prefix: str, chars: str, size: int, around: str = "token is {} for now") -> Make:
    def make(rng: random.Random) -> tuple[str, str]:
        value = prefix + _of(rng, chars, size)
        return around.format(value), value

    return make


def _formed(form: Callable[[random.Random], str], around: str = "use {} here") -> Make:
    def make(rng: random.Random) -> tuple[str, str]:
        value = form(rng)
        return around.format(value), value

    return make


def _password(rng: random.Random) -> str:
    words = ["Winter", "Lisbon", "kestrel", "Maple", "Orion", "harbour", "Quartz", "Falcon"]
    return f"{rng.choice(words)}{rng.choice('!#$-_')}{rng.randrange(100, 9999)}{rng.choice(ALNUM)}"


def _jwt(rng: random.Random) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    body = base64.urlsafe_b64encode(b'{"sub":"%d"}' % rng.randrange(10**9)).decode().rstrip("=")
    return f"{head}.{body}.{_of(rng, URLSAFE, 43)}"


def _pem(kind: str) -> Make:
    def make(rng: random.Random) -> tuple[str, str]:
        lines = "\n".join(_of(rng, BASE64, 64) for _ in range(6))
        rule = "-" * 5
        value = f"{rule}BEGIN {kind}{rule}\n{lines}\n{rule}END {kind}{rule}"
        return f"here is the key\n{value}\nthanks", value

    return make


def _hidden(form: str) -> Make:
    """``form`` with ``{}`` where the password stands."""

    def make(rng: random.Random) -> tuple[str, str]:
        value = _password(rng)
        return form.replace("{}", value), value

    return make


def _dotted(*sizes: int) -> Callable[[random.Random], str]:
    return lambda rng: ".".join(_of(rng, URLSAFE, n) for n in sizes)


KINDS: dict[str, Make] = {
    "aws_access_key": _token("AKIA", string.ascii_uppercase + "234567", 16),
    "aws_secret_key": _token("", BASE64, 40, "aws_secret_access_key = {}"),
    "github_classic": _token("ghp_", ALNUM, 36),
    "github_fine": _formed(lambda r: f"github_pat_{_of(r, ALNUM, 22)}_{_of(r, ALNUM, 59)}"),
    "gitlab": _token("glpat-", URLSAFE, 20),
    "slack_bot": _formed(lambda r: f"xoxb-{r.randrange(10**11)}-{_of(r, ALNUM, 24)}"),
    "slack_webhook": _formed(
        lambda r: (
            f"https://hooks.slack.com/services/T{_of(r, UPPER, 8)}/B{_of(r, UPPER, 10)}/"
            + _of(r, ALNUM, 24)
        )
    ),
    "discord_bot": _formed(
        lambda r: (
            base64.b64encode(str(r.randrange(10**17, 10**18)).encode()).decode().rstrip("=")
            + f".{_of(r, URLSAFE, 6)}.{_of(r, URLSAFE, 38)}"
        )
    ),
    "discord_webhook": _formed(
        lambda r: (
            f"https://discord.com/api/webhooks/{r.randrange(10**17, 10**18)}/" + _of(r, URLSAFE, 68)
        )
    ),
    "telegram_bot": _formed(lambda r: f"{r.randrange(10**9, 10**10)}:AA{_of(r, URLSAFE, 33)}"),
    "stripe": _token("sk_live_", ALNUM, 24),
    "stripe_webhook": _token("whsec_", ALNUM, 32),
    "openai": _token("sk-proj-", ALNUM, 48),
    "anthropic": _token("sk-ant-api03-", URLSAFE, 93),
    "google_api": _token("AIza", URLSAFE, 35),
    "google_oauth": _token("GOCSPX-", URLSAFE, 28),
    "gcp_refresh": _formed(lambda r: f"1//0{_of(r, URLSAFE, 60)}"),
    "huggingface": _token("hf_", ALNUM, 34),
    "npm": _token("npm_", ALNUM, 36),
    "pypi": _token("pypi-AgEIcHlwaS5vcmc", URLSAFE, 80),
    "rubygems": _token("rubygems_", HEX, 48),
    "docker_hub": _token("dckr_pat_", URLSAFE, 27),
    "sendgrid": _formed(lambda r: f"SG.{_of(r, ALNUM, 22)}.{_of(r, ALNUM, 43)}"),
    "mailgun": _token("key-", HEX, 32),
    "mailchimp": _formed(lambda r: f"{_of(r, HEX, 32)}-us{r.randrange(1, 22)}"),
    "twilio": _token("SK", HEX, 32),
    "twilio_account": _token("", HEX, 32, "TWILIO_AUTH_TOKEN={}"),
    "shopify": _token("shpat_", HEX, 32),
    "square": _token("EAAA", URLSAFE, 60),
    "digitalocean": _token("dop_v1_", HEX, 64),
    "cloudflare": _token("", URLSAFE, 40, "CLOUDFLARE_API_TOKEN: {}"),
    "heroku": _formed(
        lambda r: "-".join(_of(r, HEX, n) for n in (8, 4, 4, 4, 12)), "HEROKU_API_KEY={}"
    ),
    "databricks": _token("dapi", HEX, 32),
    "hashicorp_vault": _token("hvs.", URLSAFE, 90),
    "terraform_cloud": _formed(lambda r: f"{_of(r, ALNUM, 14)}.atlasv1.{_of(r, ALNUM, 67)}"),
    "azure_storage": _formed(
        lambda r: _of(r, BASE64, 86) + "==",
        "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey={};EndpointSuffix=core.windows.net",
    ),
    "azure_client": _formed(lambda r: f"{_of(r, ALNUM, 3)}8Q~{_of(r, ALNUM, 34)}"),
    "azure_sas": _formed(
        lambda r: _of(r, ALNUM, 43) + "%3D",
        "https://acct.blob.core.windows.net/c/f?sv=2024-05-04&sp=r&sig={}",
    ),
    "linear": _token("lin_api_", ALNUM, 40),
    "notion": _token("ntn_", ALNUM, 46),
    "figma": _formed(lambda r: f"figd_{_of(r, URLSAFE, 40)}"),
    "grafana": _formed(lambda r: f"glsa_{_of(r, ALNUM, 32)}_{_of(r, HEX, 8)}"),
    "new_relic": _token("NRAK-", UPPER, 27),
    "sentry": _formed(lambda r: f"sntrys_eyJ{_of(r, ALNUM, 60)}_{_of(r, ALNUM, 43)}"),
    "doppler": _token("dp.pt.", ALNUM, 43),
    "planetscale": _token("pscale_pw_", URLSAFE, 43),
    "postman": _formed(lambda r: f"PMAK-{_of(r, HEX, 24)}-{_of(r, HEX, 34)}"),
    "atlassian": _token("ATATT3xFfGF0", URLSAFE, 120),
    "age_key": _token("AGE-SECRET-KEY-1", "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "jwt": _formed(_jwt),
    "pem": _pem("RSA " + "PRIVATE KEY"),
    "openssh": _pem("OPENSSH " + "PRIVATE KEY"),
    "pgp": _pem("PGP " + "PRIVATE KEY BLOCK"),
    "postgres_url": _hidden("DATABASE_URL=postgres://app:{}@db.internal:5432/main"),
    "mongodb_url": _hidden("connect to mongodb+srv://svc:{}@cluster0.ab1cd.mongodb.net/prod"),
    "redis_url": _hidden("redis://:{}@cache:6379/0"),
    "odbc": _hidden("Server=tcp:db,1433;Database=hr;User Id=sa;Password={};Encrypt=true"),
    "jdbc": _hidden("jdbc:mysql://db:3306/hr?user=app&password={}&ssl=true"),
    "basic_header": _formed(
        lambda r: base64.b64encode(f"svc:{_password(r)}".encode()).decode(),
        "Authorization: Basic {}",
    ),
    "bearer_header": _token("", URLSAFE, 40, "-H 'Authorization: Bearer {}'"),
    "password_yaml": _hidden("db:\n  user: app\n  password: {}\n"),
    "password_env": _hidden("SMTP_PASSWORD={}\n"),
    "password_json": _hidden('{"username": "app", "password": "{}"}'),
    "password_prose": _hidden("the wifi password is {}, please tell nobody"),
    "password_german": _hidden("Das Passwort lautet {} und gilt ab heute"),
    "password_spanish": _hidden("la contraseña es {} desde hoy"),
    "password_french": _hidden("le mot de passe est {} merci"),
    "password_flag": _hidden("mysql -u root --password={} -h db"),
    "curl_user": _hidden("curl -u admin:{} https://api.internal/v1"),
    "netrc": _hidden("machine api.internal login svc password {}"),
    "credentials_pair": _hidden("you can log in with jdoe / {} until Friday"),
    "npmrc": _token("", ALNUM, 36, "//registry.internal/:_authToken={}"),
    "docker_auth": _formed(
        lambda r: base64.b64encode(f"svc:{_password(r)}".encode()).decode(),
        '{{"auths": {{"reg.internal": {{"auth": "{}"}}}}}}',
    ),
}


def samples(seed: int, per_kind: int = 1) -> list[Sample]:
    """``per_kind`` secrets of each kind."""
    rng = random.Random(seed)
    return [Sample(k, *make(rng)) for k, make in KINDS.items() for _ in range(per_kind)]


def _png(rng: random.Random) -> str:
    return "iVBORw0KGgoAAAANSUhEUgAA" + _of(rng, BASE64, 400) + "=="


_RNG = random.Random(7)
LOOKALIKES: dict[str, str] = {
    "git commit": f"fixed in commit {_of(_RNG, HEX, 40)} yesterday",
    "sha256 file": f"{_of(_RNG, HEX, 64)}  dist/app.tar.gz",
    "uuid": "request id " + "-".join(_of(_RNG, HEX, n) for n in (8, 4, 4, 4, 12)),
    "npm lock": f'"integrity": "sha512-{_of(_RNG, BASE64, 86)}==",',
    "cargo lock": f'checksum = "{_of(_RNG, HEX, 64)}"',
    "go sum": f"golang.org/x/mod v0.17.0 h1:{_of(_RNG, BASE64, 43)}=",
    "pip hash": f"    --hash=sha256:{_of(_RNG, HEX, 64)} \\",
    "docker digest": f"image: registry.internal/app@sha256:{_of(_RNG, HEX, 64)}",
    "png": f'<img src="data:image/png;base64,{_png(_RNG)}">',
    "public key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5" + _of(_RNG, BASE64, 48) + " me@host",
    "public pem": "-----BEGIN PUBLIC KEY-----\n"
    + _of(_RNG, BASE64, 64)
    + "\n-----END PUBLIC KEY-----",
    "certificate": "-----BEGIN CERTIFICATE-----\n"
    + _of(_RNG, BASE64, 64)
    + "\n-----END CERTIFICATE-----",
    "fingerprint": f"SHA256:{_of(_RNG, BASE64, 43)} me@host (ED25519)",
    "stripe object": f"customer cus_{_of(_RNG, ALNUM, 14)} paid invoice in_{_of(_RNG, ALNUM, 24)}",
    "trace": f"traceparent: 00-{_of(_RNG, HEX, 32)}-{_of(_RNG, HEX, 16)}-01",
    "placeholder": "password: changeme\nAPI_KEY=your-api-key-here\ntoken = <TOKEN>",
    "environment": 'password = os.environ["DB_PASSWORD"]\ntoken: ${{ secrets.TOKEN }}',
    "template": "postgres://user:${DB_PASSWORD}@db/main and mysql://{user}:{password}@host/x",
    "typed code": "def login(user: str, password: str = Field(...)) -> Token: ...",
    "prose": "The password is required and must be at least twelve characters long.",
    "policy": "Passwords are rotated every 90 days; the token is valid for 15 minutes.",
    "question": "I forgot my password, how do I reset it? My secret to success is patience.",
    "login prose": "you can log in with Google / Apple on the start page",
    "basic words": "The basic authentication mechanism and the bearer authentication scheme",
    "key names": 'api_key = config.get("service.api_key")\nsecret_name = "prod/db/main"',
    "minified": "function(e,t){return e.exports=t(1234),n.d(t,'a',function(){return r})}",
    "long path": "/usr/lib/python3.11/site-packages/google_auth_oauthlib/interactive_flow_v2.py",
    "css": ".token-keyword{color:#07a}.password-field--large-2x{margin:0 12px}",
    "help": "--password PASSWORD  the password to use; -u user:password for basic auth",
    "masked": "password: ******** and api_key=xxxxxxxxxxxxxxxx",
    "ask": "password is incorrect. mot de passe est obligatoire. Passwort ist ungültig.",
}
