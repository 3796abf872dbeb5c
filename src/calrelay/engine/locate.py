"""Finds the event behind an external id: its link, or, where no pass has taken it up yet, the link it would get."""

import dataclasses
from collections.abc import Collection

from calrelay.domain.event import SourceId
from calrelay.domain.link import ExternalId, Link, external_id_parts
from calrelay.engine.pipeline import Pipeline
from calrelay.errors import ConfigError
from calrelay.ports import Ledger


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """An event of a pipeline; a link that is not known yet stands for what a first pass would begin with."""

    pipeline: Pipeline
    link: Link
    is_known: bool


async def locate(pipelines: Collection[Pipeline], ledger: Ledger, external_id: str) -> list[Located]:
    """Return the event in each pipeline that has it, else in each whose prefix its id carries. Raises ConfigError when there is none."""
    base, _ = external_id_parts(external_id)
    by_name = {pipeline.name: pipeline for pipeline in pipelines}
    links = _links(ledger, base)
    known = [Located(pipeline=by_name[link.pipeline], link=link, is_known=True) for link in links if link.pipeline in by_name]
    found = known or [one for pipeline in pipelines if (one := await _unknown(pipeline, base))]
    if not found:
        if (owner := owner_elsewhere(pipelines, ledger, external_id)) is not None:
            raise of_another(external_id, owner)
        raise ConfigError(
            f"{external_id} is no id of any pipeline in the config",
            remedy="ids look like ts-55120 or tt-70000001; `calrelay plan` lists them",
        )
    return found


def owner_elsewhere(pipelines: Collection[Pipeline], ledger: Ledger, external_id: str) -> str | None:
    """Return the pipeline that has, or had, an event, and is none of these: it is not in the config, or refused."""
    base, _ = external_id_parts(external_id)
    names = {pipeline.name for pipeline in pipelines}
    return next((link.pipeline for link in _links(ledger, base) if link.pipeline not in names), None)


def of_another(external_id: str, owner: str) -> ConfigError:
    """Return what to say of an event whose pipeline cannot be asked."""
    return ConfigError(
        f"{external_id} is of pipeline {owner}, which the config does not name, or names in a file that is refused",
        remedy="put it back; `calrelay check --offline` tells of a file that is refused; "
        f"or `calrelay rename {owner} NEW` if it has another name now",
    )


def _links(ledger: Ledger, base: ExternalId) -> list[Link]:
    """Return the links of an external id; whose entry it is comes before who only waits for it, or had it."""
    return sorted(ledger.link_by_external_id(base), key=lambda link: not link.is_live)


async def not_taken_up(pipelines: Collection[Pipeline], ledger: Ledger, external_ids: Collection[str]) -> list[Link]:
    """Return links for events that no pass has taken up yet, each as its pipeline would begin with it; their sources are asked.

    Raises ConfigError for an id that nobody has, VendorErrors as they come.
    """
    links = []
    for external_id in external_ids:
        found = await locate(pipelines, ledger, external_id)
        shown = [one.link for one in found if one.is_known or await one.pipeline.source.find(one.link.source_id) is not None]
        if not shown:
            raise ConfigError(f"no event {external_id} is known, and its source shows none", remedy="`calrelay plan` lists those there are")
        links += shown
    return links


async def _unknown(pipeline: Pipeline, base: ExternalId) -> Located | None:
    policy = await pipeline.policy(remember=False)
    if not base.startswith(policy.id_prefix):
        return None
    link = policy.fresh_link(SourceId(base.removeprefix(policy.id_prefix)))
    return Located(pipeline=pipeline, link=link, is_known=False)
