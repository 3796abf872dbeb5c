"""The types that check the operator's own templates. The defaults and the rendering live in the domain."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from calrelay.domain.rendering import CONTENT, LOCATION, TITLE

_CUSTOM_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")
_OURS: Final = "calrelay_"  # custom data that calrelay itself writes (rule 16)


def _check(template: str) -> str:
    if "{" not in template or template in {TITLE, LOCATION, CONTENT}:
        return template
    from calrelay.domain.jinja import check_template  # noqa: PLC0415 - Jinja2 is loaded for those who wrote a template

    fault = check_template(template)
    if fault is not None:
        raise ValueError(f"is no valid template ({fault}) — docs/templates.md shows what one may hold")
    return template


def _custom_key(key: str) -> str:
    if not _CUSTOM_KEY.fullmatch(key):
        raise ValueError("is no name for custom data — use small letters, digits and _, beginning with a letter")
    if key.startswith(_OURS):
        raise ValueError(f"begins with {_OURS}, which calrelay keeps for itself — choose another name")
    return key


Template = Annotated[str, AfterValidator(_check)]
CustomKey = Annotated[str, AfterValidator(_custom_key)]
