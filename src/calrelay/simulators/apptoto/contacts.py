"""The Apptoto simulator's address books and contacts, which the sync does not need and other clients of the API do."""

import itertools
from typing import Any

from calrelay.simulators.apptoto.texts import normalize_phone


class Contacts:
    """Contacts in books that are provisioned by name (Apptoto: section 3.4)."""

    def __init__(self) -> None:
        self._contact_ids = itertools.count(510_001)
        self._book_ids = itertools.count(4_101)
        self._by_id: dict[int, dict[str, Any]] = {}
        self.books: dict[int, str] = {}

    def all(self) -> list[dict[str, Any]]:
        """List every contact, oldest first."""
        return list(self._by_id.values())

    def find(self, contact_id: object, external_id: object) -> dict[str, Any] | None:
        """Find a contact by id, else by external_id."""
        if isinstance(contact_id, int):
            return self._by_id.get(contact_id)
        if not isinstance(external_id, str):
            return None
        return next((c for c in self._by_id.values() if c["external_id"] == external_id), None)

    def of_participant(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """Find the contact that a participant of a PUT points to."""
        return self.find(row.get("contact_id"), row.get("contact_external_id"))

    def add(self, row: dict[str, Any]) -> dict[str, Any]:
        """Make a contact; a book that is not there is provisioned."""
        contact: dict[str, Any] = {
            "id": next(self._contact_ids),
            "address_book_id": self._book(row),
            "external_id": row.get("external_id"),
            "name": _name(row),
            "custom_data": row.get("custom_data") or {},
            "phone_numbers": _phones(row.get("phone_numbers")) or _phones([{"number": row.get("phone"), "type": "mobile"}]),
            "email_addresses": _emails(row.get("email_addresses")) or _emails([{"address": row.get("email")}]),
        }
        self._by_id[contact["id"]] = contact
        return contact

    def change(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """Patch a contact: lists and custom_data replace whole, add_phone and add_email append; None when there is none."""
        contact = self.find(row.get("id"), row.get("external_id"))
        if contact is None:
            return None
        if "name" in row or "first_name" in row or "last_name" in row:
            contact["name"] = _name(row)
        if isinstance(row.get("custom_data"), dict):
            contact["custom_data"] = row["custom_data"]
        if isinstance(row.get("phone_numbers"), list):
            contact["phone_numbers"] = _phones(row["phone_numbers"])
        if isinstance(row.get("email_addresses"), list):
            contact["email_addresses"] = _emails(row["email_addresses"])
        contact["phone_numbers"] += _phones([{"number": row.get("add_phone")}])
        contact["email_addresses"] += _emails([{"address": row.get("add_email")}])
        return contact

    def remove(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """Delete a contact and return it, or None when there is none."""
        contact = self.find(row.get("id"), row.get("external_id"))
        return self._by_id.pop(contact["id"]) if contact else None

    def _book(self, row: dict[str, Any]) -> int:
        book_id = row.get("address_book_id")
        if isinstance(book_id, int) and book_id in self.books:
            return book_id
        name = str(row.get("address_book") or "Contacts")
        known = next((book for book, title in self.books.items() if title == name), None)
        if known is not None:
            return known
        made = next(self._book_ids)
        self.books[made] = name
        return made


def _name(row: dict[str, Any]) -> str:
    parts = (str(row[key]) for key in ("first_name", "last_name") if row.get(key))
    return str(row.get("name") or " ".join(parts))


def _phones(rows: object) -> list[dict[str, Any]]:
    given = [r for r in rows if isinstance(r, dict) and r.get("number")] if isinstance(rows, list) else []
    return [{**r, "normalized": normalize_phone(r["number"])} for r in given]


def _emails(rows: object) -> list[dict[str, Any]]:
    return [dict(r) for r in rows if isinstance(r, dict) and r.get("address")] if isinstance(rows, list) else []
