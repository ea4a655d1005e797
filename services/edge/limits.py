"""What a document may ask for. One walk, whatever its fragments, before validation, which can be slow."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
)

from services.edge.config import Limits


@dataclass(frozen=True, slots=True)
class Size:
    """Of selections, with every fragment counted where it is spread."""

    depth: int = 0
    aliases: int = 0
    directives: int = 0

    def beside(self, other: "Size") -> "Size":
        return Size(max(self.depth, other.depth), self.aliases + other.aliases, self.directives + other.directives)


@dataclass(slots=True)
class _Walk:
    fragments: dict[str, FragmentDefinitionNode]
    known: dict[str, Size | None] = field(default_factory=dict)
    """Of fragments; None while one is measured, which ends a cycle: validation names it."""

    def measure(self, selections: SelectionSetNode | None) -> Size:
        size = Size()
        for node in selections.selections if selections else ():
            inside = self._spread(node.name.value) if isinstance(node, FragmentSpreadNode) else self._nested(node)
            alias = int(isinstance(node, FieldNode) and node.alias is not None)
            size = size.beside(inside).beside(Size(0, alias, len(node.directives or ())))
        return size

    def _nested(self, node: object) -> Size:
        inside = self.measure(getattr(node, "selection_set", None))
        if not isinstance(node, FieldNode):
            return inside
        # Introspection has a rule of its own.
        depth = 0 if node.name.value.startswith("__") else inside.depth + 1
        return Size(depth, inside.aliases, inside.directives)

    def _spread(self, name: str) -> Size:
        if name not in self.known:
            self.known[name] = None
            fragment = self.fragments.get(name)
            self.known[name] = self.measure(fragment.selection_set if fragment else None)
        return self.known[name] or Size()


def check_limits(document: DocumentNode, limits: Limits) -> list[GraphQLError]:
    """What of the document goes too far; empty if nothing does."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    walk, size = _Walk(fragments), Size()
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            size = size.beside(walk.measure(node.selection_set)).beside(Size(0, 0, len(node.directives or ())))
    repeats = max(Counter(_names(document)).values(), default=0)
    found = {
        "depth": (size.depth, limits.max_depth),
        "aliases": (size.aliases, limits.max_aliases),
        "directives": (size.directives, limits.max_directives),
        "repeats of one field": (repeats, limits.max_repeats),
    }
    # A cascade of fragments reaches astronomical numbers.
    return [
        GraphQLError(f"The document goes too far. Its {name}: {min(value, 10_000)}, at most {limit}.")
        for name, (value, limit) in found.items()
        if value > limit
    ]


def _names(document: DocumentNode) -> Iterator[str]:
    open_sets = [getattr(definition, "selection_set", None) for definition in document.definitions]
    while open_sets:
        selections = open_sets.pop()
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                yield node.alias.value if node.alias else node.name.value
            open_sets.append(getattr(node, "selection_set", None))
