"""Versions of a store's schema, and which releases may work on them.

A schema only ever grows while releases that know an older one may still run beside the new one: a step that adds leaves
`works_from` alone, and one that takes away raises it, in a later release than the one that stopped using what goes.
"""

from dataclasses import dataclass

from services.chassis.errors import DomainError, Reason
from services.chassis.process import RefusedError


@dataclass(frozen=True, slots=True)
class Schema:
    """What a store has."""

    version: int
    """The last step that was applied; 0 for an empty store."""
    works_from: int
    """The lowest version that a release must know to work on it."""


def require(found: Schema, known: int, *, store: str, command: str) -> None:
    """Whether a release that knows the steps up to `known` may work on the schema that was found.

    Raises RefusedError where the schema is too new, and DomainError UNAVAILABLE, until `command` has run, where it is
    too old. `store` names the store in the sentence, without its address.
    """
    if found.works_from > known:
        raise RefusedError(
            f"The schema of {store} has version {found.version}, which needs a release that knows version "
            f"{found.works_from}; this one knows {known}."
        )
    if found.version < known:
        raise DomainError(
            Reason.UNAVAILABLE,
            f"The schema of {store} has version {found.version}; this release needs {known}: run `{command}`.",
            retry_after=1,
        )
