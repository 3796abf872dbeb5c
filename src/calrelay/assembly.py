"""The composition root: config in, running parts out. The only place with all the names, and without logic of its own."""

import dataclasses
import functools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from calrelay.config import model, to_domain
from calrelay.config.load import Config
from calrelay.config.secrets import SecretRef
from calrelay.domain.entry import Hasher
from calrelay.domain.link import Basis, CalendarId
from calrelay.domain.policy import Policy, Route
from calrelay.domain.zones import ZONE_DATA_VERSION
from calrelay.engine.pipeline import Pipeline
from calrelay.errors import ConfigError
from calrelay.http.client import AsyncBaseTransport, Auth, Observer, VendorClient
from calrelay.http.pacing import Pace, Pacer
from calrelay.http.retry import Retry, Waits
from calrelay.http.shared_pacing import SharedPacer
from calrelay.log import register_secret
from calrelay.ports import Clock, Messenger, Source, Target
from calrelay.state.database import Access
from calrelay.state.ledger import SqlLedger
from calrelay.state.locks import PipelineLock, load_lock
from calrelay.state.opening import State, open_state
from calrelay.state.tokens import SqlTokenStore
from calrelay.vendors.apptoto.client import ApptotoClient
from calrelay.vendors.apptoto.settings import ApptotoAccount
from calrelay.vendors.apptoto.target import ApptotoTarget
from calrelay.vendors.timetap.settings import TimeTapAccount
from calrelay.vendors.tripleseat.settings import TripleseatAccount

if TYPE_CHECKING:  # see `_listen_to`
    from calrelay.engine.listening import Listener

Transports = Mapping[str, AsyncBaseTransport]
MakeSource = Callable[[model.Pipeline], Source]
KeepAlive = Callable[[], Awaitable[object]]
RULES_KEPT = timedelta(days=1)  # how old may be what is known of a source's own messages, where nothing but a warning depends on it
CONSENT_REFRESH = timedelta(days=1)  # a refresh token's life when unused is unknown (Tripleseat: unknowns)


SPEAKING = frozenset({"timetap"})  # vendors of sources that message people by themselves


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Everything that runs: pipelines with both ends open, and the accounts behind them.

    `unready` are pipelines of tenants that cannot run, and why; they are none of `pipelines`.
    """

    config: Config
    state: State
    command: str
    clock: Clock
    pipelines: Mapping[str, Pipeline]
    ends: Mapping[str, Source | Target]  # by account, for `check`
    keep_alive: Sequence[KeepAlive]  # to be called about daily: consents that would lapse, and what sources send by themselves
    messengers: Mapping[str, Messenger] = dataclasses.field(default_factory=dict)  # by account: sources that message people by themselves
    listeners: "Mapping[str, Listener]" = dataclasses.field(default_factory=dict)  # the same accounts: what is known of it
    unready: Mapping[str, ConfigError] = dataclasses.field(default_factory=dict)
    waits: Waits = dataclasses.field(default_factory=Waits)  # before a read is asked again; to be ended with the passes

    @property
    def ledger(self) -> SqlLedger:
        """The ledger."""
        return self.state.ledger

    @property
    def tokens(self) -> SqlTokenStore:
        """The OAuth tokens."""
        return self.state.tokens

    def lock(self, pipeline: str) -> AbstractContextManager[object]:
        """Return the lock under which one process at a time works on a pipeline; entering it raises Busy (rule 22)."""
        return PipelineLock(self.state.database, pipeline, command=self.command)

    def load_lock(self, pipeline: str) -> AbstractContextManager[object]:
        """Return the lock under which one process at a time loads a pipeline, chunk after chunk; entering it raises Busy."""
        return load_lock(self.state.database, pipeline, command=self.command)


@asynccontextmanager
async def assemble(
    config: Config,
    *,
    command: str,
    pipelines: Sequence[str] | None = None,
    access: Access = Access.WRITE,
    clock: Clock = utc_now,
    transports: Transports | None = None,
    observer: Observer | None = None,
) -> AsyncIterator[Relay]:
    """Open the state and both ends of the named pipelines (none named: of all enabled ones).

    `transports` replaces the network of an account. Raises ConfigError for what cannot be resolved, StateError for a broken database. Where
    the config has tenants, a pipeline whose account cannot be opened is left out as `unready`, as long as another one is left.
    """
    chosen = _chosen(config, pipelines)
    with open_state(config.state_url(), config.folder, access) as state:
        async with AsyncExitStack() as stack:
            builder = _Builder(config, state, stack, access=access, clock=clock, transports=transports or {}, observer=observer)
            accounts = dict.fromkeys(name for one in chosen for name in (one.source, one.target))
            if pipelines is None:
                accounts |= dict.fromkeys(config.accounts)
            for name in accounts:
                await builder.open(name)
            unready = builder.unready(chosen)
            yield Relay(
                config=config,
                state=state,
                command=command,
                clock=clock,
                pipelines={one.name: builder.pipeline(one) for one in chosen if one.name not in unready},
                unready=unready,
                ends=builder.ends(),
                messengers=builder.messengers,
                listeners=builder.listeners,
                keep_alive=tuple(builder.keep_alive),
                waits=builder.waits,
            )


def identity_of(config: Config, account: str, hasher: Hasher) -> str:
    """Return a keyed hash of whose account it is: a user name may be a person's address, which the ledger never holds (rule 23)."""
    return hasher.of(to_domain.account_fingerprint(config.account(account), config.resolve))


def _chosen(config: Config, names: Sequence[str] | None) -> list[model.Pipeline]:
    if names:
        return config.select(names)
    return config.enabled


class _Builder:
    """Opens accounts, once each, and puts pipelines together from them."""

    def __init__(
        self,
        config: Config,
        state: State,
        stack: AsyncExitStack,
        *,
        access: Access,
        clock: Clock,
        transports: Transports,
        observer: Observer | None,
    ) -> None:
        self._config = config
        self._state = state
        self._stack = stack
        self._access = access
        self._clock = clock
        self._transports = transports
        self._observer = observer
        self._sources: dict[str, MakeSource] = {}
        self._targets: dict[str, Target] = {}
        self._plain_sources: dict[str, Source] = {}
        self._closed: dict[str, ConfigError] = {}
        self.messengers: dict[str, Messenger] = {}
        self.listeners: dict[str, Listener] = {}
        self.keep_alive: list[KeepAlive] = []
        self.waits = Waits()

    async def open(self, name: str) -> None:
        """Open an account's client. One that cannot be opened is in nobody's way who does not use it, where the config has tenants."""
        try:
            await self._open(name)
        except ConfigError as error:
            if not self._config.tenants:
                raise
            self._closed[name] = error

    def unready(self, chosen: Sequence[model.Pipeline]) -> dict[str, ConfigError]:
        """Return which pipelines cannot run, and why. Raises the first reason where none can."""
        found = {one.name: self._closed[end] for one in chosen for end in (one.target, one.source) if end in self._closed}
        if self._closed and len(found) == len(chosen):
            raise next(iter(self._closed.values()))
        return found

    async def _open(self, name: str) -> None:
        account = self._config.account(name)
        match account:
            case TripleseatAccount():
                self._sources[name] = await self._tripleseat(name, account)
            case TimeTapAccount():
                self._sources[name] = await self._timetap(name, account)
            case ApptotoAccount():
                self._targets[name] = await self._apptoto(name, account)
            case _:
                raise ConfigError(f"account {name}: vendor {account.vendor} has no adapter in this release")

    def ends(self) -> dict[str, Source | Target]:
        """Return one adapter for each account that is open."""
        return {**self._plain_sources, **self._targets}

    def pipeline(self, table: model.Pipeline) -> Pipeline:
        """Put a pipeline together; its accounts are open."""
        listener = self.listeners.get(table.source)
        source = self._enriched(self._sources[table.source](table), table, listener)
        target = self._targets[table.target]

        def make_policy(calendar: CalendarId, resolved: tuple[Route, ...]) -> Policy:
            return self._policy(table, source, calendar, resolved)

        return Pipeline(
            name=table.name,
            source=source,
            target=target,
            ledger=self._state.ledger.of(table.name),
            clock=self._clock,
            hasher=Hasher(self._state.ledger.hash_key()),
            limits=to_domain.to_limits(table.guards),
            window=to_domain.to_window(table.window),
            near=table.near,
            calendar=to_domain.to_calendar(table),
            routes=to_domain.to_routes(table),
            make_policy=make_policy,
            every=table.every,
            full_every=table.full_every,
            owns_prefix=self._owns_prefix(table),
            scope=to_domain.scope_fingerprint(table, self._config.account(table.source), self._identity_of(table.source)),
            target_identity=self._identity_of(table.target),
            listener=listener,
            extras=to_domain.to_extras(table),
        )

    def _enriched(self, source: Source, table: model.Pipeline, listener: "Listener | None") -> Source:
        extras = to_domain.to_extras(table)
        if listener is None or not extras:
            return source
        from calrelay.engine.enriched import EnrichedSource  # noqa: PLC0415 - as heavy as what it listens to, see `_listen_to`

        return EnrichedSource(source, listener=listener, extras=extras, now=self._clock)

    def _policy(self, table: model.Pipeline, source: Source, calendar: CalendarId, routes: tuple[Route, ...]) -> Policy:
        account = self._config.account(table.source)
        return Policy(
            pipeline=table.name,
            target=table.target,
            id_prefix=f"{table.id_prefix}{source.id_prefix}",
            filter=to_domain.to_filter(table.filter),
            calendar=calendar,
            routes=routes,
            texts=to_domain.to_texts(table),
            mode=table.messages,
            basis=Basis(
                zone_data=ZONE_DATA_VERSION,
                mapping=f"{source.mapping_version} {to_domain.reading_fingerprint(table, account)}",
                config=to_domain.config_fingerprint(table),
            ),
            window=to_domain.to_window(table.window),
            send_without_contact=to_domain.sends_without_contact(table),
            settle=table.settle,
            create_hours=table.create_hours,
        )

    def _identity_of(self, account: str) -> str:
        return identity_of(self._config, account, Hasher(self._state.ledger.hash_key()))

    def _owns_prefix(self, table: model.Pipeline) -> bool:
        return self._prefixes[self._prefix_of(table)] == 1

    @functools.cached_property
    def _prefixes(self) -> Counter[tuple[str, str, str]]:
        """How many pipelines write under each prefix to each target, of sources of one vendor."""
        return Counter(map(self._prefix_of, self._config.pipelines))

    def _prefix_of(self, table: model.Pipeline) -> tuple[str, str, str]:
        return table.target, table.id_prefix, self._config.account(table.source).vendor

    # --- vendors ---

    async def _tripleseat(self, name: str, account: TripleseatAccount) -> MakeSource:
        from calrelay.vendors.tripleseat.auth import OAuthApp, TripleseatAuth  # noqa: PLC0415 - heavy: a source nobody uses is not loaded
        from calrelay.vendors.tripleseat.client import TripleseatClient  # noqa: PLC0415
        from calrelay.vendors.tripleseat.source import Reach, TripleseatSource  # noqa: PLC0415

        client_id, client_secret = self._config.resolve(account.client_id), self._secret(account.client_secret)
        app = OAuthApp.of(account, client_id=client_id, client_secret=client_secret)
        auth = TripleseatAuth(account=name, app=app, store=self._state.tokens, now=self._clock)
        http = await self._http(name, "Tripleseat", account.base_url, account.rate, auth)
        client = TripleseatClient(http, auth=auth, now=self._clock)
        reach = Reach(site_id=account.site_id, location_ids=tuple(account.location_ids or ()), scope=account.scope)
        self.keep_alive.append(lambda: client.refresh_if_older_than(CONSENT_REFRESH))
        self._plain_sources[name] = TripleseatSource(account=name, client=client, zones=account.zones, reach=reach, now=self._clock)

        def source(table: model.Pipeline) -> Source:
            return TripleseatSource(
                account=name,
                client=client,
                people=to_domain.to_people(table),
                region=table.region,
                zones=account.zones,
                reach=reach,
                now=self._clock,
            )

        return source

    async def _timetap(self, name: str, account: TimeTapAccount) -> MakeSource:
        from calrelay.vendors.timetap.auth import TimeTapAuth  # noqa: PLC0415 - as above
        from calrelay.vendors.timetap.client import TimeTapClient  # noqa: PLC0415
        from calrelay.vendors.timetap.messages import TimeTapMessenger  # noqa: PLC0415
        from calrelay.vendors.timetap.messages_client import TimeTapMessagesClient  # noqa: PLC0415
        from calrelay.vendors.timetap.source import TimeTapSource  # noqa: PLC0415

        auth = TimeTapAuth(
            account=name,
            api_key=self._config.resolve(account.api_key),
            private_key=self._secret(account.private_key),
            base_url=account.base_url,
            now=self._clock,
        )
        http = await self._http(name, "TimeTap", account.base_url, account.rate, auth)
        client = TimeTapClient(http, page_size=account.page_size, now=self._clock)
        self._plain_sources[name] = TimeTapSource(account=name, client=client, zones=account.zones, now=self._clock)
        messages = TimeTapMessagesClient(http, now=self._clock)
        self._listen_to(TimeTapMessenger(account=name, client=messages, now=self._clock))

        def source(table: model.Pipeline) -> Source:
            return TimeTapSource(
                account=name,
                client=client,
                people=to_domain.to_people(table),
                region=table.region,
                zones=account.zones,
                now=self._clock,
            )

        return source

    def _listen_to(self, messenger: Messenger) -> None:
        """Remember what an account sends by itself; a daemon looks at it anew about daily, so that `status` can warn."""
        from calrelay.engine.listening import Listener  # noqa: PLC0415 - heavy, and of no use to a source that is silent

        listener = Listener(messenger, self._state.ledger, clock=self._clock, is_kept=self._access is Access.WRITE)
        self.messengers[messenger.account] = messenger
        self.listeners[messenger.account] = listener
        self.keep_alive.append(lambda: listener.renew_rules(RULES_KEPT))

    async def _apptoto(self, name: str, account: ApptotoAccount) -> Target:
        client = ApptotoClient(
            account=name,
            username=self._config.resolve(account.username),
            api_key=self._secret(account.api_key),
            base_url=account.base_url,
            requests_per_minute=account.requests_per_minute,
            pacer=self._pacer(name, account.rate),
            retry=Retry(waits=self.waits),
            transport=self._transports.get(name),
            observer=self._observer,
            now=self._clock,
            max_in_flight=account.max_in_flight,
        )
        return ApptotoTarget(
            account=name,
            client=await self._stack.enter_async_context(client),
            batch_size=account.batch_size,
            max_in_flight=account.max_in_flight,
            time_zone_names=account.time_zone_names,
            now=self._clock,
        )

    async def _http(self, name: str, vendor: str, base_url: str, rate: float, auth: Auth) -> VendorClient:
        client = VendorClient(
            account=name,
            vendor=vendor,
            base_url=base_url,
            pacer=self._pacer(name, rate),
            auth=auth,
            retry=Retry(waits=self.waits),
            transport=self._transports.get(name),
            observer=self._observer,
            now=self._clock,
        )
        return await self._stack.enter_async_context(client)

    def _pacer(self, name: str, rate: float) -> Pace:
        paces = self._state.paces
        return Pacer(rate) if paces is None else SharedPacer(name, rate, paces)

    def _secret(self, ref: SecretRef) -> str:
        """Fetch a secret, and keep it out of every log line from here on."""
        secret = self._config.resolve(ref)
        register_secret(secret)
        return secret
