"""Routing: which inference replicas there are, and which of them takes a turn."""

from services.conversation.routing.fleet import Fleet
from services.conversation.routing.generation import Generation, ReplicaLostError
from services.conversation.routing.router import Router

__all__ = ["Fleet", "Generation", "ReplicaLostError", "Router"]
