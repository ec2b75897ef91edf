"""LlamaIndex: its OpenAI class, whole, streamed, with a tool and structured output."""

import json
import sys

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from pydantic import BaseModel

BASE, KEY, TEXT = sys.argv[1:4]


class About(BaseModel):
    about: str


def look_up(about: str) -> str:
    """Look somebody up."""
    return f"found {about}"


llm = OpenAI(model="gpt-4o-mini", api_base=f"{BASE}/v1", api_key=KEY, max_retries=0)
messages = [ChatMessage(role="user", content=TEXT)]
said = {"whole": llm.chat(messages).message.content}
said["streamed"] = "".join(chunk.delta or "" for chunk in llm.stream_chat(messages))
called = llm.chat_with_tools([FunctionTool.from_defaults(look_up)], user_msg=TEXT + " (tool)")
calls = llm.get_tool_calls_from_response(called)
said["tool"] = calls[0].tool_kwargs["about"]
schema = {"type": "object", "properties": {"about": {"type": "string"}}}
form = {"type": "json_schema", "json_schema": {"name": "about", "schema": schema}}
said["structured"] = json.loads(llm.chat(messages, response_format=form).message.content)["about"]
print(json.dumps(said))
