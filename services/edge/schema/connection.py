"""Connections as Relay pages them: forwards, or (a branch of messages) backwards."""

from collections.abc import Callable
from typing import Generic, TypeVar

import strawberry

from services.edge.paging import Place, Slice

Node = TypeVar("Node")
Item = TypeVar("Item")


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type
class Edge(Generic[Node]):
    cursor: str
    node: Node


@strawberry.type
class Connection(Generic[Node]):
    edges: list[Edge[Node]]
    nodes: list[Node]
    page_info: PageInfo

    @classmethod
    def forwards(
        cls, page: Slice[Item], cursor: Callable[[Place], str], of: Callable[[Item], Node], *, started: bool
    ) -> "Connection[Node]":
        """`started`: whether the page follows another."""
        edges = [Edge(cursor=cursor(place), node=of(item)) for item, place in page.items]
        return cls._of(edges, has_next=page.more, has_previous=started)

    @classmethod
    def backwards(
        cls, page: Slice[Item], cursor: Callable[[Place], str], of: Callable[[Item], Node], *, started: bool
    ) -> "Connection[Node]":
        """Of a slice that was read from the newest item on; `started`: whether newer ones were left out."""
        edges = [Edge(cursor=cursor(place), node=of(item)) for item, place in reversed(page.items)]
        return cls._of(edges, has_next=started, has_previous=page.more)

    @classmethod
    def empty(cls) -> "Connection[Node]":
        return cls._of([], has_next=False, has_previous=False)

    @classmethod
    def _of(cls, edges: list[Edge[Node]], *, has_next: bool, has_previous: bool) -> "Connection[Node]":
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo(
                has_next_page=has_next,
                has_previous_page=has_previous,
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
        )
