"""Secrets without a meaning: 256 random bits under a prefix by which people and scanners know them."""

import hashlib
import secrets


def new_secret(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What is stored of a secret. Nobody can guess 256 bits, so one fast hash is enough."""
    return hashlib.sha256(secret.encode()).digest()
