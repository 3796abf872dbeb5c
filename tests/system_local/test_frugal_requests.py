"""What a pass without changes asks of the real adapters' simulators: as many pages as there are rows, and nothing of the target."""

import math
from collections import Counter
from datetime import timedelta

from calrelay.domain.guard import Limits
from calrelay.engine.order import Reach
from calrelay.simulators.faults import Journal
from tests.contracts.source_contract import read
from tests.fakes.guests import book
from tests.fakes.simulated_venue import NOW, WINDOW, Rules, Speeds, Venue
from tests.vendors.timetap_account import NOW as TIMETAP_NOW
from tests.vendors.timetap_account import REPORT, open_account

TRACKED = 300  # it was seen with 5,000, which takes half a minute to put into two simulators
A_PAGE = 50  # Tripleseat: 4
BULK = Speeds(source_per_second=1_000, target_per_minute=600_000, batch_size=100)


def asked(journal: Journal) -> Counter[tuple[str, str]]:
    return Counter((entry.method, entry.path) for entry in journal.entries)


def forget(venue: Venue) -> None:
    venue.tripleseat.journal.clear()
    venue.apptoto.journal.clear()


def test_at_tripleseat_each_page_is_asked_for_once_and_the_target_for_nothing() -> None:

    venue = Venue(speeds=BULK, rules=Rules(limits=Limits(first_load=TRACKED), terrace_apart=False))
    venue.apptoto.settings.requests_per_minute = None
    venue.tripleseat.settings.requests_per_second = 0
    try:
        long_ago = NOW - timedelta(days=30)
        for number in range(TRACKED):
            book(
                venue.tripleseat,
                number,
                NOW + timedelta(hours=1) + WINDOW.future * 0.98 * number / TRACKED,
                created=long_ago,
                updated=long_ago,
            )
        venue.sync()
        assert len(venue.live) == TRACKED
        search = ("GET", "/v1/events/search.json")
        for reach, pages in ((Reach.COMPLETE, TRACKED // A_PAGE), (Reach.QUICK, 1)):
            forget(venue)
            report = venue.sync(reach)
            assert report is not None
            assert report.sent == 0
            assert (asked(venue.tripleseat.journal), asked(venue.apptoto.journal)) == ({search: pages}, {})
        venue.restart()  # a command that is run anew has its token and its calendar's id in the ledger
        forget(venue)
        venue.sync()
        assert (asked(venue.tripleseat.journal), asked(venue.apptoto.journal)) == ({search: TRACKED // A_PAGE}, {})
    finally:
        venue.close()


async def test_at_timetap_the_count_each_page_and_the_empty_one_behind_are_asked_for_and_no_second_token() -> None:
    """The list ends with an empty page, and its count proves it whole (TimeTap: 5)."""
    async with open_account(page_size=A_PAGE) as account:
        for number in range(120):  # sixty of them soon
            far = timedelta(days=60) if number >= 60 else timedelta()
            account.add(TIMETAP_NOW + far + timedelta(minutes=10 * (number + 1)))
        await read(account)
        for days, rows in ((180, 120), (3, 60)):
            account.sim.journal.clear()
            assert (await read(account, days=days)).flaws == []
            paths = Counter(entry.path.removeprefix("/live") for entry in account.sim.journal.entries)
            assert paths == {"/appointmentList/reportCount": 1, REPORT: math.ceil(rows / A_PAGE) + 1}
