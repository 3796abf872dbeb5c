"""The bench: every contender in every trial, side by side, and RESULTS.md at the end. `make bench` runs it; BENCH=quick is a smoke test."""

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from bench import frugal, limits
from bench.by_command import load_on_postgresql
from bench.contenders_list import CALRELAY, CONTENDERS, Contender
from bench.data import write_rows
from bench.results import Results, write_results
from bench.trials import Measured, Server, a_folder, run

HERE = Path(__file__).parent
WORK = HERE / ".work"
LATENCIES = (0.0, 0.02)
SLOW = 0.02


def main() -> None:
    """Run what was asked for and write RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, once; writes no RESULTS.md")
    parser.add_argument("--only", nargs="*", default=[], help="names of contenders")
    args = parser.parse_args()
    chosen = [contender for contender in CONTENDERS if not args.only or contender.name in args.only]
    events, many, rounds = (1_000, 5_000, 1) if args.quick else (10_000, 100_000, 3)
    began = time.monotonic()
    WORK.mkdir(exist_ok=True)
    results = Results(events=events, many=many, rounds=rounds, contenders=chosen)
    carry(results, chosen)
    if any(contender.name == CALRELAY for contender in chosen):
        carry_many(results)
        results.frugal = frugal.measure(WORK, sizes=(1_000, 10_000) if args.quick else (10_000, 100_000, 1_000_000))
        alone = limits.measure(tracked=500 if args.quick else 5_000)
        results.at_the_limits = dataclasses.replace(alone, loads=[*alone.loads, limits.told(load_on_postgresql(WORK))])
    results.minutes = (time.monotonic() - began) / 60
    write_results(results, WORK / "RESULTS.md" if args.quick or args.only else HERE / "RESULTS.md")


def carry(results: Results, chosen: Sequence[Contender]) -> None:
    """Run all trials with the usual number of events."""
    rows = WORK / "rows.jsonl"
    write_rows(rows, results.events)
    with Server(rows) as server:
        for latency in LATENCIES:
            for _ in range(results.rounds):  # interleaved, so that a busy moment of the machine hits all of them
                for contender in chosen:
                    first, second = twice(contender, server, latency)
                    results.first[latency].setdefault(contender.name, []).append(first)
                    results.second[latency].setdefault(contender.name, []).append(second)
        for contender in chosen:
            results.interrupted[contender.name], results.killed[contender.name] = killed(contender, server, results.events)
        poison = server.books()["poison"]
        for contender in chosen:
            results.poisoned[contender.name] = once(contender, server, poison=poison)
        for contender in chosen:
            results.shaken[contender.name] = once(contender, server, share_503=0.05, latency=0.0)


def carry_many(results: Results) -> None:
    """Run calrelay alone with many events, for its memory."""
    rows = WORK / "many.jsonl"
    write_rows(rows, results.many)
    (ours,) = (contender for contender in CONTENDERS if contender.name == CALRELAY)
    with Server(rows) as server:
        results.many_first, results.many_second = twice(ours, server, 0.0)
    rows.unlink()


def once(contender: Contender, server: Server, **order: object) -> Measured:
    """Run a contender once, from nothing."""
    with a_folder(WORK, contender.name) as folder:
        server.begin(**order)
        return told(run(contender, server, folder))


def twice(contender: Contender, server: Server, latency: float) -> tuple[Measured, Measured]:
    """Run a contender from nothing, and again with nothing new."""
    with a_folder(WORK, contender.name) as folder:
        server.begin(latency=latency)
        first = told(run(contender, server, folder))
        server.begin(latency=latency, keep=True)
        return first, told(run(contender, server, folder))


def killed(contender: Contender, server: Server, events: int) -> tuple[Measured, Measured]:
    """Kill a contender halfway and run it again; the second run's figures are with both runs' requests."""
    with a_folder(WORK, contender.name) as folder:
        server.begin(latency=SLOW)
        interrupted = told(run(contender, server, folder, kill_after=events // 2))
        return interrupted, told(run(contender, server, folder))


def told(measured: Measured) -> Measured:
    """Say how it goes."""
    print(
        f"{measured.name:>12}  exit {measured.exit_code}  {measured.work:6.2f} s work  {measured.startup:5.2f} s start-up"
        f"  {measured.cpu:6.2f} s CPU  {measured.peak:5.0f} MB"
        f"  {measured.reads} reads  {measured.writes} writes  {measured.sent} sent, {measured.sent_again} again  {measured.held} held",
        flush=True,
    )
    return measured


if __name__ == "__main__":
    main()
