"""`login`: the state is checked, the old tokens live until the new ones have worked, and every refusal says what to do."""

import asyncio
import dataclasses
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from calrelay.cli import redirect
from calrelay.cli.consent import code_of
from calrelay.cli.output import Output
from calrelay.errors import AuthFailed, ConfigError, ExitCode
from calrelay.ports import TokenPair
from calrelay.simulators.faults import Fault, Kind
from calrelay.state.database import open_database
from calrelay.state.tokens import SqlTokenStore
from tests.unit.cli.house import House
from tests.unit.cli.schemas import assert_fits

REDIRECT = "http://127.0.0.1:8650/callback"


@contextmanager
def tokens_of(house: House) -> Iterator[SqlTokenStore]:
    with open_database("sqlite:///calrelay.db", house.config.parent) as database:
        yield SqlTokenStore(database)


def pair_of(house: House) -> TokenPair | None:
    with tokens_of(house) as store:
        return store.load("venue")


# --- with a code ---


def test_a_code_becomes_tokens_that_have_worked(house: House) -> None:
    before = pair_of(house)
    said = house.type("login", "venue", "--code", house.world.tripleseat.authority.consent(REDIRECT))
    assert said.code == 0, said
    assert "site 1501" in said.out
    after = pair_of(house)
    assert before is not None
    assert after is not None
    assert after.access_token != before.access_token
    with tokens_of(house) as store:
        assert store.previous("venue") is None
    assert house.type("check").code == 0


def test_the_document_keeps_to_its_schema_and_holds_no_token(house: House) -> None:
    document = house.ask("login", "venue", "--code", house.world.tripleseat.authority.consent(REDIRECT))
    assert_fits(document, "login")
    pair = pair_of(house)
    assert pair is not None
    assert pair.access_token not in str(document)


def test_the_whole_address_may_be_given_as_the_code(house: House) -> None:
    code = house.world.tripleseat.authority.consent(REDIRECT)
    assert house.type("login", "venue", "--code", f"{REDIRECT}?code={code}&state=of-an-earlier-run").code == 0


def test_a_refused_code_leaves_the_old_tokens_as_they_were(house: House) -> None:
    before = pair_of(house)
    said = house.type("login", "venue", "--code", "no-such-code")
    assert said.code == ExitCode.VENDOR
    assert "calrelay login venue" in said.err
    assert pair_of(house) == before


def test_tokens_that_are_refused_at_once_give_way_to_the_old_ones(house: House) -> None:
    before = pair_of(house)
    house.world.tripleseat.faults.add(Fault(kind=Kind.STATUS, path="/v1/sites", status=403, times=None))
    said = house.type("login", "venue", "--code", house.world.tripleseat.authority.consent(REDIRECT))
    assert said.code == ExitCode.VENDOR
    assert pair_of(house) == before


def test_refused_tokens_of_a_first_login_are_forgotten(house: House) -> None:
    with tokens_of(house) as store:
        store.forget("venue")
    house.world.tripleseat.faults.add(Fault(kind=Kind.STATUS, path="/v1/sites", status=403, times=None))
    assert house.type("login", "venue", "--code", house.world.tripleseat.authority.consent(REDIRECT)).code == ExitCode.VENDOR
    assert pair_of(house) is None


def test_tokens_that_nobody_could_try_out_are_kept_and_so_are_the_old_ones(house: House) -> None:
    before = pair_of(house)
    house.world.tripleseat.faults.add(Fault(kind=Kind.STATUS, path="/v1/sites", status=404, times=None))
    said = house.type("login", "venue", "--code", house.world.tripleseat.authority.consent(REDIRECT))
    assert said.code == ExitCode.VENDOR
    assert "could not be tried out" in said.err
    assert pair_of(house) != before
    with tokens_of(house) as store:
        assert store.previous("venue") == before


def test_a_wrong_client_secret_is_told_as_such(house: House) -> None:
    house.config.write_text(house.config.read_text().replace('"simulated-secret"', '"another-secret"'))
    said = house.type("login", "venue", "--code", house.world.tripleseat.authority.consent(REDIRECT))
    assert said.code == ExitCode.VENDOR
    assert "client_secret" in said.err
    assert "another-secret" not in said.err


@pytest.mark.parametrize(
    ("account", "said"), [("studio", "of TimeTap, which needs no login"), ("reminders", "Apptoto"), ("venu", "did you mean “venue”?")]
)
def test_accounts_that_need_no_login_are_refused(house: House, account: str, said: str) -> None:
    answer = house.type("login", account, "--code", "x")
    assert (answer.code, said in answer.err) == (ExitCode.CONFIG, True), answer


def test_client_credentials_need_no_login(house: House) -> None:
    house.config.write_text(house.config.read_text().replace('"simulated-secret"', '"simulated-secret"\nauth = "client_credentials"'))
    said = house.type("login", "venue")
    assert (said.code, "needs no login" in said.err) == (ExitCode.CONFIG, True)


def test_without_a_terminal_an_answer_that_cannot_arrive_is_not_waited_for(house: House) -> None:
    elsewhere = 'redirect_uri = "https://example.com/callback"'
    house.config.write_text(house.config.read_text().replace('"simulated-secret"', f'"simulated-secret"\n{elsewhere}'))
    said = house.type("login", "venue")
    assert (said.code, "--code" in said.err) == (ExitCode.CONFIG, True), said


def test_a_taken_port_is_named(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        here = f'redirect_uri = "http://127.0.0.1:{port}/callback"'
        house.config.write_text(house.config.read_text().replace('"simulated-secret"', f'"simulated-secret"\n{here}'))
        said = house.type("login", "venue")
    assert said.code == ExitCode.CONFIG
    assert f"127.0.0.1:{port}" in said.err
    assert "another program uses it" in said.err


# --- what an answer is worth ---


def test_a_code_alone_is_taken_as_it_is() -> None:
    assert code_of(" abc123\n", "state", "venue") == "abc123"


@pytest.mark.parametrize("answer", [f"{REDIRECT}?code=abc&state=mine", "/callback?state=mine&code=abc", "code=abc&state=mine"])
def test_an_address_with_our_state_gives_its_code(answer: str) -> None:
    assert code_of(answer, "mine", "venue") == "abc"


@pytest.mark.parametrize(
    "answer", [f"{REDIRECT}?code=abc&state=another", f"{REDIRECT}?code=abc", "/callback?code=abc&state=", "?code=a&state=ü"]
)
def test_another_state_is_refused(answer: str) -> None:
    with pytest.raises(AuthFailed, match="does not belong to this login") as caught:
        code_of(answer, "mine", "venue")
    assert "calrelay login venue" in caught.value.remedy


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (f"{REDIRECT}?error=access_denied&state=mine", "declined"),
        (f"{REDIRECT}?error=server_error&state=mine", "refused to ask"),
        (f"{REDIRECT}?state=mine", "no code"),
        ("", "no code"),
        ("two words", "no code"),
    ],
)
def test_an_answer_without_consent_says_why_and_what_to_do(answer: str, why: str) -> None:
    with pytest.raises(AuthFailed, match=why) as caught:
        code_of(answer, "mine", "venue")
    assert "calrelay login venue" in caught.value.remedy


# --- waiting on loopback ---


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@dataclasses.dataclass(slots=True)
class Browser:
    """Opens addresses as soon as we listen, and keeps what it saw."""

    urls: list[str]
    seen: list[httpx.Response] = dataclasses.field(default_factory=list)
    task: asyncio.Task[None] | None = None

    def open(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self._browse())

    async def _browse(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            for url in self.urls:
                self.seen.append(await client.get(url))


async def listen(browser: Browser, redirect_uri: str, patience: float = 20) -> str:
    awaited = redirect.Awaited(
        account="venue", redirect_uri=redirect_uri, show=browser.open, accept=lambda answer: code_of(answer, "mine", "venue")
    )
    try:
        return await redirect.await_answer(Output(), awaited, patience)
    finally:
        if browser.task is not None:
            await browser.task


async def test_the_browser_is_answered_with_a_page_and_its_code_returned() -> None:
    uri = f"http://127.0.0.1:{a_free_port()}/callback"
    browser = Browser([f"{uri.removesuffix('/callback')}/favicon.ico", f"{uri}?code=abc&state=mine"])
    assert await listen(browser, uri) == "abc"
    assert [answer.status_code for answer in browser.seen] == [404, 200]
    assert "close this page" in browser.seen[1].text
    assert "abc" not in browser.seen[1].text


async def test_the_browser_is_told_of_another_state_and_login_ends() -> None:
    uri = f"http://127.0.0.1:{a_free_port()}/callback"
    browser = Browser([f"{uri}?code=abc&state=another"])
    with pytest.raises(AuthFailed, match="does not belong"):
        await listen(browser, uri)
    assert browser.seen[0].status_code == 400


async def test_nothing_listens_once_there_is_an_answer() -> None:
    uri = f"http://127.0.0.1:{a_free_port()}/callback"
    await listen(Browser([f"{uri}?code=abc&state=mine"]), uri)
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(uri)


async def test_nobody_is_waited_for_for_ever() -> None:
    uri = f"http://127.0.0.1:{a_free_port()}/callback"
    with pytest.raises(AuthFailed, match="nobody consented"):
        await listen(Browser([]), uri, patience=0.01)


async def test_noise_on_the_port_is_survived() -> None:
    port = a_free_port()
    uri = f"http://127.0.0.1:{port}/callback"

    class Noisy(Browser):
        async def _browse(self) -> None:
            for noise in (b"", b"\x00\xff", b"GET\r\n\r\n", b"POST /callback HTTP/1.1\r\n\r\n", b"A" * 40_000):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(noise)
                writer.write_eof()
                with suppress(ConnectionError):
                    await reader.read()
                writer.close()
            await Browser._browse(self)

    assert await listen(Noisy([f"{uri}?code=abc&state=mine"]), uri) == "abc"


async def test_an_answer_that_cannot_arrive_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="not on this machine"):
        await listen(Browser([]), "https://example.com/callback")


def test_the_address_asks_for_a_code_with_a_state_of_its_own(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, with a browser that consents at once."""
    port = a_free_port()
    here = f'redirect_uri = "http://127.0.0.1:{port}/callback"'
    house.config.write_text(house.config.read_text().replace('"simulated-secret"', f'"simulated-secret"\n{here}'))
    house.world.tripleseat.settings.redirect_uri = ""
    house.world.tripleseat.settings.auto_consent = True
    asked: list[str] = []

    def consent(url: str) -> bool:
        asked.append(url)
        client = httpx.AsyncClient(trust_env=False, follow_redirects=True)
        background.append(asyncio.get_running_loop().create_task(client.get(url)))
        return True

    background: list[asyncio.Task[httpx.Response]] = []
    monkeypatch.setenv("BROWSER", "true")
    monkeypatch.setattr("calrelay.cli.consent.webbrowser.open", consent)
    said = house.type("login", "venue")
    assert said.code == 0, said
    query = parse_qs(urlsplit(asked[0]).query)
    assert query["response_type"] == ["code"]
    assert len(query["state"][0]) >= 32
    assert asked[0] in said.out
