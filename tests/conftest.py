"""Settings of the whole test run, and the PostgreSQL it shares."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.postgres.databases import Databases, Lender

# A busy two-core machine is slow now and then; that is no finding.
settings.register_profile("calrelay", deadline=None)
# `make soak` looks further: this many random lives of a venue, and ten times as many examples of every other property.
EXAMPLES = int(os.environ.get("CALRELAY_SOAK_EXAMPLES", "0"))
settings.register_profile("soak", deadline=None, max_examples=max(100, 10 * EXAMPLES))
settings.load_profile("soak" if EXAMPLES else "calrelay")


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
