import pytest

from calrelay.domain.people import Participant, PhoneField, Role, contactable, normalise_email, normalise_phone, person_name


class TestNormalisePhone:
    @pytest.mark.parametrize(
        ("raw", "region", "phone"),
        [
            ("212-555-0147", "US", "+12125550147"),
            ("(212) 555-0147", "US", "+12125550147"),
            ("212.555.0147", "US", "+12125550147"),
            ("1-212-555-0147", "US", "+12125550147"),
            ("212-555-0147", "us", "+12125550147"),
            ("+44 20 7946 0958", "US", "+442079460958"),
            ("011 44 20 7946 0958", "US", "+442079460958"),
            ("020 7946 0958", "GB", "+442079460958"),
            ("604 555 0123", "US", "+16045550123"),
            ("(212) 555-0147 x12", "US", "+12125550147"),
            ("2125550147 ext. 12", "US", "+12125550147"),
            ("tel:+1-212-555-0147;ext=12", "US", "+12125550147"),
            ("212-555-0147 (home)", "US", "+12125550147"),
            ("Cell: 212-555-0147", "US", "+12125550147"),
            ("２１２-５５５-０１４７", "US", "+12125550147"),
        ],
    )
    def test_a_valid_number_is_e164(self, raw: str, region: str, phone: str) -> None:
        assert normalise_phone(raw, region) == phone

    @pytest.mark.parametrize(
        "raw", [None, "", "  ", "555-0100", "0147", "911", "+999 123 4567", "n/a", "1" * 300, "212-555-01470", "020 7946 0958"]
    )
    def test_what_is_not_valid_in_the_region_is_nothing(self, raw: str | None) -> None:
        assert normalise_phone(raw, "US") is None

    def test_a_number_longer_than_e164_allows_is_nothing(self) -> None:
        """Germany's numbering plan calls it valid all the same."""
        assert normalise_phone("20100000000000", "DE") is None

    @pytest.mark.parametrize("raw", ["212-555-HOME", "1-800-FLOWERS", "212-555 home"])
    def test_letters_are_never_dialled(self, raw: str) -> None:
        assert normalise_phone(raw, "US") is None

    @pytest.mark.parametrize("separator", [" / ", " or ", ", ", ";", " and "])
    def test_of_two_numbers_none_is_chosen(self, separator: str) -> None:
        assert normalise_phone(f"212-555-0147{separator}646-555-0123", "US") is None


class TestNormaliseEmail:
    @pytest.mark.parametrize(
        ("raw", "email"),
        [
            ("jane@example.com", "jane@example.com"),
            ("  Jane.Roe@Example.COM\n", "Jane.Roe@example.com"),
            ("jane+tag@mail.example.org", "jane+tag@mail.example.org"),
            ("o'brien@example.com", "o'brien@example.com"),
        ],
    )
    def test_an_address_is_trimmed_and_its_domain_lowered(self, raw: str, email: str) -> None:
        assert normalise_email(raw) == email

    @pytest.mark.parametrize(
        "raw",
        [
            None,
            "",
            "none",
            "jane@example",
            "@example.com",
            "jane@",
            "ja ne@example.com",
            "jane@exam ple.com",
            "jane@example.com\nBcc: x@example.org",
            "jane@example.com,cy@example.com",
            "Jane <jane@example.com>",
            "jane@@example.com",
            "jane..roe@example.com",
            "jané@example.com",
            "jane@-example.com",
            "jane@example.com.",
            "jane@127.0.0.1",
            "j" * 65 + "@example.com",
            "jane@" + "a." * 125 + "com",
        ],
    )
    def test_what_does_not_look_like_one_address_is_nothing(self, raw: str | None) -> None:
        assert normalise_email(raw) is None


class TestPersonName:
    @pytest.mark.parametrize(
        ("first", "last", "full", "name"),
        [
            ("Jane", "Roe", None, "Jane Roe"),
            (" Jane ", None, None, "Jane"),
            (None, "Roe", "", "Roe"),
            ("Jane", "Roe", "Dr. Jane Roe", "Dr. Jane Roe"),
            (None, None, "M.  <b>Hall</b>", "M. Hall"),
            ("José", "O&#39;Neil", None, "José O'Neil"),
            ("Jane\nBcc", "Roe", None, "Jane Bcc Roe"),
            ("#skip", "[SKIP]", None, "# skip (SKIP)"),
            ("Jane", "212-555-0147", None, "Jane …"),
            ("jane@example.com", None, None, ""),
            (None, None, None, ""),
            ("  ", "-", "", ""),
        ],
    )
    def test_a_name_is_composed_and_harmless(self, first: str | None, last: str | None, full: str | None, name: str) -> None:
        assert person_name(first, last, full) == name


class TestContactable:
    def test_the_first_usable_address_and_number_are_taken_in_order(self) -> None:
        found = contactable(
            name="Jane Roe",
            role=Role.CONTACT,
            emails=[None, "", "jane@example.com", "other@example.com"],
            phones=[PhoneField(number=None), PhoneField(number="212-555-0147"), PhoneField(number="646-555-0123")],
            region="US",
        )
        assert (found.participant.email, found.participant.phone, found.notes) == ("jane@example.com", "+12125550147", ())

    def test_what_is_dropped_leaves_a_note_that_does_not_quote_it(self) -> None:
        found = contactable(
            name="Jane Roe",
            role=Role.SECONDARY_CONTACT,
            emails=["jane-at-example"],
            phones=[PhoneField(number="555-0100"), PhoneField(number="212-555-0147", extension="45")],
            region="US",
        )
        notes = " ".join(found.notes)
        assert (found.participant.email, found.participant.phone, len(found.notes)) == (None, "+12125550147", 3)
        assert "secondary contact" in notes
        assert not any(secret in notes for secret in ("555", "0100", "45", "jane", "Jane"))

    def test_blank_fields_are_no_news(self) -> None:
        found = contactable(name="Jane", role=Role.CLIENT, emails=["", None], phones=[PhoneField(number=" ")], region="US")
        assert (found.notes, found.participant.is_reachable) == ((), False)

    def test_either_way_to_reach_somebody_will_do(self) -> None:
        by_mail = contactable(name="", role=Role.OWNER, emails=["ada@example.com"], region="US").participant
        by_phone = contactable(name="", role=Role.STAFF, phones=[PhoneField(number="+442079460958")], region="US").participant
        assert by_mail.is_reachable
        assert by_phone.is_reachable
        assert not Participant(name="Jane", role=Role.CONTACT).is_reachable

    def test_roles_are_the_words_of_the_config(self) -> None:
        assert {role.value for role in Role} == {"contact", "secondary_contacts", "owner", "client", "staff"}
