import time

import pytest

from calrelay.domain.text import CONTENT_LIMIT, break_fields, defuse, plain, redact_contacts, safe_content, safe_line, title


class TestPlain:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Cellar ", "Cellar"),
            ("<p>Hello <b>World</b></p><p>2nd&nbsp;line &amp; more</p>", "Hello World\n\n2nd line & more"),
            ("one<br>two<br/>three", "one\ntwo\nthree"),
            ("<ul><li>a</li><li>b</li></ul>", "a\n\nb"),
            ("<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
            ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
            ("a\n\n\n\n\nb", "a\n\nb"),
            ("  a \t\xa0 b  ", "a b"),
            ("Tom &amp; Jerry &#39;26", "Tom & Jerry '26"),
            ("AT&T, R&D, 5 < 6 > 4, <3", "AT&T, R&D, 5 < 6 > 4, <3"),
            ("budget <as agreed", "budget <as agreed"),
            ("<style>p{}</style>Hi<script>var a='<b>'</script> there", "Hi there"),
            ("a<!-- hidden -->b<![if !supportLists]>c<![endif]>d", "abcd"),
            ("ring\x07 the\u200b bell\ufeff \ud800", "ring the bell"),
            ("Cafe\u0301", "Café"),
            ("", ""),
        ],
    )
    def test_what_a_reader_would_see_remains(self, text: str, expected: str) -> None:
        assert plain(text) == expected

    def test_entities_wrapped_in_entities_hide_no_tag(self) -> None:
        assert plain("&amp;lt;b&amp;gt;bold&amp;lt;/b&amp;gt;") == "bold"

    def test_a_novel_is_cut_with_an_ellipsis(self) -> None:
        assert (len(plain("word " * 50_000)), plain("word " * 50_000)[-1]) == (CONTENT_LIMIT, "…")


class TestTitle:
    def test_lines_become_one(self) -> None:
        assert title("<p>Holiday\n dinner</p><p>Jane</p>") == "Holiday dinner Jane"

    def test_a_title_is_shorter_than_the_limit(self) -> None:
        """The target's own limit is a guess that excludes 255 itself (Apptoto: section 3.2)."""
        assert len(title("x" * 400)) == 254
        assert title("x" * 254) == "x" * 254
        assert title("abcdef", limit=5) == "abc…"


class TestDefuse:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("#skip", "# skip"),
            ("please #call client", "please # call client"),
            ("[SKIP] and [NOSMS]", "(SKIP) and (NOSMS)"),
            ("＃skip ﹟skip ［SKIP］", "# skip # skip (SKIP)"),
            ("##skip", "# # skip"),
            ("Room #1", "Room # 1"),
            ("#\u200bskip", "# \u200bskip"),
            ("# 4 of 5", "# 4 of 5"),
            ("no command at all", "no command at all"),
        ],
    )
    def test_a_command_is_broken_and_stays_readable(self, text: str, expected: str) -> None:
        assert defuse(text) == expected


class TestRedactContacts:
    @pytest.mark.parametrize(
        "text",
        [
            "212-555-0147",
            "(212) 555-0147",
            "212.555.0147",
            "212 555 0147",
            "2125550147",
            "+1 212 555 0147",
            "+1 (212) 555–0147",
            "+44 20 7946 0958",
            "555-0147",
            "tel:+12125550147",
            "AB2125550147",
            "２１２-５５５-０１４７",
            "212/555/0147",
            "on 3/9/2026 212-555-0147",
        ],
    )
    def test_a_phone_number_is_taken_out(self, text: str) -> None:
        redacted = redact_contacts(f"Ring {text} now")
        assert "…" in redacted
        assert not any(digits in redacted for digits in ("0147", "0958", "０１４７"))

    @pytest.mark.parametrize(
        "text",
        [
            "jane@example.com",
            "jane.roe+x@mail.example.org",
            "mailto:jane@example.com",
            "<jane@example.com>",
            "jane＠example.com",
            '"j r"@example.com',
        ],
    )
    def test_an_address_is_taken_out(self, text: str) -> None:
        redacted = redact_contacts(f"Write to {text} now")
        assert "…" in redacted
        assert "example." not in redacted

    @pytest.mark.parametrize(
        "text",
        [
            "Tasting on 2026-03-09 18:30",
            "3/9/2026 6:00 PM - 3/10/2026 1:00 AM",
            "12/28/2025",
            "Open 18.00 - 22.00",
            "Season 2025/2026",
            "40 guests at $1,250.00",
            "Room 101, floor 12",
            "12 @ 15 each, a@b",
            "Follow @alder",
        ],
    )
    def test_dates_prices_and_handles_stay(self, text: str) -> None:
        assert redact_contacts(text) == text

    def test_numbers_of_another_region_are_found_in_that_region(self) -> None:
        assert redact_contacts("Ring 020 7946 0958", "GB") == "Ring …"


class TestBreakFields:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Parking: Valet", "Parking – Valet"),
            ("Parking:Valet", "Parking – Valet"),
            ("Parking : Valet", "Parking – Valet"),
            ("Parking：Valet", "Parking – Valet"),
            ("a: b: c", "a – b – c"),
            ("18:30", "18:30"),
            ("Doors 18:30:00, show 9:05pm", "Doors 18:30:00, show 9:05pm"),
            ("Time: 18:30 - 20:00", "Time – 18:30 - 20:00"),
            ("At 18:30: dinner", "At 18:30 – dinner"),
            ("See https://example.com:8080/a?b=c:d for more", "See https://example.com:8080/a?b=c:d for more"),
            ("https://example.com: see", "https://example.com – see"),
            ("one: 1\ntwo: 2", "one – 1\ntwo – 2"),
        ],
    )
    def test_a_field_becomes_a_phrase(self, text: str, expected: str) -> None:
        assert break_fields(text) == expected


class TestSafeTexts:
    def test_a_line_commands_and_addresses_nobody(self) -> None:
        text = "<b>Dinner</b> &#35;call 212-555-0147\n[SKIP] jane@example.com"
        assert safe_line(text) == "Dinner # call … (SKIP) …"

    def test_content_keeps_its_lines_and_loses_its_fields(self) -> None:
        assert safe_content("<p>Contact: jane@example.com</p>Doors: 18:30\n#text") == "Contact – …\nDoors – 18:30\n# text"

    def test_a_line_is_shorter_than_a_title_may_be_even_when_repairs_lengthen_it(self) -> None:
        line = safe_line("#a" * 254)
        assert len(line) <= 254
        assert safe_line(line) == line

    @pytest.mark.parametrize(
        "text",
        [
            "&" + "amp;" * 5000,
            "<!--a>" * 3000,
            "<a " * 6000 + ">",
            "<![" * 6000 + ">",
            "<script>" * 2000,
            "1 " * 10_000,
            "a" * 20_000,
            "a@" * 10_000,
            "......" * 3000 + "@" + "." * 9000,
            "http://" * 3000,
            "x:" * 10_000,
            "1....." * 3000,
        ],
    )
    def test_text_made_to_resist_is_neither_slow_nor_unsettled(self, text: str) -> None:
        before = time.process_time()
        settled = safe_content(text)
        assert safe_content(settled) == settled
        assert time.process_time() - before < 3
