"""Everything vendors do wrong, at random from a seed: single answers spoiled, and moods that last some seconds. Counts what struck."""

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from calrelay.simulators.apptoto.settings import BadEvents, Overload
from calrelay.simulators.faults import Fault, Faults, Kind, When
from calrelay.simulators.worlds import World

TIMES_OUT_AFTER = 61.0  # the sources' clients wait 60 s for an answer
_BAD_GATEWAY = "<html><body><h1>502 Bad Gateway</h1></body></html>"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Spoiled:
    """A rule in force, what it is counted as, and how often it was meant to strike."""

    name: str
    fault: Fault
    times: int

    @property
    def strikes(self) -> int:
        """How often it struck."""
        return self.times - (self.fault.times or 0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mood:
    """Something a vendor does for a while: how it begins and how it ends."""

    name: str
    begin: Callable[[], None]
    end: Callable[[], None]


class Trouble:
    """Makes trouble at all three vendors. Requests of the sign-in are only refused or cut before they take effect.

    A rotation whose answer is lost costs the consent, whatever anybody does; that is not what a soak is about.
    """

    def __init__(self, world: World, seed: int, *, times_out: bool) -> None:
        self._world = world
        self._rng = random.Random(f"trouble {seed}")
        self._times_out = times_out
        self._spoiled: list[Spoiled] = []
        self._struck: Counter[str] = Counter()
        self._mood: Mood | None = None
        self._moods = self._all_moods()

    @property
    def survived(self) -> Counter[str]:
        """How often each kind struck so far."""
        return self._struck + Counter({name: n for name, n in self._strikes().items() if n})

    def spoil(self) -> None:
        """Add one rule that spoils some of the next answers."""
        self._forget_spent()
        faults, method, path = self._place()
        name, fault = self._rule(method, path)
        faults.add(fault)
        self._spoiled.append(Spoiled(name=name, fault=fault, times=fault.times or 0))

    def change_mood(self) -> None:
        """Let one vendor begin to behave oddly, and another one stop."""
        if self._mood is not None:
            self._mood.end()
            self._mood = None
            return
        self._mood = self._rng.choice(self._moods)
        self._mood.begin()
        self._struck[self._mood.name] += 1

    def end(self) -> None:
        """Let everything work again."""
        if self._mood is not None:
            self._mood.end()
            self._mood = None
        for faults in self._all_faults():
            faults.clear()
        self._struck += self._strikes()
        self._spoiled.clear()

    # --- spoiled answers ---

    def _all_faults(self) -> tuple[Faults, ...]:
        return self._world.tripleseat.faults, self._world.timetap.faults, self._world.apptoto.faults

    def _strikes(self) -> Counter[str]:
        counted: Counter[str] = Counter()
        for one in self._spoiled:
            counted[one.name] += one.strikes
        return counted

    def _forget_spent(self) -> None:
        spent = [one for one in self._spoiled if one.fault.times == 0]
        self._spoiled = [one for one in self._spoiled if one.fault.times != 0]
        for one in spent:
            self._struck[one.name] += one.times
        for faults in self._all_faults():
            faults.rules[:] = [rule for rule in faults.rules if rule.times != 0]

    def _place(self) -> tuple[Faults, str, str]:
        world = self._world
        places: Sequence[tuple[Faults, str, str]] = (
            (world.tripleseat.faults, "GET", "/v1/events/search"),
            (world.tripleseat.faults, "GET", "/v1/"),
            (world.tripleseat.faults, "POST", "/oauth2/token"),
            (world.timetap.faults, "GET", "/appointmentList"),
            (world.timetap.faults, "*", ""),
            (world.apptoto.faults, "PUT", "/v1/events"),
            (world.apptoto.faults, "PUT", "/v1/events"),
            (world.apptoto.faults, "DELETE", "/v1/events"),
            (world.apptoto.faults, "GET", "/v1/"),
        )
        return self._rng.choice(places)

    def _rule(self, method: str, path: str) -> tuple[str, Fault]:
        """Make a rule that strikes one to three times, now or a few requests later."""
        rng = self._rng
        changes_something = method in ("PUT", "DELETE")
        when = rng.choice((When.BEFORE, When.AFTER)) if changes_something else When.BEFORE
        later = f" {when.value} applying" if changes_something else ""
        ways: list[tuple[str, Kind, dict[str, object]]] = [
            ("429, seconds", Kind.STATUS, {"status": 429, "headers": {"Retry-After": str(rng.randint(0, 2))}, "when": When.BEFORE}),
            ("429, date", Kind.STATUS, {"status": 429, "headers": {"Retry-After": _in_a_moment(rng)}, "when": When.BEFORE}),
            ("429, bare", Kind.STATUS, {"status": 429, "when": When.BEFORE}),
            (f"500{later}", Kind.STATUS, {"status": 500}),
            (f"502{later}", Kind.STATUS, {"status": 502, "body": _BAD_GATEWAY}),
            (f"503{later}", Kind.STATUS, {"status": 503}),
            (f"reset{later}", Kind.RESET, {}),
            (f"slow answer{later}", Kind.HANG, {"seconds": rng.uniform(0.5, 3)}),
        ]
        if "oauth2" not in path:
            ways += [
                (f"HTML{later}", Kind.HTML, {}),
                (f"empty{later}", Kind.EMPTY, {}),
                ("cut-off JSON", Kind.CUT, {}),
                ("401", Kind.STATUS, {"status": 401, "when": When.BEFORE}),
            ]
        if method == "PUT":
            ways.append(("400 for sound rows", Kind.STATUS, {"status": 400, "body": "{}", "when": When.BEFORE}))
        if self._times_out and method == "GET" and rng.random() < 0.2:
            ways = [("timeout", Kind.HANG, {"seconds": TIMES_OUT_AFTER})]
        name, kind, details = rng.choice(ways)
        times = 1 if kind is Kind.HANG else rng.choice((1, 1, 1, 2, 3))
        fields: dict[str, object] = {"when": when, **details}
        return name, Fault(kind=kind, method=method, path=path, times=times, skip=rng.choice((0, 0, 0, 1, 2)), **fields)  # type: ignore[arg-type] # each field is one of Fault's

    # --- moods ---

    def _all_moods(self) -> tuple[Mood, ...]:
        tripleseat, timetap, apptoto = self._world.tripleseat.settings, self._world.timetap.settings, self._world.apptoto.settings
        return (
            _knob("rows shown twice over pages", tripleseat, repeat_rows=3),
            _knob("rows lost between pages", timetap, page_shift=2),
            _knob("rows shifted back between pages", timetap, page_shift=-2),
            _knob("a count that is not true", timetap, count_offset=1),
            _knob("no count at all", timetap, counts=False),
            _knob("batches refused whole for a bad event", apptoto, poison=("1",), bad_events=BadEvents.REFUSE_ALL),
            _knob("batches applied in part for a bad event", apptoto, poison=("2",), bad_events=BadEvents.REFUSE_PARTLY),
            _knob("batches cut short by a bad event", apptoto, poison=("3",), bad_events=BadEvents.PARTIAL),
            _knob("events dropped in silence", apptoto, poison=("4",), bad_events=BadEvents.DROP),
            _knob("overload before applying", apptoto, overload_above=2, overload=Overload.BEFORE),
            _knob("overload half-way", apptoto, overload_above=2, overload=Overload.HALF_WAY),
            _knob("overload after applying", apptoto, overload_above=2, overload=Overload.AFTER),
            _knob("answers without external ids", apptoto, echo_external_id=False),
            _knob("account forbidden", apptoto, forbidden=True),
            Mood(name="an empty calendar", begin=self._hide_all, end=self._show_all),
        )

    def _hide_all(self) -> None:
        self._hidden = [number for number, one in self._world.timetap.book.bookings.items() if one.listed]
        for number in self._hidden:
            self._world.timetap.book.hide(number)

    def _show_all(self) -> None:
        for number in self._hidden:
            if number in self._world.timetap.book.bookings:
                self._world.timetap.book.show(number)


def _knob(name: str, settings: object, **values: object) -> Mood:
    """Turn knobs for a while, and back."""
    before = {key: getattr(settings, key) for key in values}

    def turn(to: dict[str, object]) -> None:
        for key, value in to.items():
            setattr(settings, key, value)

    return Mood(name=name, begin=lambda: turn(values), end=lambda: turn(before))


def _in_a_moment(rng: random.Random) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=rng.randint(1, 3)), usegmt=True)
