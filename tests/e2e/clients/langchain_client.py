"""LangChain, as its users write it. ``python langchain_client.py BASE_URL KEY`` prints JSON."""

import json
import sys

from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

BASE, KEY, TEXT = sys.argv[1:4]


class About(BaseModel):
    """What it is about."""

    about: str


@tool
def look_up(about: str) -> str:
    """Look somebody up."""
    return f"found {about}"


def text(chunk) -> str:
    if isinstance(chunk.content, str):
        return chunk.content
    return "".join(part.get("text", "") for part in chunk.content)


said = {}
for name, tooled, make in (
    ("openai", "standin-tool", lambda m: ChatOpenAI(model=m, base_url=f"{BASE}/v1", api_key=KEY)),
    (
        "anthropic",
        "claude-standin-tool",
        lambda m: ChatAnthropic(model=m, base_url=BASE, api_key=KEY),
    ),
):
    model = make("gpt-test" if name == "openai" else "claude-test")
    said[f"{name} whole"] = text(model.invoke(TEXT))
    said[f"{name} streamed"] = "".join(text(chunk) for chunk in model.stream(TEXT))
    called = make(tooled).bind_tools([look_up]).invoke(TEXT)
    said[f"{name} tool"] = called.tool_calls[0]["args"]["about"]
openai = ChatOpenAI(model="gpt-test", base_url=f"{BASE}/v1", api_key=KEY)
said["structured"] = openai.with_structured_output(About, method="json_schema").invoke(TEXT).about
responses = ChatOpenAI(model="gpt-test", base_url=f"{BASE}/v1", api_key=KEY, use_responses_api=True)
said["responses"] = text(responses.invoke(TEXT))
print(json.dumps(said))
