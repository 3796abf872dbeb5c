"""Passes and plans in words: what an operator reads after `sync` and `plan`."""

import dataclasses
from datetime import timedelta

from calrelay.cli.output import Block, Table, plain_table
from calrelay.cli.pass_texts import SHOWN, describe_passes
from calrelay.cli.plan_texts import describe_plans
from calrelay.cli.tenants import headline
from calrelay.domain.guard import Limit, Limits
from calrelay.engine.order import Order
from calrelay.engine.report import PassReport, Problem
from calrelay.engine.sync import run_pass
from tests.fakes.memory_source import NOW, an_event, moved, with_status
from tests.fakes.pipelines import MAIN_HALL, Bench, a_bench

HOUR = timedelta(hours=1)


def text_of(blocks: list[Block]) -> str:
    """Return blocks as they stand where there is no terminal."""
    return "\n".join(line for block in blocks for line in ([block] if isinstance(block, str) else plain_table(block)))


async def loaded(bench: Bench) -> Bench:
    assert (await bench.sync()).exit_code == 0
    return bench


async def a_plan(bench: Bench) -> PassReport:
    return await run_pass(bench.pipeline, Order(command="plan", is_dry_run=True))


def plan_text(*reports: PassReport) -> str:
    return text_of(describe_plans(reports, {MAIN_HALL: "Main Hall"}))


async def test_a_pass_is_told_in_one_line_with_counts_in_words_and_who_could_be_messaged() -> None:
    report = await a_bench(*(an_event(i) for i in range(1, 4)), with_status(an_event(4), "TENTATIVE")).sync()
    first = text_of(describe_passes([report])).splitlines()[0]
    assert first.startswith("venue  ok  read 4: 3 created, 1 skipped; 3 people could have been messaged (")


async def test_a_pass_without_work_says_nothing_of_people_and_names_no_command() -> None:
    bench = a_bench(an_event(1))
    await bench.sync()
    text = text_of(describe_passes([await bench.sync()]))
    assert "1 unchanged" in text
    assert "messaged" not in text
    assert "Next" not in text


async def test_a_read_that_shows_nothing_has_sent_nothing_where_all_it_wants_is_held() -> None:
    bench = await loaded(a_bench(*(an_event(i) for i in range(1, 9))))
    for number in range(1, 9):
        bench.source.remove(number)
    text = text_of(describe_passes([await bench.sync()]))
    assert "nothing was sent" in text
    assert "not known" not in text


def test_the_tenants_are_not_all_well_where_one_is_missing() -> None:
    assert headline([], {}) == "0 tenants, 0 pipelines: all of them well"
    assert headline([], {}, deserted=1) == "0 tenants, 0 pipelines: 1 pipeline that no file names"


def test_a_problem_that_many_events_share_is_told_once() -> None:
    report = PassReport(pipeline="venue", command="plan", started_at=NOW)
    report.problems += [
        Problem(kind="MappingError", external_id=f"ms-{n}", message="both claim this event", remedy="narrow one") for n in range(79)
    ]
    report.problems.append(Problem(kind="MappingError", external_id="ms-80", message="no time zone", remedy="set `zones`"))
    text = text_of(describe_passes([report]))
    assert text.count("both claim this event") == text.count("narrow one") == 1
    assert "ms-0, ms-1, ms-2 and 76 more" in text
    assert "ms-80" in text


async def test_a_problem_tells_the_event_what_happened_and_what_to_do() -> None:
    bench = a_bench(an_event(1))
    bench.source.spoil(7)
    text = text_of(describe_passes([await bench.sync()]))
    assert "venue  ms-7  no time zone" in text
    assert "→ set `zones`" in text
    assert "1 event in quarantine" in text
    assert "calrelay quarantine list" in text


async def test_what_is_held_names_the_next_command_and_reaches_nobody() -> None:
    bench = await loaded(a_bench(*(an_event(i) for i in range(1, 11))))
    bench.limits = Limits(first_load=10_000, deletes=Limit(count=1))
    for number in (1, 2, 3):
        bench.source.put(with_status(an_event(number), "LOST"))
    bench.source.put(an_event(11))
    report = await bench.sync()
    text = text_of(describe_passes([report]))
    assert "3 actions held until you decide" in text
    assert "calrelay holds" in text
    assert report.people == 1


def test_many_problems_are_cut_off_with_a_word() -> None:
    report = PassReport(pipeline="venue", command="sync", started_at=NOW)
    report.problems = [Problem(kind="MappingError", message=f"odd {number}", external_id=f"ts-{number}") for number in range(SHOWN + 5)]
    text = text_of(describe_passes([report]))
    assert "and 5 more; --json lists all of them" in text
    assert f"odd {SHOWN - 1}" in text
    assert f"odd {SHOWN}" not in text


async def test_a_report_of_a_sync_names_nobody() -> None:
    report = await a_bench(an_event(1)).sync()
    assert "Guest" not in text_of(describe_passes([report]))


async def test_a_plan_lists_creates_with_time_event_calendar_and_people() -> None:
    text = plan_text(await a_plan(a_bench(an_event(1))))
    assert "would create 1; 0 unchanged, 0 skipped" in text
    row = next(line for line in text.splitlines() if "ms-1" in line)
    assert row.split("  ")[2:] == ["Sun 2026-11-22 10:00 EST", "ms-1", "Dinner 1", "Main Hall", "Guest 1"]
    assert "1 person could be messaged." in text
    assert "nothing was written anywhere" in text


async def test_a_plan_says_which_fields_change_and_by_how_much_an_event_moves() -> None:
    bench = await loaded(a_bench(an_event(1), an_event(2)))
    bench.source.put(moved(an_event(1), HOUR), dataclasses.replace(an_event(2), title="Supper"))
    text = plan_text(await a_plan(bench))
    assert "Update (2)" in text
    assert "moved 1 h later" in text
    assert any("Supper" in line and "title" in line for line in text.splitlines())


async def test_a_plan_tells_deletes_with_their_reason_even_when_the_event_is_gone() -> None:
    bench = await loaded(a_bench(an_event(1), an_event(2)))
    bench.source.put(with_status(an_event(1), "LOST"))
    bench.source.remove(2)
    text = plan_text(await a_plan(bench))
    assert "Delete (2)" in text
    assert "status LOST" in text
    assert "gone from the source" in text
    assert "(not at the source any more)" in text


async def test_a_plan_groups_what_it_would_hold_and_counts_its_people_apart() -> None:
    bench = await loaded(a_bench(*(an_event(i) for i in range(1, 4))))
    bench.limits = Limits(first_load=10_000, creates=Limit(count=1))
    bench.source.put(*(an_event(i) for i in range(11, 14)))
    text = plan_text(await a_plan(bench))
    assert "Held (3): 3 to create: more new events at once" in text
    assert "calrelay approve venue" in text
    assert "0 people could be messaged, and 3 by what is held" in text
    assert "Create (" not in text


async def test_a_plan_of_a_first_load_explains_itself() -> None:
    text = plan_text(await a_plan(a_bench(*(an_event(i) for i in range(1, 6)), first_load=0)))
    assert "first load of pipeline venue would create 5 events" in text
    assert "calrelay backfill venue --from" in text


async def test_a_plan_counts_skips_by_reason() -> None:
    bench = a_bench(*(with_status(an_event(i), "TENTATIVE") for i in range(1, 4)), with_status(an_event(9), "LOST"))
    lines = [line.split() for line in plan_text(await a_plan(bench)).splitlines()]
    assert ["venue", "3", "status", "TENTATIVE"] in lines
    assert ["venue", "1", "status", "LOST"] in lines


async def test_many_people_of_an_event_are_counted_after_the_third() -> None:
    guests = tuple(an_event(i).participants[0] for i in range(1, 6))
    text = plan_text(await a_plan(a_bench(dataclasses.replace(an_event(1), participants=guests))))
    assert "Guest 1, Guest 2, Guest 3 and 2 more" in text


def test_blocks_without_rows_are_never_printed() -> None:
    report = PassReport(pipeline="venue", command="sync", started_at=NOW)
    assert [block for block in describe_passes([report]) if isinstance(block, Table) and not block.rows] == []


async def test_a_plan_counts_what_is_in_quarantine() -> None:
    bench = await loaded(a_bench(an_event(1)))
    bench.source.put(an_event(2))
    bench.source.spoil(2)
    assert "read 2; would send nothing; 1 unchanged, 0 skipped, 1 in quarantine" in plan_text(await a_plan(bench))
