"""The keys that tokens are signed with. All replicas share them through the store.

A key is published first, signs later, and stays published until the last token that it signed has expired. Its private
half is stored as a JWE (RFC 7516: direct encryption, A256GCM) under a key that HKDF-SHA256 draws from the signing
secret, with its id among what is authenticated, so that a row cannot be put in another's place.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, OKPKey

from services.auth.clock import Clock
from services.auth.records import SigningKey
from services.auth.store import SigningKeyStore
from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from services.chassis.process import RefusedError
from services.chassis.tokens import public_key

RELOAD = timedelta(seconds=60)
"""How long the keys are used without looking at the store; far less than a key is published before it signs."""
UNKNOWN_RELOAD = timedelta(seconds=1)
"""How often a token with an unknown key may make this process look."""

_SEALING = {"alg": "dir", "enc": "A256GCM"}
_PURPOSE = b"parley/auth/signing-keys/1"


class SigningSecretError(Exception):
    """The signing secret is not the one that the stored keys were sealed with."""


@dataclass(frozen=True, slots=True)
class KeyTimes:
    period: timedelta
    """How long a key signs."""
    publish: timedelta
    """How long before that it is published."""
    keep: timedelta
    """How long after that it is published: as long as a token lives, or more."""


class KeyRing:
    """The keys as of now; also the `KeySource` of auth's own door."""

    def __init__(self, store: SigningKeyStore, secret: str, times: KeyTimes, clock: Clock) -> None:
        self._store, self._times, self._clock = store, times, clock
        self._sealing_key = OctKey.import_key(HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(secret.encode()))
        self._keys: Sequence[SigningKey] = ()
        self._opened: dict[str, OKPKey] = {}
        self._loaded = clock() - RELOAD
        self._loading = asyncio.Lock()

    async def check(self) -> None:
        """Raises DomainError UNAVAILABLE while there is no key to sign with; RefusedError if the secret opens none."""
        try:
            await self.current()
        except SigningSecretError as error:
            if not self._opened:
                raise RefusedError(f"PARLEY_SIGNING_SECRET: {error}") from None
            raise DomainError(Reason.UNAVAILABLE, "The signing secret does not open a stored key.") from None

    async def current(self) -> tuple[str, OKPKey]:
        """The id and the private key to sign with now. Raises DomainError UNAVAILABLE, SigningSecretError."""
        await self._refresh(RELOAD)
        now = self._clock()
        # Clocks differ: where the first key is of the future, it is the key all the same.
        key = max((key for key in self._keys if key.activate_time <= now), default=self._keys[0], key=_generation)
        return key.key_id, self._opened[key.key_id]

    async def published(self) -> Sequence[SigningKey]:
        """The keys whose signatures are good: past ones while their tokens live, the current one, and the next."""
        await self._refresh(RELOAD)
        return self._keys

    async def key(self, key_id: str) -> OKPKey | None:
        known = any(key.key_id == key_id for key in self._keys)
        await self._refresh(RELOAD if known else UNKNOWN_RELOAD)
        return next((public_key(key.public_key) for key in self._keys if key.key_id == key_id), None)

    async def _refresh(self, age: timedelta) -> None:
        loaded = self._loaded
        if timedelta(0) <= self._clock() - loaded < age:
            return
        async with self._loading:
            if self._loaded == loaded:  # nobody else just did
                await self._load()

    async def _load(self) -> None:
        keys = await self._store.all()
        now = self._clock()
        # Before anything is added: who has another signing secret must not add a key that nobody else can open.
        self._open_all(keys)
        if not keys:
            await self._store.add(self._new_key(1))
        elif keys[-1].activate_time + self._times.period - self._times.publish <= now:
            # Every replica may come to this; the store lets one of them add the generation.
            await self._store.add(self._new_key(keys[-1].generation + 1, keys[-1]))
        keys = await self._store.all()
        retired = [old.generation for old, new in pairwise(keys) if new.activate_time + self._times.keep <= now]
        if retired:
            await self._store.drop(below=max(retired) + 1)
        self._keys = [key for key in keys if key.generation not in retired]
        self._opened = self._open_all(self._keys)
        self._loaded = now

    def _new_key(self, generation: int, before: SigningKey | None = None) -> SigningKey:
        now = self._clock()
        key, key_id = OKPKey.generate_key("Ed25519"), new_id()
        activate = max(before.activate_time + self._times.period, now + self._times.publish) if before else now
        return SigningKey(generation, key_id, key.public_key.public_bytes_raw(), self._seal(key_id, key), activate)

    def _seal(self, key_id: str, key: OKPKey) -> str:
        return jwe.encrypt_compact(
            {**_SEALING, "kid": key_id}, json.dumps(key.as_dict(private=True)), self._sealing_key
        )

    def _open_all(self, keys: Sequence[SigningKey]) -> dict[str, OKPKey]:
        return {key.key_id: self._opened.get(key.key_id) or self._open(key) for key in keys}

    def _open(self, key: SigningKey) -> OKPKey:
        try:
            sealed = jwe.decrypt_compact(key.sealed_private_key, self._sealing_key, algorithms=list(_SEALING.values()))
        except JoseError:
            raise SigningSecretError("the signing secret does not open the stored keys") from None
        if sealed.protected.get("kid") != key.key_id or sealed.plaintext is None:
            raise SigningSecretError("a stored signing key is not the one that was sealed")
        return OKPKey.import_key(json.loads(sealed.plaintext))


def _generation(key: SigningKey) -> int:
    return key.generation
