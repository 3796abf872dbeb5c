"""The example config and docs/configuration.md are written from the models. CALRELAY_WRITE=1 writes them anew when this test is run."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from calrelay.config.example import example
from calrelay.config.load import load_config
from calrelay.config.reference import reference
from calrelay.vendors.registry import VENDORS

ROOT = Path(__file__).parents[2]
DOCUMENTS: dict[str, Callable[[], str]] = {
    "config.example.toml": lambda: example(VENDORS),
    "docs/configuration.md": lambda: reference(VENDORS),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_document_is_what_the_models_say(name: str) -> None:
    path, text = ROOT / name, DOCUMENTS[name]()
    if os.environ.get("CALRELAY_WRITE"):
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8") == text, f"{name} is out of date: run this test once with CALRELAY_WRITE=1"


def test_the_example_loads_from_its_place() -> None:
    """It holds no secret, so it may be readable by all, as a checkout leaves it."""
    assert load_config(ROOT / "config.example.toml", VENDORS).pipelines


def test_every_key_stands_in_the_reference() -> None:
    text = reference(VENDORS)
    for vendor in VENDORS.values():
        for model in (vendor.account, vendor.filter, vendor.match):
            for key in model.model_fields if model is not None else ():
                assert f"| `{key}` |" in text, f"{vendor.name}: {key}"


def test_reading_a_config_loads_nothing_heavy() -> None:
    """A short command such as `status` pays for what is imported here."""
    program = f"""
import sys
from pathlib import Path
from calrelay.config.load import load_config
from calrelay.vendors.registry import VENDORS
load_config(Path({str(ROOT / "config.example.toml")!r}), VENDORS)
print(*sorted({{"httpx", "sqlmodel", "sqlalchemy", "rich", "jinja2", "apscheduler", "starlette"}} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "src")}
    )
    assert done.stdout.split() == []
