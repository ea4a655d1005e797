"""The services of the mesh, and what proves each."""

import hmac
from collections.abc import Mapping

from services.auth.opaque import digest
from services.chassis.errors import DomainError, Reason

AUTH = "auth"
CONVERSATION = "conversation"
EDGE = "edge"
OPERATOR = "operator"
"""Whoever sets a deployment up. It calls auth, and is called by nobody."""


class Peers:
    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._digests = {name: digest(secret) for name, secret in secrets.items()}
        self.audiences = frozenset({AUTH, *secrets} - {OPERATOR})
        """Whom tokens may be for."""

    def require(self, service: str, secret: str) -> None:
        """Raises UNAUTHENTICATED unless the secret is that service's; takes as long for an unknown one."""
        known = self._digests.get(service)
        matches = hmac.compare_digest(known or bytes(32), digest(secret))
        if known is None or not matches:
            raise DomainError(Reason.UNAUTHENTICATED, "The service or its secret is not known.")
