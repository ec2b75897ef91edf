"""A sequencer's loop, step by step."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from sequenced import KEY, ORIGIN, some, stored

from sovereign.audit import record
from sovereign.audit.hub import Hub
from sovereign.audit.log import opened
from sovereign.audit.place import Place
from sovereign.audit.spool import Spool
from sovereign.audit.starting import Starter
from sovereign.audit.verify import verify


@pytest.mark.parametrize("numbers", [(0, 1), (0, 2)], ids=["whole", "with a gap"])
def test_what_a_sequencer_has_to_say_is_not_lost_with_a_spool_that_has_to_wait(
    tmp_path: Path, numbers: tuple[int, ...]
) -> None:
    """The database is away just when a spool is to be taken in. Both are in the log once it is
    back, and once each."""
    folder = tmp_path / "log"
    folder.mkdir()
    kept = Spool(folder, "gateway-1")
    kept.add([record.encode(some(n), time=1.0, source="gateway-1", seq=n) for n in numbers])
    kept.close()
    chain = opened(Place(folder), key=KEY, origin=ORIGIN, source="sequencer-1", clock=time.time)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        hub = Hub(chain, listener, folder=folder, source="sequencer-1", linger=None, heartbeat=60.0)
        hub._say("log.heartbeat", clients=0)
        database = folder / "log.db"
        database.rename(database.with_suffix(".away"))
        hub._take_in_spools()
        database.with_suffix(".away").rename(database)
        for _ in range(2):
            hub._take_in_spools()
        hub._commit([], sign=True)
    chain.close()
    records = stored(Starter(Place(folder), folder / "no-key", ORIGIN))
    types = [r["type"] for r in records]
    assert types.count("log.heartbeat") == types.count("log.spool") == 1
    assert types.count("log.gap") == (numbers == (0, 2))
    assert [r["request"] for r in records if "request" in r] == [f"r{n}" for n in numbers]
    assert verify(folder).ok
