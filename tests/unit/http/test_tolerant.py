"""Values that usually have one form are read like any other of the vendor's forms: by the same function, only faster."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter

from calrelay.http.tolerant import FILLED_TEXT, ID, TRUE_OR_FALSE, WHOLE_NUMBER, Usually, UsuallyShaped, to_flag
from calrelay.vendors.tripleseat import wire

ODD: tuple[Any, ...] = (None, "", " ", " a ", "12", "true", 0, 1, 12, -3, 1.0, 1.5, True, False, [], [1], {}, {"id": 7}, {"name": " x "})
READERS = (
    (Annotated[str | None, Usually(FILLED_TEXT, wire._to_text)], wire._to_text),
    (Annotated[str | None, Usually(ID, wire._to_id)], wire._to_id),
    (Annotated[int | None, Usually(WHOLE_NUMBER, wire._to_count)], wire._to_count),
    (Annotated[bool, Usually(TRUE_OR_FALSE, to_flag)], to_flag),
)


@pytest.mark.parametrize(("shape", "read"), READERS)
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_the_fast_way_and_the_function_agree(shape: Any, read: Any, value: Any) -> None:
    """Whatever arrives, and however it arrives."""
    adapter = TypeAdapter(shape)
    assert adapter.validate_python(value) == read(value)
    assert adapter.validate_json(TypeAdapter(Any).dump_json(value)) == read(value)


def test_the_function_is_not_asked_about_what_is_as_usual() -> None:
    asked: list[object] = []
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[str | None, Usually(FILLED_TEXT, asked.append)])
    assert adapter.validate_json(b'" Hall "') == "Hall"
    assert adapter.validate_json(b"null") is None
    assert asked == []


class Place(BaseModel):
    name: str = ""


def test_another_shape_is_made_the_usual_one() -> None:
    shape = Annotated[list[Place], UsuallyShaped(lambda value: [{"name": value}])]
    adapter: TypeAdapter[list[Place]] = TypeAdapter(shape)
    assert adapter.validate_json(b'[{"name": "Hall"}]') == [Place(name="Hall")]
    assert adapter.validate_json(b'"Hall"') == [Place(name="Hall")]
