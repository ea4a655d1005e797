"""The story of one run: claim the data folder, plan, start, let the first account in, keep, stop."""

import sys

from services.launcher.account import Files, ensure_account
from services.launcher.arguments import Run
from services.launcher.config import LauncherSettings
from services.launcher.folder import claim
from services.launcher.line import Filter
from services.launcher.mesh import Mesh
from services.launcher.output import Output
from services.launcher.plan import make_plan, public_address
from services.launcher.ports import require_free
from services.launcher.process import Process
from services.launcher.screen import PlainScreen, Screen
from services.launcher.secret import load_secrets
from services.launcher.state import State
from services.launcher.stop import Stop
from services.launcher.stores import Stores
from services.launcher.welcome import welcome


async def run(settings: LauncherSettings, command: Run) -> int:
    """The whole mesh, until somebody stops it. Raises RefusalError."""
    stop, state, shown = Stop(), State(settings.data), Filter(verbose=command.verbose)
    files, logs = Files(settings.data), settings.data / "logs"
    with claim(settings.data), stop.on_signals(), state.kept():
        require_free(settings.host, settings.port)
        secrets = load_secrets(settings.data, make=True)
        plan = make_plan(settings, secrets, command.replicas)
        auth_address = next(program.endpoint.address for program in plan if program.name == "auth")
        logs.mkdir(mode=0o700, exist_ok=True)
        screen = _screen()
        await stop.unless(Stores.of(settings).migrate(screen))
        processes = [
            Process(program, Output(program, logs / program.log_name, screen, shown), screen, state) for program in plan
        ]

        async def when_ready() -> None:
            await ensure_account(files, settings.admin_email, auth_address, secrets)
            screen.say(welcome(f"http://{public_address(settings)}", settings.admin_email, files))
            shown.settled = True

        try:
            await Mesh(processes, screen, stop, settings.stop_seconds).run(when_ready)
        finally:
            screen.settle()
        screen.say("Stopped.")
    return 0


def _screen() -> Screen:
    if sys.stdout.isatty():
        from services.launcher.terminal import TerminalScreen  # drawing is for terminals alone

        return TerminalScreen()
    return PlainScreen()
