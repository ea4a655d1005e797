"""Whether a restart is needed: a step that never ends, or a model that never loads, is mended by nothing else."""

import time

from services.chassis.errors import DomainError, Reason
from services.inference.engine import Engine


class Watchdog:
    """Starts to count when it is made."""

    def __init__(self, engine: Engine, *, step_seconds: float, loading_seconds: float) -> None:
        self._engine, self._step_seconds, self._loading_seconds = engine, step_seconds, loading_seconds
        self._began = time.monotonic()
        self._loaded = False

    async def check(self) -> None:
        """Raises UNAVAILABLE once it takes too long; a step that ends after all makes it well again."""
        self._loaded = self._loaded or any(model.ready for model in self._engine.models())
        if not self._loaded and time.monotonic() - self._began > self._loading_seconds:
            raise DomainError(Reason.UNAVAILABLE, f"The model is not loaded after {self._loading_seconds:.0f} seconds.")
        if self._engine.stalled_seconds() > self._step_seconds:
            raise DomainError(Reason.UNAVAILABLE, f"A step has not ended for {self._step_seconds:.0f} seconds.")
