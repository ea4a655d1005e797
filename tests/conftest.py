from typing import Any

from hypothesis import HealthCheck, settings

from tests.servers import left_out

# How long an example takes says something about the machine alone.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if left_out:
        terminalreporter.write_line(f"Left out, because no address is set: tests with {', '.join(sorted(left_out))}.")
