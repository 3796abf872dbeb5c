"""After a run through everything that can go wrong: no guest and no secret in the database, its journal, the logs or the reports."""

import json
import signal
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from calrelay.simulators.faults import Fault, Kind, When
from calrelay.simulators.people import Person
from calrelay.simulators.tripleseat.rows import an_event_row
from tests.system_local.naive import e164, people_of
from tests.system_local.stage import Stage
from tests.system_local.test_processes import caught_in_the_middle
from tests.unit.cli.house import Said

# A guest whose every word is a needle: nothing else anywhere is written like this.
GUEST = Person(number=9, first_name="Zyxwelda", last_name="Quombert", email="zyxwelda.quombert@example.com", phone="(646) 555-0199")
TITLE = "Vexillology Gala of Zyxwelda Quombert"
ODD_ID, BAD_ID = 69_999_001, 69_999_002


def spellings(phone: str) -> set[str]:
    """Return a number as people and programs write it."""
    digits = e164(phone)[2:]
    area, exchange, line = digits[:3], digits[3:6], digits[6:]
    groups = {f"{area}{sign}{exchange}{sign}{line}" for sign in ("", "-", ".", " ")}
    return {phone, f"({area}) {exchange}-{line}", f"{exchange}-{line}", f"{exchange}{line}", *groups}


def guests(stage: Stage) -> Iterator[str]:
    """Yield everything the guests of this world are called, and can be reached by."""
    for person in people_of(stage.world):
        yield from filter(None, [person.get("fullName"), person.get("emailAddress")])
        yield from (mail["address"] for mail in person.get("email_addresses") or ())
        phones = [person.get("cellPhone"), *(phone["number"] for phone in person.get("phone_numbers") or ())]
        for phone in filter(None, phones):
            yield from spellings(phone)
        first, last = (
            (person.get(key) for key in ("firstName", "lastName")) if "clientId" in person else (person["first_name"], person["last_name"])
        )
        if first and last:
            yield f"{first} {last}"
    yield from (stored.row["name"] for stored in stage.world.tripleseat.events)
    yield from (stored.row["account"]["name"] for stored in stage.world.tripleseat.events if stored.row["account"])
    yield from ("Zyxwelda", "Quombert", "quombert", "Vexillology")


def secrets(stage: Stage) -> set[str]:
    tripleseat, timetap, apptoto = stage.world.tripleseat.settings, stage.world.timetap.settings, stage.world.apptoto.settings
    return {tripleseat.client_secret, timetap.private_key, apptoto.api_key}


def tokens(stage: Stage) -> set[str]:
    """Return the tokens that are worth something at this moment, and the signature that buys one."""
    authority, bought = stage.world.tripleseat.authority, stage.world.timetap.journal.entries
    signatures = {value for entry in bought for key, value in entry.query if key == "signature"}
    return set(authority._access) | authority._refresh | set(stage.world.timetap.tokens._minted) | signatures


def assert_clean(where: str, text: str, needles: set[str]) -> None:
    found = sorted(needle for needle in needles if needle in text)
    shown = [text[max(0, text.index(needle) - 80) : text.index(needle) + 80] for needle in found[:3]]
    assert not found, f"{where} holds {found[:5]}: {shown}"


def files(stage: Stage) -> Mapping[str, str]:
    """Return what lies in the folder beside the config, journals included."""
    return {path.name: path.read_bytes().decode("utf-8", "replace") for path in stage.folder.iterdir() if path != stage.config}


def add(stage: Stage, event_id: int, **changes: Any) -> None:
    start = (datetime.now(UTC) + timedelta(days=4)).replace(tzinfo=None, minute=0)
    row = an_event_row(event_id, start, start + timedelta(hours=2), contact=GUEST, name=TITLE, account=f"{GUEST.last_name} LLC")
    stage.world.tripleseat.events.add({**row, **changes})


def quoting(status: int, **about: Any) -> Fault:
    """Make a vendor refuse something in words that quote a guest and a token."""
    words = {"errors": {"contact": [f"{TITLE}: {GUEST.email}, {GUEST.phone}, {e164(GUEST.phone)}"]}, "error": TITLE}
    return Fault(kind=Kind.STATUS, status=status, body=json.dumps(words), **about)


def misfortunes(stage: Stage) -> Iterator[Said]:
    """Run calrelay through one misfortune after the other, and yield what it said each time."""
    world = stage.world
    yield stage.type("sync", "--json")
    yield stage.execute("sync")
    # Rows that cannot be mapped, one that the target refuses, and refusals that quote.
    add(stage, ODD_ID, event_end_utc=f"{TITLE} {GUEST.phone}", event_end_iso8601=None, event_end=GUEST.email, end_time=None)
    add(stage, BAD_ID)
    world.apptoto.settings.poison = (f"ts-{BAD_ID}",)
    yield stage.type("sync", "--json")
    world.apptoto.settings.poison = ()
    world.tripleseat.events.rename(BAD_ID, f"{TITLE} again")
    world.apptoto.faults.add(quoting(422, method="PUT", times=None))
    yield stage.type("sync", "venue")
    world.apptoto.faults.clear()
    for status in (400, 401, 403, 404):
        world.tripleseat.faults.add(quoting(status, path="/v1/events/search", times=2))
        world.timetap.faults.add(quoting(status, path="/appointmentList/report", times=2))
        yield stage.type("sync", "--json")
        world.tripleseat.faults.clear()
        world.timetap.faults.clear()
    yield stage.type("quarantine", "list", "--json")
    # Rows of another shape, holds, a decision, and stale tokens.
    world.tripleseat.events.patch(ODD_ID, {"contact": TITLE, "rooms": GUEST.email, "status": {"name": GUEST.last_name}})
    for stored in list(world.tripleseat.events)[20:60]:
        world.tripleseat.events.set_status(stored.row["id"], "LOST")
    world.tripleseat.expire_tokens()
    world.timetap.tokens.expire()
    yield stage.type("sync", "--json")
    yield stage.type("approve", "venue")
    yield stage.type("sync", "--json")
    yield stage.type("status")
    world.tripleseat.authority.revoke()
    yield stage.type("sync", "venue")


def test_nothing_a_guest_is_called_and_no_secret_is_ever_written_down(full_stage: Stage) -> None:
    full_stage.configure(level="debug")
    needles = set(guests(full_stage)) | secrets(full_stage)
    assert len(needles) > 1000
    calendars = set(full_stage.world.calendars)  # at a studio they are called like the people they belong to
    said, bought = [], tokens(full_stage)
    for number, one in enumerate(misfortunes(full_stage)):
        said.append(one)
        bought |= tokens(full_stage)
        if number % 5 == 4:
            assert_clean(f"the folder after run {number}", "".join(files(full_stage).values()), needles | calendars)
    assert_clean("the folder in the end", "".join(files(full_stage).values()), needles | calendars)
    codes = {one.code for one in said}
    assert codes == {0, 1, 3, 4}, codes
    assert len(bought) > 5
    for number, one in enumerate(said):
        assert "Traceback" not in one.err
        for where, text in (("stderr", one.err), ("stdout", one.out)):
            assert_clean(f"{where} of run {number}", text, needles | bought)


def test_the_journal_of_a_killed_process_holds_nobody_either(small_stage: Stage) -> None:
    """SQLite's journal is only there while somebody works, or after he was killed."""
    add(small_stage, ODD_ID)
    needles = set(guests(small_stage)) | secrets(small_stage)
    with caught_in_the_middle(small_stage, "sync", when=When.AFTER, puts=0) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    found = files(small_stage)
    assert len(found["calrelay.db-wal"]) > 10_000
    for name, text in found.items():
        assert_clean(name, text, needles)


def test_the_needles_would_be_found(small_stage: Stage) -> None:
    """What the target was sent is full of them, so a leak would show."""
    add(small_stage, ODD_ID)
    small_stage.sync()
    bodies = "".join(entry.body.decode() for entry in small_stage.writes())
    for needle in (GUEST.email, GUEST.first_name, TITLE, "6465550199"):
        assert needle in bodies
        assert needle in set(guests(small_stage))
