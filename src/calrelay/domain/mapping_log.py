"""What is told about the mapping of one source row, beside the event that comes of it."""

import dataclasses


@dataclasses.dataclass(slots=True)
class MappingLog:
    """Notes are few and alike, because reports count them by their words. Reasons are for `show`.

    Reasons are put into words for an event that somebody asked for; pages are read without.
    """

    notes: list[str] = dataclasses.field(default_factory=list)
    reasons: list[tuple[str, tuple[object, ...]]] = dataclasses.field(default_factory=list)

    def because(self, text: str, *parts: object) -> None:
        """Note a reason; the parts are filled in where the text has braces."""
        self.reasons.append((text, parts))

    def in_words(self) -> tuple[str, ...]:
        """Return the reasons as people read them."""
        return tuple(text.format(*parts) for text, parts in self.reasons)
