"""Documents, parsed and validated once."""

from collections import OrderedDict

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    parse,
    specified_rules,
    validate,
)

from services.edge.config import Config
from services.edge.errors import PARSE_FAILED, VALIDATION_FAILED, Invalid, request_errors
from services.edge.limits import check_limits

MAX_ERRORS = 20
"""More of one document are not looked for."""


class Documents:
    def __init__(self, schema: GraphQLSchema, config: Config) -> None:
        self._schema, self._config = schema, config
        self._rules = list(specified_rules)
        if not config.introspection:
            self._rules.append(NoSchemaIntrospectionCustomRule)
        self._known: OrderedDict[str, DocumentNode] = OrderedDict()

    def read(self, text: str) -> DocumentNode:
        """The document, fit for execution. Raises Invalid."""
        document = self._known.get(text)
        if document is not None:
            self._known.move_to_end(text)
            return document
        document = self._parse(text)
        if errors := check_limits(document, self._config) or self._validate(document):
            raise Invalid(request_errors(VALIDATION_FAILED, errors))
        if len(text) <= self._config.max_cached_document_bytes and self._config.cached_documents:
            self._known[text] = document
            if len(self._known) > self._config.cached_documents:
                self._known.popitem(last=False)
        return document

    def _parse(self, text: str) -> DocumentNode:
        try:
            return parse(text, max_tokens=self._config.max_document_tokens)
        except GraphQLSyntaxError as error:
            raise Invalid(request_errors(PARSE_FAILED, [error])) from None

    def _validate(self, document: DocumentNode) -> list[GraphQLError]:
        hide = not self._config.introspection
        return validate(self._schema, document, self._rules, max_errors=MAX_ERRORS, hide_suggestions=hide)
