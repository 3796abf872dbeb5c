"""SIGTERM while Apptoto does not answer. It takes the 25 seconds that the daemon may wait, which is why it is no part of `make test`."""

import signal
import time
from pathlib import Path

import pytest

from calrelay.domain.link import State
from calrelay.simulators.faults import Fault, Kind, When
from calrelay.state.database import open_database
from calrelay.state.ledger import SqlLedger
from tests.system_local.test_daemon_in_a_process import doubled, running
from tests.unit.cli.house import a_house

pytestmark = pytest.mark.system


@pytest.mark.parametrize("when", When)
def test_it_ends_within_thirty_seconds_with_nought_and_loses_nothing(tmp_path: Path, when: When) -> None:
    """Whether or not the batch in flight had been written."""
    with a_house(tmp_path) as house:
        text = house.config.read_text().replace('calendar = "Main Hall"', 'calendar = "Main Hall"\nguards = { first_load = 1000 }')
        house.config.write_text(text[: text.index('[[pipelines]]\nname = "studio"')])
        apptoto = house.world.apptoto
        hanging = apptoto.faults.add(Fault(kind=Kind.HANG, method="PUT", seconds=120, when=when, skip=1))
        with running(house) as process:
            process.wait_for("READY=1")
            while hanging.times != 0:  # the batch in hand is at Apptoto
                time.sleep(0.02)
            began = time.monotonic()
            code, _ = process.end()
            took = time.monotonic() - began
        assert code == 0
        assert 20 < took < 30
        with open_database("sqlite:///calrelay.db", tmp_path) as database:
            assert SqlLedger(database).links_in("venue", {State.SENDING})
        apptoto.faults.clear()
        with running(house) as process:
            process.wait_for("STATUS=venue: well")
            assert process.end(signal.SIGTERM)[0] == 0
        with open_database("sqlite:///calrelay.db", tmp_path) as database:
            settled = {link.external_id for link in SqlLedger(database).links_in("venue", {State.SETTLED}) if link.is_live}
        assert sorted(str(event.external_id) for event in apptoto.events.live_events()) == sorted(settled)
        assert doubled(house) == 0
