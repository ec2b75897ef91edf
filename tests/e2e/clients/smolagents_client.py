"""smolagents: its model class, whole, streamed, with a tool."""

import json
import sys

from smolagents import OpenAIModel, tool

BASE, KEY, TEXT = sys.argv[1:4]


@tool
def look_up(about: str) -> str:
    """Look somebody up.

    Args:
        about: who
    """
    return f"found {about}"


def model(name: str) -> OpenAIModel:
    return OpenAIModel(model_id=name, api_base=f"{BASE}/v1", api_key=KEY)


messages = [{"role": "user", "content": [{"type": "text", "text": TEXT}]}]
said = {"whole": model("gpt-test").generate(messages).content}
deltas = model("gpt-test").generate_stream(messages)
said["streamed"] = "".join(delta.content or "" for delta in deltas)
called = model("standin-tool").generate(messages, tools_to_call_from=[look_up])
arguments = called.tool_calls[0].function.arguments
said["tool"] = (json.loads(arguments) if isinstance(arguments, str) else arguments)["about"]
schema = {"type": "object", "properties": {"about": {"type": "string"}}}
form = {"type": "json_schema", "json_schema": {"name": "about", "schema": schema}}
said["structured"] = json.loads(model("gpt-test").generate(messages, response_format=form).content)[
    "about"
]
print(json.dumps(said))
