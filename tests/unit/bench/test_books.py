"""What the bench's server notes of a trial: what was sent again, and which event is the one that may be refused."""

import pytest
from bench.books import BATCH, FILE, Books, place_of_poison


def test_what_is_sent_again_is_counted_beside_what_was_never_sent() -> None:
    """A batch that was sent five times is four batches too many, even if as many others were left out."""
    books = Books({})
    for _ in range(5):
        books.note_sent(["a", "b"])
    books.note_sent(["c"])
    assert books.sent == 11
    assert books.sent_again == 8


def test_an_event_each_once_is_nothing_sent_again() -> None:
    books = Books({})
    books.note_sent(["a", "b"])
    books.note_sent(["c"])
    assert books.sent_again == 0


@pytest.mark.parametrize("count", [1_000, 10_000])
def test_the_poisoned_event_is_amid_its_batch_and_its_file(count: int) -> None:
    place = place_of_poison(count)
    assert place % BATCH == BATCH // 2
    assert place % FILE // BATCH == 4, "of the ten batches of a file, one in the middle"
    assert count // 5 <= place <= count // 2


def test_even_of_few_events_one_is_poisoned() -> None:
    assert place_of_poison(10) == 9
