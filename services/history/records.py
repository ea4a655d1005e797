"""Messages as records of a backup."""

from services.chassis.records import Records
from services.history.store import Message

MESSAGES: Records[Message] = Records(Message)
