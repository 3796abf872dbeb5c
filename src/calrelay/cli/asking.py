"""Questions, and the three ways they are answered: on a terminal, by their defaults, or not at all. What is asked stands elsewhere."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

import typer

from calrelay.cli.output import Output
from calrelay.errors import ConfigError

Objection = Callable[[str], str]
"""Says what is wrong with an answer; "" when nothing is."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One thing to know.

    `option` is what a script types to answer it beforehand. With an `example` a terminal offers no default, because only the person knows.
    """

    option: str
    text: str
    default: str
    example: str = ""
    explanation: Sequence[str] = ()


class Answers(Protocol):
    """Whoever answers."""

    def ask(self, question: Question, objection: Objection) -> str:
        """Return an answer that nothing is wrong with."""

    def ask_hidden(self, text: str) -> str:
        """Return a secret typed out of sight."""

    def finish(self) -> None:
        """Say that there are no more questions. Raises ConfigError when one could not be answered."""


class Defaults:
    """Takes every default (`--yes`)."""

    def ask(self, question: Question, objection: Objection) -> str:  # noqa: ARG002 - defaults are sound
        """Return the default."""
        return question.default

    def ask_hidden(self, text: str) -> str:
        """Refuse: a secret has no default."""
        raise ConfigError(
            f"{text} cannot be asked for with --yes", remedy="name where it is, as env:VARIABLE, file:PATH or credential:NAME"
        )

    def finish(self) -> None:
        """Be content."""


class Nobody:
    """Answers nothing, and remembers what would have been asked: there is no terminal."""

    def __init__(self) -> None:
        self._options: list[str] = []

    def ask(self, question: Question, objection: Objection) -> str:  # noqa: ARG002 - nothing will come of it
        """Note the option, and go on with the default."""
        self._options.append(question.option)
        return question.default

    def ask_hidden(self, text: str) -> str:
        """Refuse."""
        raise ConfigError(f"{text} cannot be asked for: there is no terminal", remedy="name where it is, as env:VARIABLE or file:PATH")

    def finish(self) -> None:
        """Raise ConfigError that names every option that is missing."""
        if self._options:
            missing = tuple(dict.fromkeys(self._options))
            raise ConfigError(
                "there is no terminal to ask questions on, and these answers are missing:\n  " + "\n  ".join(missing),
                remedy="give them as options, take the defaults with --yes, or use --simulate",
                problems=missing,
            )


class Person:
    """Asks somebody at a terminal, again until the answer is sound."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def ask(self, question: Question, objection: Objection) -> str:
        """Ask on stderr."""
        if question.explanation:
            self._output.message("", *question.explanation)
        default = None if question.example else question.default
        text = f"{question.text} (such as {question.example})" if question.example else question.text
        while True:
            answer: str = typer.prompt(text, default=default, err=True)
            problem = objection(answer.strip())
            if not problem:
                return answer.strip()
            self._output.message(f"  That {problem}")

    def ask_hidden(self, text: str) -> str:
        """Ask without an echo."""
        answer: str = typer.prompt(text, hide_input=True, err=True)
        return answer.strip()

    def finish(self) -> None:
        """Be content."""
