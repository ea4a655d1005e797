from services.launcher.backoff import FIRST_SECONDS, MOST_SECONDS, STEADY_SECONDS, Backoff


def test_the_delay_doubles_up_to_a_bound() -> None:
    backoff = Backoff()
    delays = [backoff.delay(uptime=0) for _ in range(12)]
    assert delays[:4] == [FIRST_SECONDS * 2**n for n in range(4)]
    assert delays[-1] == MOST_SECONDS == max(delays)


def test_a_process_that_was_up_for_long_starts_again_soon() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.delay(uptime=0)
    assert backoff.delay(uptime=STEADY_SECONDS) == FIRST_SECONDS
