"""What lies on the disk: no names, addresses, numbers or titles (rule 23)."""

from datetime import timedelta
from pathlib import Path

from calrelay.domain.entry import Entry, Hasher
from calrelay.domain.link import CalendarId
from calrelay.domain.people import Participant, Phone, Role
from calrelay.state.database import Database
from calrelay.state.ledger import SqlLedger
from tests.fakes.links import HOUR, NOON, a_happening, a_hold, a_link, a_pass

PEOPLE = ("Rosalind", "rosalind@example.com", "2125550147", "Gala Dinner", "Orchid Room", "vegetarian", "wheelchair")


def test_the_files_hold_nothing_of_the_guests(database: Database, tmp_path: Path) -> None:
    """An entry full of people goes through everything that is stored of it, and none of it can be read from the disk."""
    entry = Entry(
        calendar=CalendarId("1000030001"),
        title="Gala Dinner",
        start=NOON,
        end=NOON + HOUR,
        zone="America/New_York",
        location="Orchid Room",
        content="vegetarian",
        participants=(Participant(role=Role.CONTACT, name="Rosalind", email="rosalind@example.com", phone=Phone("+12125550147")),),
        custom_data={"note": "wheelchair"},
    )
    ledger = SqlLedger(database)
    imprint = Hasher(ledger.hash_key()).of_entry(entry)
    ledger.store([a_link(wanted=imprint, accepted=imprint)], [a_happening()])
    ledger.save_holds("venue", [a_hold()])
    ledger.record_pass(a_pass(started_at=NOON + timedelta(days=1)))
    files = sorted(tmp_path.iterdir())
    written = b"".join(path.read_bytes() for path in files)
    assert len(files) == 3
    assert b"ts-1" in written
    assert not [word for word in PEOPLE if word.casefold().encode() in written.lower()]
