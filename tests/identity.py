"""Callers for tests: real tokens, signed with a key that only this test run knows."""

import time

import grpc
from joserfc import jwt
from joserfc.jwk import OKPKey

from services.chassis.identity import ALGORITHMS, INNER_TYPE, ISSUER

KEY_ID = "test"


class Signer:
    """Signs tokens, and is the `KeySource` of the servers that shall believe them."""

    def __init__(self) -> None:
        self._key = OKPKey.generate_key("Ed25519")

    async def key(self, key_id: str) -> OKPKey | None:
        return self._key if key_id == KEY_ID else None

    def token(
        self,
        audience: str,
        account_id: str = "",
        *,
        service: str = "edge",
        lifetime: float = 60,
        token_type: str = INNER_TYPE,
    ) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": audience,
            "sub": account_id,
            "tenant": "default" if account_id else "",
            "roles": ["user"] if account_id else [],
            "act": {"sub": service},
            "iat": now,
            "exp": now + int(lifetime),
        }
        header = {"alg": ALGORITHMS[0], "kid": KEY_ID, "typ": token_type}
        return jwt.encode(header, claims, self._key, algorithms=ALGORITHMS)

    def metadata(self, audience: str, account_id: str = "", service: str = "edge") -> grpc.aio.Metadata:
        return grpc.aio.Metadata(("authorization", f"Bearer {self.token(audience, account_id, service=service)}"))
