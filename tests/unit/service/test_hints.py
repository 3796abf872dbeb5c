"""Which hints are kept, which pass looks at them, and when they are let go."""

import pytest

from calrelay.domain.event import SourceId
from calrelay.engine.order import Reach
from calrelay.service.hints import AT_ONCE, FEW, MOST, Fate, Hints


def ids(*numbers: int) -> list[SourceId]:
    return [SourceId(str(number)) for number in numbers]


class Ear:
    """Hears what became of hints."""

    def __init__(self) -> None:
        self.heard: list[tuple[Fate, float]] = []

    def __call__(self, fate: Fate, seconds: float) -> None:
        self.heard.append((fate, seconds))


def test_an_id_that_is_named_again_waits_once_and_its_lag_counts_from_the_first_time() -> None:
    hints, ear = Hints(), Ear()
    hints.add(ids(1), 10, ear)
    hints.add(ids(1, 2), 11, ear)
    assert len(hints) == 2
    hints.answer(12, 15, ids(1, 2))
    assert ear.heard == [(Fate.READ, 5), (Fate.READ, 4)]
    assert not hints.are_ready


def test_an_id_that_was_named_again_while_its_pass_ran_is_looked_at_again() -> None:
    hints = Hints()
    hints.add(ids(1), 10)
    hints.add(ids(1), 13)
    hints.answer(12, 15, ids(1))
    assert (len(hints), hints.next_ids()) == (1, frozenset(ids(1)))
    hints.answer(16, 17, ids(1))
    assert len(hints) == 0


def test_a_pass_over_everything_answers_what_came_before_it_began_and_nothing_else() -> None:
    hints = Hints()
    hints.add(ids(1, 2), 10)
    hints.add(ids(3), 12)
    hints.answer(11, 20)
    assert hints.next_ids() == frozenset(ids(3))


@pytest.mark.parametrize(
    ("number", "costs", "reads_changes", "reach"),
    [
        (FEW, {Reach.QUICK: 1, Reach.COMPLETE: 1}, True, Reach.IDS),
        (FEW + 1, {Reach.QUICK: 2, Reach.COMPLETE: 40}, True, Reach.QUICK),
        (FEW + 1, {Reach.QUICK: 2, Reach.COMPLETE: 40}, False, Reach.IDS),  # quick reads show the next days only
        (50, {Reach.QUICK: 2, Reach.COMPLETE: 40}, False, Reach.COMPLETE),
        (50, {Reach.QUICK: 60, Reach.COMPLETE: 40}, True, Reach.COMPLETE),
        (50, {}, True, Reach.IDS),
    ],
)
def test_the_cheapest_pass_that_sees_all_of_them_is_chosen(number: int, costs: dict[Reach, int], reads_changes: bool, reach: Reach) -> None:
    hints = Hints()
    hints.add(ids(*range(number)), 0)
    assert hints.choose(costs, reads_changes=reads_changes) is reach


@pytest.mark.parametrize(("reads_changes", "reach"), [(True, Reach.QUICK), (False, Reach.COMPLETE)])
def test_a_flood_is_not_remembered_id_by_id_but_read_as_what_changed(reads_changes: bool, reach: Reach) -> None:
    hints, ear = Hints(), Ear()
    hints.add(ids(*range(MOST + 7)), 0, ear)
    assert (len(hints), ear.heard) == (MOST, [(Fate.DROPPED, 0.0)] * 7)
    assert hints.choose({}, reads_changes=reads_changes) is reach
    hints.answer(1, 2)
    hints.add(ids(1), 3)
    assert hints.choose({}, reads_changes=reads_changes) is Reach.IDS


def test_one_pass_asks_for_a_few_ids_those_that_waited_longest() -> None:
    hints = Hints()
    hints.add(ids(*range(AT_ONCE + 5)), 0)
    assert hints.next_ids() == frozenset(ids(*range(AT_ONCE)))


def test_while_a_vendor_is_down_hints_are_kept_and_not_ready() -> None:
    hints = Hints()
    hints.add(ids(1), 0)
    hints.is_patient = True
    assert (hints.are_ready, len(hints)) == (False, 1)


def test_dropped_hints_are_told_of() -> None:
    hints, ear = Hints(), Ear()
    hints.add(ids(1, 2), 0, ear)
    hints.drop()
    assert (len(hints), ear.heard) == (0, [(Fate.DROPPED, 0.0)] * 2)
