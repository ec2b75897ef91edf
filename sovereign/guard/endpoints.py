"""Every endpoint of both wires, in one table: what happens there, and why. What is not in it is
unknown, and refused. ``docs/endpoints.md`` is generated from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, cast

from sovereign.types import JSON

__all__ = ["CURSORS", "ENDPOINTS", "Call", "Does", "Endpoint", "match", "named", "query"]

Does = Literal["inspected", "kept local", "refused"]
"""``inspected``: read, decided on, and sent. ``kept local``: the same, but never to a hosted API,
unless ``allow`` of that upstream says so. ``refused``: nobody reads it, so nobody is asked."""

Wire = Literal["openai", "anthropic"]
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", re.ASCII)

_INCLUDED = re.compile(
    r"file_search_call\.results|web_search_call\.(?:results|action\.sources)"
    r"|message\.(?:input_image\.image_url|output_text\.logprobs)"
    r"|computer_call_output\.output\.image_url|code_interpreter_call\.outputs"
    r"|reasoning\.encrypted_content"
    r"|step_details\.tool_calls\[\*\]\.file_search\.results\[\*\]\.content"
)

_PARAMETERS: Final = {
    "limit": re.compile(r"\d{1,4}"),
    "order": re.compile(r"asc|desc"),
    "after": ID,
    "before": ID,
    "after_id": ID,
    "before_id": ID,
    "run_id": ID,
    "starting_after": re.compile(r"\d{1,6}"),
    "stream": re.compile(r"false"),
    "beta": re.compile(r"true"),
    "purpose": re.compile(r"assistants|batch|fine-tune|vision|user_data|evals|batch_output"),
    "filter": re.compile(r"in_progress|completed|failed|cancelled"),
    "include": _INCLUDED,
    "include[]": _INCLUDED,
}
"""Parameters of a query string, and what they may say."""

CURSORS: Final = frozenset({"after", "before", "after_id", "before_id", "run_id"})
"""Parameters that name something; it must be the caller's own."""

_QUERIES: Final = {
    "page": frozenset({"limit", "order", "purpose", "filter", "include", "include[]", *CURSORS}),
    "view": frozenset({"include", "include[]", "stream", "starting_after"}),
    "beta": frozenset({"beta"}),
}


MOST_IDS = 1000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method and path. ``shape`` reads its body; without one it has none. ``routed`` says what
    finds the destination: the ``model`` in the body, or ``state``: what the request names was left
    at one. ``makes`` are the leaves of its answer that name what is the caller's from then on;
    ``listed``: its answer lists what belongs to every team, so it is filtered."""

    name: str
    method: str
    path: str
    shape: str | None
    body: Literal["json", "form", "none"]
    does: Does
    why: str
    routed: Literal["model", "state"] = "model"
    reply: Literal["json", "text", "bytes"] = "json"
    makes: tuple[str, ...] = ()
    listed: bool = False
    streams: bool = False
    query: frozenset[str] = frozenset()

    @property
    def wire(self) -> Wire:
        """Whose endpoint it is."""
        return "anthropic" if self.name.startswith("anthropic.") else "openai"


@dataclass(frozen=True, slots=True)
class Call:
    """A request's endpoint, and the ids in its path."""

    endpoint: Endpoint
    path: str
    ids: tuple[str, ...] = ()


_WHY: Final = {
    "text": "every leaf; pictures, files and audio are read",
    "ids": "every leaf; token ids with a tokenizer",
    "prompt": "prompt, pictures and mask, read by OCR",
    "spoken": "the text that is to be spoken",
    "heard": "the recording, heard by a transcriber inside first",
    "body": "its body is read like any other",
    "own": "only what the caller's team left there",
    "lines": "read as a document; JSON lines, for batches and tuning, line by line",
    "raw": "only the team's own; passes as it is: stand-ins in it are not restored",
    "batch": "every request in it is read like a message",
    "tune": "a hosted API would keep your data in its weights: `sovereign tune` trains inside",
    "pieces": "a file in pieces can be read by nobody: send it whole to POST /v1/files",
    "live": "a stream of sound or a web socket is read by nobody before it leaves",
    "video": "video is not read",
    "machines": "files and programs of other machines are not followed",
    "stays": "data sets that stay at the API",
    "blob": "answers with an encrypted blob that could not be read when it comes back",
    "shared": "belongs to no one team",
}

# name, method, path, shape of the body (form: or json), what happens, why, and more words:
# state, text, bytes, listed, streams, a kind of query, makes=leaf+leaf
_TABLE: Final = """
openai.chat POST /v1/chat/completions openai.chat inspected text streams makes=id
openai.completions POST /v1/completions openai.completions inspected ids streams
openai.embeddings POST /v1/embeddings openai.embeddings inspected ids
openai.responses POST /v1/responses openai.responses inspected text streams makes=id+conversation.id+output.*.id+response.id+item.id+response.conversation.id
openai.responses.input_tokens POST /v1/responses/input_tokens openai.responses inspected text
openai.moderations POST /v1/moderations openai.moderations inspected text
openai.images.generate POST /v1/images/generations openai.images inspected text
openai.images.edit POST /v1/images/edits form:openai.images inspected prompt
openai.images.vary POST /v1/images/variations form:openai.images inspected prompt
openai.audio.speech POST /v1/audio/speech openai.audio inspected spoken bytes
openai.audio.transcribe POST /v1/audio/transcriptions form:openai.audio inspected heard text
openai.audio.translate POST /v1/audio/translations form:openai.audio inspected heard text
openai.chat.stored.list GET /v1/chat/completions - inspected own state page listed
openai.chat.stored.get GET /v1/chat/completions/{completion_id} - inspected own state view
openai.chat.stored.change POST /v1/chat/completions/{completion_id} openai.chat inspected body state
openai.chat.stored.delete DELETE /v1/chat/completions/{completion_id} - inspected own state
openai.responses.get GET /v1/responses/{response_id} - inspected own state view
openai.responses.delete DELETE /v1/responses/{response_id} - inspected own state
openai.responses.cancel POST /v1/responses/{response_id}/cancel - inspected own state
openai.responses.input.list GET /v1/responses/{response_id}/input_items - inspected own state page makes=data.*.id
openai.conversations.create POST /v1/conversations openai.conversations inspected body state makes=id
openai.conversations.get GET /v1/conversations/{conversation_id} - inspected own state view
openai.conversations.change POST /v1/conversations/{conversation_id} openai.conversations inspected body state
openai.conversations.delete DELETE /v1/conversations/{conversation_id} - inspected own state
openai.conversations.items.create POST /v1/conversations/{conversation_id}/items openai.conversations inspected body state makes=id+data.*.id
openai.conversations.items.list GET /v1/conversations/{conversation_id}/items - inspected own state page makes=data.*.id
openai.conversations.items.get GET /v1/conversations/{conversation_id}/items/{item_id} - inspected own state view
openai.conversations.items.delete DELETE /v1/conversations/{conversation_id}/items/{item_id} - inspected own state
openai.files.create POST /v1/files form:openai.files inspected lines state makes=id
openai.files.list GET /v1/files - inspected own state page listed
openai.files.get GET /v1/files/{file_id} - inspected own state view
openai.files.delete DELETE /v1/files/{file_id} - inspected own state
openai.files.content GET /v1/files/{file_id}/content - inspected raw state bytes
openai.batches.create POST /v1/batches openai.batches inspected body state makes=id
openai.batches.list GET /v1/batches - inspected own state page listed
openai.batches.get GET /v1/batches/{batch_id} - inspected own state view makes=output_file_id+error_file_id
openai.batches.cancel POST /v1/batches/{batch_id}/cancel - inspected own state
openai.vector_stores.create POST /v1/vector_stores openai.vector_stores inspected body state makes=id
openai.vector_stores.list GET /v1/vector_stores - inspected own state page listed
openai.vector_stores.get GET /v1/vector_stores/{store_id} - inspected own state view
openai.vector_stores.change POST /v1/vector_stores/{store_id} openai.vector_stores inspected body state
openai.vector_stores.delete DELETE /v1/vector_stores/{store_id} - inspected own state
openai.vector_stores.search POST /v1/vector_stores/{store_id}/search openai.vector_stores inspected body state
openai.vector_stores.files.create POST /v1/vector_stores/{store_id}/files openai.vector_stores inspected body state makes=id
openai.vector_stores.files.list GET /v1/vector_stores/{store_id}/files - inspected own state page makes=data.*.id
openai.vector_stores.files.get GET /v1/vector_stores/{store_id}/files/{file_id} - inspected own state view
openai.vector_stores.files.change POST /v1/vector_stores/{store_id}/files/{file_id} openai.vector_stores inspected body state
openai.vector_stores.files.delete DELETE /v1/vector_stores/{store_id}/files/{file_id} - inspected own state
openai.vector_stores.files.content GET /v1/vector_stores/{store_id}/files/{file_id}/content - inspected own state
openai.vector_stores.batches.create POST /v1/vector_stores/{store_id}/file_batches openai.vector_stores inspected body state makes=id
openai.vector_stores.batches.get GET /v1/vector_stores/{store_id}/file_batches/{batch_id} - inspected own state view makes=output_file_id+error_file_id
openai.vector_stores.batches.cancel POST /v1/vector_stores/{store_id}/file_batches/{batch_id}/cancel - inspected own state
openai.vector_stores.batches.files GET /v1/vector_stores/{store_id}/file_batches/{batch_id}/files - inspected own state page makes=data.*.id
openai.assistants.create POST /v1/assistants openai.assistants inspected body state makes=id
openai.assistants.list GET /v1/assistants - inspected own state page listed
openai.assistants.get GET /v1/assistants/{assistant_id} - inspected own state view
openai.assistants.change POST /v1/assistants/{assistant_id} openai.assistants inspected body state
openai.assistants.delete DELETE /v1/assistants/{assistant_id} - inspected own state
openai.threads.create POST /v1/threads openai.assistants inspected body state makes=id+thread_id
openai.threads.get GET /v1/threads/{thread_id} - inspected own state view
openai.threads.change POST /v1/threads/{thread_id} openai.assistants inspected body state
openai.threads.delete DELETE /v1/threads/{thread_id} - inspected own state
openai.threads.messages.create POST /v1/threads/{thread_id}/messages openai.assistants inspected body state makes=id
openai.threads.messages.list GET /v1/threads/{thread_id}/messages - inspected own state page makes=data.*.id
openai.threads.messages.get GET /v1/threads/{thread_id}/messages/{message_id} - inspected own state view
openai.threads.messages.change POST /v1/threads/{thread_id}/messages/{message_id} openai.assistants inspected body state
openai.threads.messages.delete DELETE /v1/threads/{thread_id}/messages/{message_id} - inspected own state
openai.threads.run POST /v1/threads/runs openai.assistants inspected body state streams makes=id+thread_id
openai.threads.runs.create POST /v1/threads/{thread_id}/runs openai.assistants inspected body state streams makes=id+thread_id
openai.threads.runs.list GET /v1/threads/{thread_id}/runs - inspected own state page makes=data.*.id
openai.threads.runs.get GET /v1/threads/{thread_id}/runs/{run_id} - inspected own state view
openai.threads.runs.change POST /v1/threads/{thread_id}/runs/{run_id} openai.assistants inspected body state
openai.threads.runs.cancel POST /v1/threads/{thread_id}/runs/{run_id}/cancel - inspected own state
openai.threads.runs.outputs POST /v1/threads/{thread_id}/runs/{run_id}/submit_tool_outputs openai.assistants inspected body state streams
openai.threads.steps.list GET /v1/threads/{thread_id}/runs/{run_id}/steps - inspected own state page makes=data.*.id
openai.threads.steps.get GET /v1/threads/{thread_id}/runs/{run_id}/steps/{step_id} - inspected own state view
openai.fine_tuning.create POST /v1/fine_tuning/jobs openai.fine_tuning kept_local tune state makes=id
openai.fine_tuning.list GET /v1/fine_tuning/jobs - kept_local tune state listed page
openai.fine_tuning.get GET /v1/fine_tuning/jobs/{job_id} - kept_local tune state
openai.fine_tuning.events GET /v1/fine_tuning/jobs/{job_id}/events - kept_local tune state page
openai.fine_tuning.cancel POST /v1/fine_tuning/jobs/{job_id}/cancel - kept_local tune state
openai.uploads POST /v1/uploads - refused pieces
openai.uploads POST /v1/uploads/{upload_id}/parts - refused pieces
openai.uploads POST /v1/uploads/{upload_id}/complete - refused pieces
openai.uploads POST /v1/uploads/{upload_id}/cancel - refused pieces
openai.realtime GET /v1/realtime - refused live
openai.realtime POST /v1/realtime/sessions - refused live
openai.realtime POST /v1/realtime/client_secrets - refused live
openai.realtime POST /v1/realtime/calls - refused live
openai.realtime POST /v1/realtime/transcription_sessions - refused live
openai.videos POST /v1/videos - refused video
openai.videos GET /v1/videos - refused video
openai.containers POST /v1/containers - refused machines
openai.containers GET /v1/containers - refused machines
openai.containers POST /v1/containers/{container_id}/files - refused machines
openai.evals POST /v1/evals - refused stays
openai.evals GET /v1/evals - refused stays
openai.responses.compact POST /v1/responses/compact - refused blob
openai.models.delete DELETE /v1/models/{model_id} - refused shared
anthropic.messages POST /v1/messages anthropic.messages inspected text streams beta
anthropic.count_tokens POST /v1/messages/count_tokens anthropic.count_tokens inspected text beta
anthropic.batches.create POST /v1/messages/batches anthropic.batches inspected batch beta makes=id
anthropic.batches.list GET /v1/messages/batches - inspected own state page listed beta
anthropic.batches.get GET /v1/messages/batches/{batch_id} - inspected own state view beta makes=output_file_id+error_file_id
anthropic.batches.delete DELETE /v1/messages/batches/{batch_id} - inspected own state beta
anthropic.batches.cancel POST /v1/messages/batches/{batch_id}/cancel - inspected own state beta
anthropic.batches.results GET /v1/messages/batches/{batch_id}/results - inspected raw state bytes beta
anthropic.files.create POST /v1/files form:anthropic.files inspected lines state beta makes=id
anthropic.files.list GET /v1/files - inspected own state page listed beta
anthropic.files.get GET /v1/files/{file_id} - inspected own state view beta
anthropic.files.delete DELETE /v1/files/{file_id} - inspected own state beta
anthropic.files.content GET /v1/files/{file_id}/content - inspected raw state bytes beta
anthropic.skills POST /v1/skills - refused machines
anthropic.skills GET /v1/skills - refused machines
"""


def _rows() -> Iterator[Endpoint]:
    for line in _TABLE.strip().splitlines():
        name, method, path, shape, does, why, *more = line.split()
        form, _, of = shape.rpartition(":")
        makes = [word.removeprefix("makes=") for word in more if word.startswith("makes=")]
        yield Endpoint(
            name=name,
            method=method,
            path=path,
            shape=None if shape == "-" else of,
            body="none" if shape == "-" else "form" if form else "json",
            does=cast(Does, does.replace("_", " ")),
            why=_WHY[why],
            routed="state" if "state" in more else "model",
            reply="bytes" if "bytes" in more else "text" if "text" in more else "json",
            makes=tuple(makes[0].split("+")) if makes else (),
            listed="listed" in more,
            streams="streams" in more,
            query=frozenset().union(*(_QUERIES[word] for word in more if word in _QUERIES)),
        )


ENDPOINTS: Final = tuple(_rows())
_WHOLE: Final = {
    (e.wire, e.method, e.path): Call(e, e.path) for e in ENDPOINTS if "{" not in e.path
}
_PATTERNS: Final = [
    (re.compile(re.sub(r"\{\w+\}", f"({ID.pattern})", e.path), re.ASCII), e)
    for e in ENDPOINTS
    if "{" in e.path
]


def match(method: str, path: str, wire: Wire = "openai") -> Call | None:
    """What ``POST /v1/messages`` and its like call; ``None`` is unknown, and refused. ``wire`` is
    looked at first: some paths are on both.

    ``path`` must match to the letter: no query, no trailing slash, no percent-encoding.
    """
    other: Wire = "anthropic" if wire == "openai" else "openai"
    for spoken in (wire, other):
        call = _WHOLE.get((spoken, method, path))
        if call is not None:
            return call
        for pattern, endpoint in _PATTERNS:
            if endpoint.wire == spoken and endpoint.method == method:
                ids = pattern.fullmatch(path)
                if ids:
                    return Call(endpoint, path, ids.groups())
    return None


def query(endpoint: Endpoint, pairs: list[tuple[str, str]]) -> str | None:
    """The first parameter that may not leave, in our own words; ``None`` if all may."""
    for name, value in pairs:
        if name not in endpoint.query:
            return "a parameter that is not known here"
        if not _PARAMETERS[name].fullmatch(value):
            return f"{name} with a value that is not known here"
    return None


def named(body: JSON, patterns: Iterable[str]) -> list[str]:
    """The texts at these paths of a reply: ``data.*.id``."""
    found: list[str] = []
    for pattern in patterns:
        values: list[JSON] = [body]
        for step in pattern.split("."):
            if step == "*":
                values = [item for v in values if isinstance(v, list) for item in v]
            else:
                values = [v[step] for v in values if isinstance(v, dict) and step in v]
        found += [v for v in values if isinstance(v, str) and 0 < len(v) <= 256]
    return found[:MOST_IDS]
