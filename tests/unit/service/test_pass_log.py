"""What stands in the log of a daemon."""

import dataclasses
from collections.abc import MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from calrelay.engine.order import Reach
from calrelay.engine.pipeline import Pipeline
from calrelay.engine.report import PassReport, Problem
from calrelay.errors import CLAIMED
from calrelay.service.pass_log import PassLog
from calrelay.service.rhythm import Health, health_of
from tests.fakes.links import a_hold, an_item
from tests.fakes.pipelines import a_bench
from tests.unit.service.passes_made import a_refusal, a_report, an_outage

Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def pipeline() -> Pipeline:
    return a_bench().pipeline


def lines_of(pipeline: Pipeline, *reports: PassReport) -> Lines:
    log = PassLog()
    with capture_logs() as lines:
        for report in reports:
            log.note(pipeline, Reach.COMPLETE, report, health_of(report))
    return lines


def events(lines: Lines) -> list[str]:
    return [line["event"] for line in lines]


def test_each_pass_is_one_line_with_its_counts(pipeline: Pipeline) -> None:
    (line,) = lines_of(pipeline, a_report(read=130, created=2, unchanged=128))
    assert (line["event"], line["pipeline"], line["reach"], line["outcome"]) == ("pass", "venue", "complete", "ok")
    assert (line["read"], line["created"], line["unchanged"]) == (130, 2, 128)


def test_an_outage_is_told_once_when_it_begins_and_once_when_it_ends(pipeline: Pipeline) -> None:
    lines = lines_of(pipeline, an_outage(), an_outage(), an_outage(), a_report(), a_report())
    assert [event for event in events(lines) if event != "pass"] == ["down", "back"]
    down = next(line for line in lines if line["event"] == "down")
    assert (down["why"], down["remedy"], down["log_level"]) == ("Tripleseat did not answer in time", "it passes", "error")


def test_an_outage_that_turns_into_another_is_told_again_and_each_pass_says_why(pipeline: Pipeline) -> None:
    odd = an_outage()
    odd.problems = [dataclasses.replace(odd.problems[0], kind="ResponseInvalid", message="page 7 repeats rows of the pages before it")]
    lines = lines_of(pipeline, odd, odd, an_outage(), an_outage())
    assert [event for event in events(lines) if event != "pass"] == ["down", "down"]
    whys = [line["why"] for line in lines if line["event"] == "pass"]
    assert whys == [odd.problems[0].message] * 2 + ["Tripleseat did not answer in time"] * 2


def test_a_first_load_that_waits_is_told_once(pipeline: Pipeline) -> None:
    lines = lines_of(pipeline, a_refusal(), a_refusal())
    told = [line for line in lines if line["event"] != "pass"]
    assert [(line["event"], line["remedy"]) for line in told] == [("waiting for a decision", "calrelay backfill venue")]


def test_a_hold_is_told_when_it_grows(pipeline: Pipeline) -> None:
    log = PassLog()
    with capture_logs() as lines:
        for number in (3, 3, 5, 0, 1):
            pipeline.ledger.save_holds("venue", [a_hold("venue-deletes-1", *(an_item(i) for i in range(number)))] if number else [])
            log.note(pipeline, Reach.COMPLETE, a_report(held=number), Health.WELL)
    assert [line["held"] for line in lines if line["event"] == "held"] == [3, 5, 1]


def test_each_hold_is_told_by_its_id_with_the_commands_that_decide_over_it(pipeline: Pipeline) -> None:
    pipeline.ledger.save_holds("venue", [a_hold("venue-creates-2", an_item(2)), a_hold("venue-deletes-1", an_item(1))])
    told = [line for line in lines_of(pipeline, a_report(held=2)) if line["event"] == "held"]
    assert [line["hold"] for line in told] == ["venue-creates-2", "venue-deletes-1"]
    decide = "calrelay holds venue-deletes-1, then calrelay approve venue-deletes-1 or calrelay reject venue-deletes-1"
    assert (told[1]["remedy"], told[1]["why"]) == (decide, a_hold().words)


def test_a_quarantined_event_is_told_once_by_its_id(pipeline: Pipeline) -> None:
    report = a_report(quarantined=1)
    report.problems.append(Problem(kind="MappingError", message="no time zone", remedy="set `zones`", external_id="ts-55120"))
    told = [line for line in lines_of(pipeline, report, report) if line["event"] == "problem"]
    assert [(line["external_id"], line["why"]) for line in told] == [("ts-55120", "no time zone")]


def test_what_another_pipeline_has_is_one_line_however_many_they_are(pipeline: Pipeline) -> None:
    report = a_report()
    report.problems += [Problem(kind=CLAIMED, message="both claim this event", external_id=f"ts-{n}") for n in range(1_500)]
    assert [line["external_id"] for line in lines_of(pipeline, report, report) if line["event"] == "problem"] == ["ts-0"]


def test_what_was_said_of_a_pipeline_is_said_again_after_its_config_changed(pipeline: Pipeline) -> None:
    log = PassLog()
    with capture_logs() as lines:
        log.note(pipeline, Reach.COMPLETE, an_outage(), Health.DOWN)
        log.forget("venue")
        log.note(pipeline, Reach.COMPLETE, an_outage(), Health.DOWN)
    assert events(lines).count("down") == 2
