"""The service as a process: unready until its model is loaded, and plain words when it cannot be."""

import asyncio
import sys
from collections.abc import Mapping

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

...
