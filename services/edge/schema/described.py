"""One text for a resolver's readers and for its clients."""

import inspect

from strawberry.types.field import StrawberryField


def described(field: StrawberryField) -> StrawberryField:
    """The docstring of the field's resolver becomes its description in the schema."""
    assert field.base_resolver is not None
    field.description = inspect.getdoc(field.base_resolver.wrapped_func)
    return field
