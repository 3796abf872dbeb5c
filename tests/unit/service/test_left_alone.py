from datetime import timedelta

import pytest

from calrelay.domain.link import State
from calrelay.service.left_alone import left_alone
from tests.fakes.links import NOON, a_link
from tests.fakes.memory_ledger import MemoryLedger


@pytest.mark.parametrize(("age", "is_listed"), [(timedelta(days=1), True), (timedelta(days=399), True), (timedelta(days=401), False)])
def test_a_dropped_event_whose_times_nobody_knows_is_not_listed_for_ever(age: timedelta, is_listed: bool) -> None:
    ledger = MemoryLedger()
    ledger.store([a_link(state=State.IGNORED, until_changed=True, wanted=None, accepted=None, since=NOON - age)])
    assert bool(left_alone(ledger, "venue", NOON)) is is_listed
