"""Prometheus' own tool over a scrape of the whole daemon and over the alert rules. Debian's package prometheus brings promtool."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fakes.scraped_daemon import a_scrape
from tests.unit.cli.house import a_house

PACKAGING = Path(__file__).parents[2] / "packaging" / "prometheus"
pytestmark = pytest.mark.system


def promtool(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    tool = shutil.which("promtool")
    assert tool is not None, "apt-get install --no-install-recommends prometheus"
    return subprocess.run([tool, *words], input=stdin, capture_output=True, text=True, timeout=60, check=False, cwd=PACKAGING)


async def test_a_scrape_is_what_prometheus_wants(tmp_path: Path) -> None:
    """It also lints: names with units, counters that end in _total, a meaning for each."""
    with a_house(tmp_path) as house:
        text = await a_scrape(house)
    done = promtool("check", "metrics", stdin=text)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_alert_rules_are_sound() -> None:
    done = promtool("check", "rules", "calrelay.rules.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_when_it_should_and_not_before() -> None:
    done = promtool("test", "rules", "calrelay.rules.test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_alert_is_without_a_test() -> None:
    alerts = {line.split(":")[1].strip() for line in (PACKAGING / "calrelay.rules.yml").read_text().splitlines() if "- alert:" in line}
    tested = (PACKAGING / "calrelay.rules.test.yml").read_text()
    assert alerts
    assert [alert for alert in alerts if f"alertname: {alert}\n" not in tested] == []
