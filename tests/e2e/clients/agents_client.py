"""The OpenAI Agents SDK: tools, structured output, streams, on both of its wires."""

import asyncio
import json
import sys

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

BASE, KEY, TEXT = sys.argv[1:4]
set_tracing_disabled(True)


class About(BaseModel):
    about: str


@function_tool
def look_up(about: str) -> str:
    """Look somebody up."""
    looked_up.append(about)
    return f"found {about}"


looked_up: list[str] = []


async def main() -> None:
    client = AsyncOpenAI(base_url=f"{BASE}/v1", api_key=KEY)
    said = {}
    for name, make in (("chat", OpenAIChatCompletionsModel), ("responses", OpenAIResponsesModel)):
        plain = Agent(name="a", model=make(model="gpt-test", openai_client=client))
        said[f"{name} whole"] = (await Runner.run(plain, TEXT)).final_output
        streamed = Runner.run_streamed(plain, TEXT)
        async for _ in streamed.stream_events():
            pass
        said[f"{name} streamed"] = streamed.final_output
        typed = plain.clone(output_type=About)
        said[f"{name} structured"] = (await Runner.run(typed, TEXT)).final_output.about
        tooled = Agent(
            name="t", model=make(model="standin-tool", openai_client=client), tools=[look_up]
        )
        said[f"{name} after tool"] = (await Runner.run(tooled, TEXT)).final_output
        said[f"{name} tool"] = looked_up[-1]
    print(json.dumps(said))


asyncio.run(main())
