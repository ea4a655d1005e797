"""One operation: prepared, then executed or followed."""

import inspect
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from graphql import (
    ExecutionResult,
    Executor,
    GraphQLSchema,
    OperationType,
    create_source_event_stream,
    execute_root_selection_set,
    execute_subscription_event,
)

from services.chassis import deadline
from services.edge.answers import Answers
from services.edge.context import Context
from services.edge.documents import Documents
from services.edge.errors import BAD_USER_INPUT, Invalid, Refused, Wire, execution_error, failure, request_errors
from services.edge.metrics import Metrics
from services.edge.request import GraphQLRequest


class Operations:
    """Prepares operations of one schema."""

    def __init__(self, schema: GraphQLSchema, documents: Documents, metrics: Metrics) -> None:
        self._schema, self._documents, self._metrics = schema, documents, metrics

    def prepare(self, request: GraphQLRequest, context: Context) -> "Operation":
        """Raises Invalid."""
        executor = Executor.build(
            self._schema,
            self._documents.read(request.query),
            context_value=context,
            raw_variable_values=request.variables,
            operation_name=request.operation_name,
        )
        if isinstance(executor, list):
            raise Invalid(request_errors(BAD_USER_INPUT, executor))
        return Operation(executor, self._metrics)


class Operation:
    """An operation whose document is valid and whose variables fit."""

    def __init__(self, executor: Executor[None], metrics: Metrics) -> None:
        self._executor, self._metrics = executor, metrics
        self.kind = executor.operation.operation
        self.is_subscription = self.kind is OperationType.SUBSCRIPTION

    async def result(self, seconds: float) -> Wire:
        """The answer of a query or a mutation, whose calls to other services end within `seconds`."""
        deadline.begin(seconds)
        started = time.monotonic()
        pending = execute_root_selection_set(self._executor)
        result = _wire(await pending if inspect.isawaitable(pending) else pending)
        self._metrics.operation_seconds.labels(self.kind.value).observe(time.monotonic() - started)
        self._metrics.operations.labels(self.kind.value, "error" if "errors" in result else "ok").inc()
        return result

    async def events(self) -> AsyncGenerator[str, None]:
        """The answers of a subscription as JSON; those of a reply end with it. Raises Refused when it failed."""
        outcome = "left"
        answers = Answers(self._answer)
        try:
            async with aclosing(await self._source()) as source:
                async for event in source:
                    yield await answers.to(event)
            outcome = "ok"
        except Refused:
            outcome = "error"
            raise
        except Exception as error:  # noqa: BLE001 - the last line: nothing of it may reach the client
            outcome = "error"
            raise Refused([failure(error)]) from None
        finally:
            self._metrics.operations.labels(self.kind.value, outcome).inc()

    async def _source(self) -> AsyncGenerator[object, None]:
        pending = create_source_event_stream(self._executor)
        source = await pending if inspect.isawaitable(pending) else pending
        if isinstance(source, ExecutionResult):
            raise Refused([execution_error(error) for error in source.errors or ()])
        return cast("AsyncGenerator[object, None]", source)

    async def _answer(self, event: object) -> Wire:
        pending = execute_subscription_event(self._executor.build_per_event_executor(event))
        answer = _wire(await pending if inspect.isawaitable(pending) else pending)
        if "errors" in answer:
            # The event that cannot be told may be the last, so the subscription may not end well after it.
            raise Refused(cast("list[Wire]", answer["errors"]))
        return answer


def _wire(result: ExecutionResult) -> Wire:
    wire: Wire = {"data": result.data}
    if result.errors:
        wire["errors"] = [execution_error(error) for error in result.errors]
    return wire
