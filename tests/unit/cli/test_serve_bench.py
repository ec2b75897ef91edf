"""``sovereign serve bench`` against a small server: what it counts, and what it hides."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from sovereign.cli import cli

TOKENS = 5


class _Server(http.server.BaseHTTPRequestHandler):
    """Streams five tokens; the model's name asks for faults."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if body["model"] == "busy":
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        frames = [{"choices": [{"delta": {"content": "secret answer"}}]}] * TOKENS
        end = {"choices": [], "usage": {"completion_tokens": TOKENS}}
        for frame in [*frames, end]:
            self.wfile.write(f"data: {json.dumps(frame)}\n\n".encode())
        if body["model"] != "half":
            self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def _run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["serve", "bench", *arguments])
    return done.exit_code, f"{done.output}{done.exception or ''}"


def test_every_request_is_counted_with_its_tokens(url: str) -> None:
    """By the usage that the server tells."""
    code, said = _run("m", "--url", url, "--callers", "1,3", "--requests", "6", "--json")
    assert code == 0, said
    levels = json.loads(said)["levels"]
    assert [found["callers"] for found in levels] == [1, 3]
    for found in levels:
        assert found["requests"] == 6
        assert found["failed"] == {}
        assert found["tokens_per_second"] > 0
        assert 0 < found["first_s"]["p50"] <= found["whole_s"]["p99"]
        assert found["gap_s"]["p50"] is not None


@pytest.mark.parametrize(
    ("model", "kind"), [("busy", "status 503"), ("half", "a stream that broke off")]
)
def test_a_failed_request_is_told_and_in_no_average(url: str, model: str, kind: str) -> None:
    """A refusal is fast: among the answers it would make a server look better than it is."""
    code, said = _run(model, "--url", url, "--callers", "2", "--requests", "4")
    assert code != 0
    assert f"failed at 2 callers: 4 × {kind}" in said
    assert "no request was answered" in said


def test_the_page_needs_nothing_and_holds_no_text(url: str, tmp_path: Path) -> None:
    """Table and plots; neither what was asked nor what was answered."""
    prompts = tmp_path / "prompts.jsonl"
    rows = [
        {"prompt": "private question"},
        {
            "messages": [
                {"role": "user", "content": "private"},
                {"role": "assistant", "content": "x"},
            ]
        },
    ]
    prompts.write_text("\n".join(json.dumps(row) for row in rows))
    page = tmp_path / "bench.html"
    code, said = _run("m", "--url", url, "--prompts", str(prompts), "--html", str(page))
    assert code == 0, said
    html = page.read_text()
    assert html.count("<svg") == 3
    assert "nan" not in html
    assert "http://" not in html.replace("http://www.w3.org/2000/svg", "")
    assert not any(text in html + said for text in ("private", "secret"))


def test_a_file_that_holds_no_prompts_is_refused_by_the_line(tmp_path: Path) -> None:
    """Without a word of it."""
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "a"}\nprivate\n')
    code, said = _run("m", "--prompts", str(prompts))
    assert code != 0
    assert "line 2" in said
    assert "private" not in said
