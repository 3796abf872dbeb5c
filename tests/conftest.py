"""Settings of the whole test run, and the PostgreSQL it shares."""

import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import settings

from calrelay import log

if TYPE_CHECKING:
    from tests.postgres.databases import Databases, Lender

# A busy two-core machine is slow now and then; that is no finding. The test run tries the same examples each time, so that it is green or
# red for a change and not by luck; it is `make soak` that looks for new ones.
settings.register_profile("calrelay", deadline=None, derandomize=True)
# `make soak` looks further: this many random lives of a venue, and ten times as many examples of every other property.
EXAMPLES = int(os.environ.get("CALRELAY_SOAK_EXAMPLES", "0"))
settings.register_profile("soak", deadline=None, max_examples=max(100, 10 * EXAMPLES))
settings.load_profile("soak" if EXAMPLES else "calrelay")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a test makes of the process's logging: commands run here configure it, and register secrets."""
    root, installed, secrets = logging.getLogger(), list(log._installed), dict(log._secrets)
    level, levels = root.level, {name: logging.getLogger(name).level for name in log._NOISY}
    yield
    for handler in log._installed:
        if handler not in installed:
            root.removeHandler(handler)
    log._installed[:] = installed
    log._secrets.clear()
    log._secrets.update(secrets)
    log._forms[:] = sorted(secrets, key=len, reverse=True)
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Databases"]:
    """The throw-away PostgreSQL of this test run."""
    from tests.postgres.databases import shared_server  # noqa: PLC0415 - most test files need no server

    base = tmp_path_factory.getbasetemp()
    with shared_server(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) as databases:
        yield databases


@pytest.fixture
def lender(postgres: "Databases") -> Iterator["Lender"]:
    """Databases on PostgreSQL, open and without memories, as many as a test asks for."""
    with postgres.several() as lender:
        yield lender
