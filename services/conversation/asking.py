"""What is asked for: from a request to send a message to the two rows that decide its reply."""

import hashlib

from parley.conversation.v1 import conversation_service_pb2 as pb
from parley.history.v1 import history_service_pb2 as history_pb
from parley.inference.v1 import generation_pb2 as gen
from services.chassis.checks import Checks
from services.chassis.errors import DomainError, Reason, not_found
from services.conversation.config import Config
from services.conversation.peers import History

MAX_TEXT_BYTES = 262_144
MAX_SEED = 2**31 - 1
MAX_STOPS = 4
MAX_STOP_CHARACTERS = 64


def check_send(request: pb.SendMessageRequest) -> None:
    with Checks() as check:
        check.id("conversation_id", request.conversation_id)
        if request.HasField("parent_id"):
            check.id("parent_id", request.parent_id)
        check.id("message_id", request.message_id)
        check.id("reply_id", request.reply_id)
        ids = {request.message_id, request.reply_id, request.parent_id}
        check.that("reply_id", len(ids) == 3, "must differ from message_id and parent_id")
        check.text("text", request.text, min_bytes=1, max_bytes=MAX_TEXT_BYTES)
        check.that("text", bool(request.text.strip()), "must not be only white space")
        check.text("model", request.model, max_bytes=256)
        check_parameters(check, request.parameters)


def check_regenerate(request: pb.RegenerateReplyRequest) -> None:
    with Checks() as check:
        check.id("conversation_id", request.conversation_id)
        check.id("message_id", request.message_id)
        check.id("reply_id", request.reply_id)
        check.that("reply_id", request.reply_id != request.message_id, "must differ from message_id")
        check.text("model", request.model, max_bytes=256)
        check_parameters(check, request.parameters)


def check_reply(conversation_id: str, message_id: str) -> None:
    with Checks() as check:
        check.id("conversation_id", conversation_id)
        check.id("message_id", message_id)


def check_parameters(check: Checks, parameters: gen.GenerationParameters) -> None:
    if parameters.HasField("temperature"):
        check.range("parameters.temperature", parameters.temperature, 0, 2)
    if parameters.HasField("top_p"):
        check.that("parameters.top_p", 0 < parameters.top_p <= 1, "must be above 0, up to 1")
    if parameters.HasField("max_output_tokens"):
        check.that("parameters.max_output_tokens", parameters.max_output_tokens >= 1, "must be at least 1")
    if parameters.HasField("seed"):
        check.range("parameters.seed", parameters.seed, 0, MAX_SEED)
    check.that("parameters.stop", len(parameters.stop) <= MAX_STOPS, f"must be at most {MAX_STOPS} strings")
    for stop in parameters.stop:
        fits = 1 <= len(stop) <= MAX_STOP_CHARACTERS and "\0" not in stop
        check.that("parameters.stop", fits, f"must have 1 to {MAX_STOP_CHARACTERS} characters each, without NUL")


def whole_parameters(
    given: gen.GenerationParameters, config: Config, context_length: int, reply_id: str
) -> gen.GenerationParameters:
    """The parameters with every field set: what decides a reply is in its row.

    A seed that nobody chose follows from the id, so that a repeated call makes the same row. Raises INVALID_ARGUMENT
    where no prompt could stand beside the reply.
    """
    whole = gen.GenerationParameters(
        temperature=config.default_temperature,
        top_p=config.default_top_p,
        max_output_tokens=min(config.default_max_output_tokens, context_length // 2),
        seed=int.from_bytes(hashlib.blake2b(reply_id.encode(), digest_size=4).digest()) & MAX_SEED,
    )
    whole.MergeFrom(given)
    with Checks() as check:
        below = whole.max_output_tokens < context_length
        check.that("parameters.max_output_tokens", below, f"must be below the model's context of {context_length}")
    return whole


def user_row(request: pb.SendMessageRequest, parent_id: str | None) -> history_pb.Message:
    return history_pb.Message(
        conversation_id=request.conversation_id,
        message_id=request.message_id,
        parent_id=parent_id,
        role=gen.ROLE_USER,
        text=request.text,
    )


def reply_row(question: history_pb.Message, reply_id: str, request: history_pb.ReplyRequest) -> history_pb.Message:
    return history_pb.Message(
        conversation_id=question.conversation_id,
        message_id=reply_id,
        parent_id=question.message_id,
        role=gen.ROLE_ASSISTANT,
        request=request,
    )


def changed_parameters(earlier: gen.GenerationParameters, given: gen.GenerationParameters) -> gen.GenerationParameters:
    """An earlier reply's parameters with what is given instead; a seed that is not given is left to be a new one."""
    changed = gen.GenerationParameters()
    changed.CopyFrom(earlier)
    changed.ClearField("seed")
    if given.stop:
        changed.ClearField("stop")
    changed.MergeFrom(given)
    return changed


async def parent_of(
    request: pb.SendMessageRequest, parent_id: str, parent: history_pb.Message | None, history: History
) -> str | None:
    """The message that a new one follows: the one it names, or the current leaf (None where there is none). `parent` is
    the stored message of `parent_id`.

    Nobody can answer a reply that is still being written. Sending to the current leaf while another message is being
    answered makes a branch beside that message: two tabs that send at once get two branches.
    """
    if not parent_id:
        return None
    if parent is None:
        raise not_found("parent message")
    if parent.status != history_pb.MESSAGE_STATUS_IN_PROGRESS:
        return parent.message_id
    if request.HasField("parent_id"):
        raise DomainError(Reason.REPLY_IN_PROGRESS, "The reply that this message follows is still being written.")
    asked = await history.find(request.conversation_id, parent.parent_id)
    return asked.parent_id if asked and asked.HasField("parent_id") else None


def require_same_message(request: pb.SendMessageRequest, stored: history_pb.Message) -> None:
    """Raises MESSAGE_CONFLICT if the stored message is not the one that the call would make."""
    same_parent = not request.HasField("parent_id") or request.parent_id == stored.parent_id
    if stored.role != gen.ROLE_USER or stored.text != request.text or not same_parent:
        raise conflict(request.message_id)


def require_same_reply(
    stored: history_pb.Message, question: history_pb.Message, model: str, given: gen.GenerationParameters
) -> None:
    """Raises MESSAGE_CONFLICT if the stored reply is not the one that the call would make."""
    asked = gen.GenerationParameters()
    asked.CopyFrom(stored.request.parameters)
    if given.stop:
        asked.ClearField("stop")
    asked.MergeFrom(given)
    same = asked == stored.request.parameters and model in ("", stored.request.model)
    if stored.parent_id != question.message_id or not stored.HasField("request") or not same:
        raise conflict(stored.message_id)


def conflict(message_id: str) -> DomainError:
    return DomainError(
        Reason.MESSAGE_CONFLICT,
        "The message id is taken by a message with other content.",
        metadata={"message_id": message_id},
    )
