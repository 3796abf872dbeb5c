"""Who wrote what, and when: every row that a pipeline's ledger got, by the database itself, and every write that the target got."""

import dataclasses
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from sqlalchemy import Engine, text

from tests.soaking.crew import Member

TABLES = ("link", "history", "pass")  # not turn, which anybody may put off
_AUDIT = """
CREATE TABLE audit (id bigserial PRIMARY KEY, at double precision, what text, pipeline text, epoch int, owner text, writer text);
CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO audit (at, what, pipeline, epoch, owner, writer)
  SELECT extract(epoch FROM clock_timestamp()), TG_TABLE_NAME, NEW.pipeline, p.epoch, p.owner, current_setting('application_name')
  FROM pipeline p WHERE p.name = NEW.pipeline;
  RETURN NULL;
END $$;
CREATE FUNCTION note_lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO audit (at, what, pipeline, epoch, owner, writer)
  VALUES (extract(epoch FROM clock_timestamp()), CASE WHEN NEW.owner IS NULL THEN 'given back' ELSE 'taken' END, NEW.name, NEW.epoch,
    coalesce(NEW.owner, OLD.owner), current_setting('application_name'));
  RETURN NULL;
END $$;
CREATE TRIGGER audit_lease AFTER UPDATE ON pipeline FOR EACH ROW WHEN (OLD.owner IS DISTINCT FROM NEW.owner) EXECUTE FUNCTION note_lease();
"""
_ON = "CREATE TRIGGER audit_{0} AFTER INSERT OR UPDATE ON {0} FOR EACH ROW EXECUTE FUNCTION note_write();"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the audit; `owner` is the process that held the lease at that moment."""

    at: float
    what: str
    pipeline: str
    epoch: int
    owner: int
    writer: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One request that writes, as the target saw it begin; `pid` is the process that sent it."""

    at: float
    pipeline: str
    writer: str
    pid: int


def install(engine: Engine) -> None:
    """Have the database note every write; its tables are there."""
    with engine.begin() as connection:
        connection.execute(text(_AUDIT))
        for table in TABLES:
            connection.execute(text(_ON.format(table)))


def read(engine: Engine) -> list[Line]:
    """Return the audit, in the order in which it was written."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT at, what, pipeline, epoch, owner, writer FROM audit ORDER BY id")).all()
    return [
        Line(at=row.at, what=row.what, pipeline=row.pipeline, epoch=row.epoch, owner=_pid(row.owner), writer=row.writer) for row in rows
    ]


def ledger_crimes(lines: Sequence[Line], crew: Mapping[str, Member]) -> Iterator[str]:
    """Tell each write to a ledger by a worker that did not hold the lease, and each epoch that two have held or that went back."""
    holders: dict[tuple[str, int], int] = {}
    last: Counter[str] = Counter()
    for line in lines:
        if line.what == "taken" and holders.setdefault((line.pipeline, line.epoch), line.owner) != line.owner:
            yield f"epoch {line.epoch} of {line.pipeline} was held by two processes"
        if line.epoch < last[line.pipeline]:
            yield f"{line.pipeline}: a write under epoch {line.epoch} came after epoch {last[line.pipeline]}"
        last[line.pipeline] = line.epoch
        member = crew.get(line.writer)
        if line.what in TABLES and member is not None and line.owner not in member.pids:
            yield f"{line.writer} wrote to {line.what} of {line.pipeline}, whose lease process {line.owner} held (epoch {line.epoch})"


def overlaps(lines: Sequence[Line], writes: Sequence[Write]) -> tuple[list[str], int]:
    """Return where two passes of a pipeline wrote to the target in turns, and how many requests came late, one at most for each lost lease.

    A process that stood still with a request in hand may still send it when it wakes up; everything after it is refused by the ledger.
    """
    crimes, late = [], 0
    for pipeline, terms in _terms(lines).items():
        ours = [write for write in writes if write.pipeline == pipeline]
        for (epoch, pid, _), (_, successor, taken) in pairwise(terms):
            if pid == successor:
                continue
            until = next((begins for later, other, begins in terms if later > epoch and other == pid), float("inf"))  # rightfully again
            after = [write for write in ours if write.pid == pid and taken < write.at < until]
            late += len(after)
            if len(after) > 1:
                crimes.append(f"{pipeline}: process {pid} sent {len(after)} requests after epoch {epoch}, which it had lost")
    return crimes, late


def _terms(lines: Sequence[Line]) -> dict[str, list[tuple[int, int, float]]]:
    """Return the leases of each pipeline in their order: epoch, process, beginning."""
    found: defaultdict[str, list[tuple[int, int, float]]] = defaultdict(list)
    for line in lines:
        if line.what == "taken":
            found[line.pipeline].append((line.epoch, line.owner, line.at))
    return found


def _pid(owner: str | None) -> int:
    return int(json.loads(owner)["pid"]) if owner else 0
