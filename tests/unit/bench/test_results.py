"""What RESULTS.md says of runs of the bench."""

import dataclasses
from pathlib import Path

import pytest
from bench.contenders_list import CALRELAY, Contender
from bench.results import Results, write_results
from bench.trials import Measured

RIVAL = "dlt"
PLAIN = Measured(
    name=CALRELAY,
    exit_code=0,
    startup=1.0,
    work=4.0,
    cpu=5.0,
    peak=80.0,
    reads=200,
    writes=200,
    sent=10_000,
    sent_again=0,
    held=10_000,
    digest="same",
)


class NamedOnly(Contender):
    """A contender that is not installed."""

    @property
    def versions(self) -> str:
        return self.name


def results_of(**changes: Measured) -> Results:
    """Return results in which everything went well, but for these of calrelay's mishaps."""
    names = (CALRELAY, RIVAL)
    contenders = [NamedOnly(name=name, venv="", packages=(), command=lambda _folder, _root: [], remark="") for name in names]
    results = Results(events=10_000, many=100_000, rounds=1, contenders=contenders)
    for name in names:
        for runs in (*results.first.values(), *results.second.values()):
            runs[name] = [PLAIN]
        for mishap in ("interrupted", "killed", "poisoned", "shaken"):
            getattr(results, mishap)[name] = PLAIN
    for mishap, run in changes.items():
        getattr(results, mishap)[CALRELAY] = run
    return results


def written(results: Results, folder: Path) -> list[str]:
    write_results(results, folder / "RESULTS.md")
    return (folder / "RESULTS.md").read_text("utf-8").splitlines()


@pytest.mark.parametrize(
    ("mishap", "told"),
    [
        ("interrupted", "run until the kill"),
        ("killed", "run after the kill"),
        ("poisoned", "run with a refused event"),
        ("shaken", "run with 503"),
    ],
)
def test_the_greatest_peak_of_all_runs_is_judged(mishap: str, told: str, tmp_path: Path) -> None:
    """A run that takes 99 MB where 90 are allowed is told with by how much, and why, whichever run it is."""
    lines = written(results_of(**{mishap: dataclasses.replace(PLAIN, peak=99.0)}), tmp_path)
    aim = f"memory at 10,000 events, the most ({told})"
    assert f"| {aim} | 99 MB | at most 90 MB | **no** | 10% over |" in lines
    (why,) = [line for line in lines if line.startswith(f"- {aim}: ")]
    assert "After a kill" in why


@pytest.mark.parametrize("which", ["first", "second"])
def test_the_peak_of_plain_runs_is_judged_too(which: str, tmp_path: Path) -> None:
    results = results_of()
    getattr(results, which)[0.02][CALRELAY] = [dataclasses.replace(PLAIN, peak=91.0)]
    lines = written(results, tmp_path)
    assert f"| memory at 10,000 events, the most ({which} run) | 91 MB | at most 90 MB | **no** | 1% over |" in lines


def test_what_was_sent_again_is_not_made_up_for_by_what_was_left_out(tmp_path: Path) -> None:
    """The table shows what the server counted, and the peak beside it."""
    poisoned = dataclasses.replace(PLAIN, sent=9_950, sent_again=200, held=9_700, peak=85.0)
    lines = written(results_of(poisoned=poisoned), tmp_path)
    assert f"| {CALRELAY} | 0 | 0 | 80 | 200 | 299 | 85 | 0 | 0 | 80 | 4.0 |" in lines


def test_a_rate_that_is_missed_at_0_ms_is_told_with_processor_and_cores(tmp_path: Path) -> None:
    """Whether a rival does less, or does it on more cores, can be read off."""
    results = results_of()
    results.first[0.0][RIVAL] = [dataclasses.replace(PLAIN, startup=0.5, work=2.0)]
    (why,) = [line for line in written(results, tmp_path) if line.startswith("- ahead of every toolkit at 0 ms: ")]
    assert f"{CALRELAY} 5.0 s on 1.0 cores, {RIVAL} 5.0 s on 2.0 cores" in why
