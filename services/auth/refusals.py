"""What is said of accounts that are no longer what they were."""

from services.chassis.errors import DomainError, Reason


def closed() -> DomainError:
    return DomainError(Reason.ACCOUNT_CLOSED, "The account is closed.")


def gone() -> DomainError:
    return DomainError(Reason.UNAUTHENTICATED, "There is no such account any more.")
