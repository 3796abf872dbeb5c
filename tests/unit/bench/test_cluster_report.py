"""CLUSTER.md, as `make bench-cluster` writes it."""

from bench.cluster import HEADER, HERE, Section, report

WRITTEN = HERE / "CLUSTER.md"


def test_the_report_has_where_it_was_measured_and_each_table_with_its_journals() -> None:
    sections = [Section(rows=["| 1 |", "| 2 |"], journals="No 429."), Section(rows=["| 4 |"], journals="Five.")]
    text = report(sections, where="2026-11-23, a machine. Commit 1234567.", pipelines=1000)
    assert "\n2026-11-23, a machine. Commit 1234567.\n" in text
    assert "\n1,000 pipelines" in text
    assert f"\n{HEADER}\n| 1 |\n| 2 |\n\nNo 429.\n\n{HEADER}\n| 4 |\n\nFive.\n" in text


def test_the_report_that_is_here_is_one_that_is_written_so() -> None:
    """It can be taken apart and written anew without a difference."""
    head, *tables = WRITTEN.read_text("utf-8").split(f"{HEADER}\n")
    sections = [Section(rows=rows.splitlines(), journals=journals.strip()) for rows, journals in (one.split("\n\n", 1) for one in tables)]
    (where,) = [line for line in head.splitlines() if "Commit" in line]
    assert report(sections, where=where, pipelines=1000) == WRITTEN.read_text("utf-8")
