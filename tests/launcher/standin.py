"""Stands in for a service: answers PING on a socket, logs JSON, ends as told.

python standin.py SOCKET [refuse | crash | stubborn | fork]
"""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path


def say(message: str, level: str = "INFO", **fields: object) -> None:
    entry = {"time": "2026-01-02T03:04:05.678+00:00", "level": level, "service": "standin", "message": message}
    sys.stderr.write(json.dumps(entry | fields) + "\n")


def main(path: str, manner: str = "calm") -> None:
    if manner == "refuse":
        sys.stderr.write("PARLEY_COLOUR: must be green\n")
        sys.exit(2)
    if manner == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if manner == "fork":
        subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()", path])
    Path(path).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        say("up", "WARNING", pid=os.getpid(), crash_on="the first PING")
        while True:
            client, _ = server.accept()
            with client:
                client.recv(100)
                client.sendall(b"+PONG\r\n")
            if manner == "crash":
                sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
