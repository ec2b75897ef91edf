"""Which host is whose model API, and whose model a name names: the one table of both."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

__all__ = ["ANCHORS", "HOSTED", "inside", "provider_of", "provider_of_model", "split"]

HOSTED = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure",
    "cognitiveservices.azure.com": "azure",
    "services.ai.azure.com": "azure",
    "models.inference.ai.azure.com": "azure",
    "inference.ai.azure.com": "azure",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "google",
    "aiplatform.googleapis.com": "google",
    "api.mistral.ai": "mistral",
    "codestral.mistral.ai": "mistral",
    "api.cohere.com": "cohere",
    "api.cohere.ai": "cohere",
    "api.groq.com": "groq",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "api.fireworks.ai": "fireworks",
    "api.perplexity.ai": "perplexity",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "xai",
    "openrouter.ai": "openrouter",
    "api.replicate.com": "replicate",
    "api-inference.huggingface.co": "huggingface",
    "router.huggingface.co": "huggingface",
    "endpoints.huggingface.cloud": "huggingface",
    "api.ai21.com": "ai21",
    "api.voyageai.com": "voyage",
    "api.jina.ai": "jina",
    "api.cerebras.ai": "cerebras",
    "api.sambanova.ai": "sambanova",
    "api.deepinfra.com": "deepinfra",
    "api.moonshot.ai": "moonshot",
    "api.moonshot.cn": "moonshot",
    "dashscope.aliyuncs.com": "alibaba",
    "dashscope-intl.aliyuncs.com": "alibaba",
    "integrate.api.nvidia.com": "nvidia",
    "api.aleph-alpha.com": "aleph-alpha",
    "api.nscale.com": "nscale",
    "models.github.ai": "github",
    "api.githubcopilot.com": "github",
    "api.elevenlabs.io": "elevenlabs",
    "api.deepgram.com": "deepgram",
    "api.assemblyai.com": "assemblyai",
}
"""Hosts, and what ends with a dot and one of them. Bedrock's has its region inside it."""

_BEDROCK = re.compile(r"bedrock(?:-runtime|-agent-runtime|-mantle)?[.-][a-z0-9.-]*amazonaws\.com")
_LOCATED = re.compile(r"[a-z0-9-]+-(aiplatform\.googleapis\.com)")

ANCHORS = (
    *("api.", "azure.com", "googleapis.com", "mistral.ai", "openrouter.ai", "huggingface."),
    *("amazonaws.com", "aliyuncs.com", "nvidia.com", "github.ai", "githubcopilot.com"),
)
"""One of these stands in every host of the table: a text without any names none."""

PROVIDERS = frozenset(HOSTED.values()) | {"bedrock", "vertex_ai", "gemini", "azure_ai"}

_MODELS = (
    (re.compile(r"(?:gpt-|o[134](?:-|$)|chatgpt|text-embedding-(?:3|ada)|davinci|babbage|dall-e|"
                r"whisper-1|tts-1|omni-moderation|codex)"), "openai"),
    (re.compile(r"claude"), "anthropic"),
    (re.compile(r"gemini|text-bison|palm"), "google"),
    (re.compile(r"grok"), "xai"),
    (re.compile(r"sonar"), "perplexity"),
    (re.compile(r"(?:(?:us|eu|apac|global)\.)?(?:anthropic|amazon)\."), "bedrock"),
)  # fmt: skip
"""Only models that nobody else runs: an open model's name does not say where it ran."""


def provider_of(host: str) -> str:
    """Whose API ``host`` is; empty if it is none that is known."""
    name = host.lower().rstrip(".").partition(":")[0]
    located = _LOCATED.fullmatch(name)
    name = located[1] if located else name
    if _BEDROCK.fullmatch(name):
        return "bedrock"
    while name:
        if name in HOSTED:
            return HOSTED[name]
        name = name.partition(".")[2]
    return ""


def provider_of_model(model: str) -> str:
    """Whose model it is, by its name alone; LiteLLM writes ``provider/model``."""
    lower = model.lower()
    before, slash, name = lower.partition("/")
    if slash and before in PROVIDERS:
        return before
    for pattern, provider in _MODELS:
        if pattern.match(name if slash else lower):
            return provider
    return ""


def split(url: str) -> tuple[str, str]:
    """Host, without port, and path of a URL, of ``host:port``, or of a host."""
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        return (parts.hostname or "").lower(), parts.path
    except ValueError:
        return "", ""


def inside(host: str) -> bool:
    """Whether ``host`` is one of the house's own: no name of the public internet."""
    name = host.lower().strip("[]")
    if not name:
        return False
    try:
        return not ipaddress.ip_address(name).is_global
    except ValueError:
        return "." not in name or name.endswith(
            (
                ".local",
                ".internal",
                ".lan",
                ".intranet",
                ".localhost",
                ".svc",
                ".corp",
                ".home.arpa",
            )
        )
