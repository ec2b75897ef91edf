"""Tables of a real PostgreSQL server: every row once, read-only, and from any place on."""

from __future__ import annotations

import json

import psycopg
from scan_samples import CHAT, MAIL
from scanned import Seen, records, seen, unread

from sovereign.scan.readers import open_reader
from sovereign.scan.readers.postgres_reader import PostgresReader, TableSource, tables
from sovereign.scan.record import Direction


def _made(url: str) -> dict[str, TableSource]:
    with psycopg.connect(url) as connection:
        connection.execute(
            'CREATE TABLE "LiteLLM_SpendLogs" (request_id text PRIMARY KEY, call_type text,'
            ' spend float, model text, api_base text, "user" text, messages jsonb, response jsonb,'
            ' "startTime" timestamp)'
        )
        for number in range(1200):
            connection.execute(
                'INSERT INTO "LiteLLM_SpendLogs" VALUES (%s, %s, 0.1, %s, %s, %s, %s, %s, %s)',
                (
                    f"r{number:05}",
                    "acompletion",
                    "gpt-4o",
                    "https://api.openai.com/v1",
                    "ada",
                    json.dumps(CHAT["messages"]),
                    json.dumps({"choices": [{"message": {"content": f"Dear {MAIL}"}}]}),
                    "2026-01-02 03:04:05",
                ),
            )
        connection.execute("CREATE TABLE faces (face bytea, n numeric)")
        connection.execute("INSERT INTO faces VALUES ('\\xff00', 12345.678)")
        connection.execute("CREATE VIEW shown AS SELECT * FROM faces")
    return {source.table: source for source in tables(url)}


def _read(source: TableSource, resume: int = 0) -> list[Seen]:
    reader = open_reader(source)
    assert isinstance(reader, PostgresReader)
    return list(map(seen, reader.read(source, resume)))


def test_every_row_is_read_once_and_from_any_place_on(database: str) -> None:
    """In the order of the primary key, through a cursor: never more than some rows are held."""
    source = _made(database)["LiteLLM_SpendLogs"]
    found = _read(source)
    assert [r.number for r in records(found)] == list(range(1, 1201))
    assert not unread(found)
    for place in (1, 499, 500, 777, 1200):
        assert _read(source, place) == found[place:]


def test_a_row_of_a_spend_log_tells_what_was_sent_and_what_came_back(database: str) -> None:
    """The leak that an audit looks for, in LiteLLM's own columns."""
    record = records(_read(_made(database)["LiteLLM_SpendLogs"]))[0]
    assert record.call is not None
    assert (record.call.provider, record.call.model) == ("openai", "gpt-4o")
    assert (record.call.caller, record.call.request_id) == ("ada", "r00000")
    ways = {f.path: f.direction for f in record.fields}
    assert ways["messages[0].content"] is Direction.SENT
    assert ways["response.choices[0].message.content"] is Direction.RECEIVED
    assert ways["user"] is Direction.STORED
    assert record.time == 1767323045.0


def test_only_tables_are_read_and_the_name_of_one_shows_no_password(database: str) -> None:
    sources = _made(database)
    assert set(sources) == {"LiteLLM_SpendLogs", "faces"}
    assert [f.text for r in records(_read(sources["faces"])) for f in r.fields] == ["12345.678"]
    hidden = TableSource("postgresql://ada:hunter2@db/x", "public", "t")
    assert hidden.name == "postgresql://db/x/public.t"
    assert "hunter2" not in repr(hidden)


def test_a_table_that_may_not_be_read_is_reported(database: str) -> None:
    """The summary counts it; the rest is read."""
    source = _made(database)["faces"]
    assert unread(_read(TableSource(source.url, "public", "gone"))) == ["the server failed (42P01)"]
    shut = TableSource(source.url, "public", "faces", readable=False)
    assert unread(_read(shut)) == ["no permission to read this table"]
