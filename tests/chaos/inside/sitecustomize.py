"""What every Python process of a mesh under test imports before its own code: it takes orders.

A process that gets SIGUSR1 carries out the file `orders/PID` in the data folder and removes it: `sleep SECONDS` blocks
its main thread and with it its event loop, while gRPC's threads go on; `clock SECONDS` puts its clock so much ahead
(behind, if negative) of the machine's.

The clock is what Python code asks for the time of day, with `time.time`, `time.time_ns` or `datetime.now`. gRPC turns
deadlines into times of day and back, in C, where the machine's clock stays what it is, so gRPC's Python is left with
that one, too. A monotonic clock does not jump on a machine either.
"""

import datetime as datetimes
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType, SimpleNamespace

_MACHINE = SimpleNamespace(**vars(time))
_ahead = 0


class _Datetime(datetimes.datetime):
    @classmethod
    def now(cls, tz: datetimes.tzinfo | None = None) -> datetimes.datetime:  # type: ignore[override]
        return datetimes.datetime.fromtimestamp(_MACHINE.time() + _ahead, tz)


def _set_clock(ahead: int) -> None:
    global _ahead
    _ahead = ahead
    for name, module in tuple(sys.modules.items()):
        known = vars(module)
        # gRPC's compiled code looks the module up by its name in itself.
        if name.startswith("grpc.") and known.get("time") is time:
            known["time"] = _MACHINE
        if name.startswith("services.") and known.get("datetime") is datetimes.datetime:
            known["datetime"] = _Datetime
    time.time = lambda: _MACHINE.time() + _ahead
    time.time_ns = lambda: _MACHINE.time_ns() + _ahead * 10**9


def _obey(number: int, frame: FrameType | None) -> None:
    del number, frame
    data = os.environ["PARLEY_DATA"]  # noqa: TID251 - in a process that has no settings of these tests
    order = Path(data, "orders", str(os.getpid()))
    verb, seconds = order.read_text().split()
    if verb == "clock":
        _set_clock(int(seconds))
    order.unlink()
    if verb == "sleep":
        time.sleep(float(seconds))


signal.signal(signal.SIGUSR1, _obey)
