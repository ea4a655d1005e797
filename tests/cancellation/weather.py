"""What becomes of the connections while calls are cancelled: slow, in small pieces, silent for a moment."""

import asyncio
from random import Random

from tests.proxy import CHUNK, Proxy

DELAYS = (0, 0, 0.001, 0.003)
"""Seconds."""
PIECES = (CHUNK, CHUNK, 2_000)
"""Bytes; small ones come with a delay between them, so that a caller is cancelled with half an answer read."""
CHANGE_SECONDS = 0.03
SILENCES = 0.1
"""How often a change of the weather is one."""


async def storm_over(between: Proxy, random: Random) -> None:
    """Until cancelled; the proxy is calm again then."""
    try:
        while True:
            between.delay, between.piece = random.choice(DELAYS), random.choice(PIECES)
            if random.random() < SILENCES:
                between.hold(requests=random.random() < 0.5)
            await asyncio.sleep(random.uniform(0, 2 * CHANGE_SECONDS))
            between.let_go()
    finally:
        between.let_go()
        between.delay, between.piece = 0, CHUNK
