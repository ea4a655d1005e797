"""Compiles a grammar in a process of its own, so that one which takes too long or too much ends with the process.

Reads the grammar, writes what is wrong with it or nothing. It is run as a file and imports no other of its package, so
that it starts within a tenth of a second.
"""

import resource
import sys

from llguidance import LLMatcher, LLParserLimits

CPU_SECONDS = 2
MEMORY_BYTES = 1 << 30
LIMITS = LLParserLimits(
    max_items_in_row=2_000,
    initial_lexer_fuel=500_000,
    step_lexer_fuel=100_000,
    step_max_items=20_000,
    max_lexer_states=20_000,
    max_grammar_size=6_000,
    verbose_errors=False,
)
"""So that a token mask takes some 20 ms at most, whatever the schema; an ordinary one takes 0.1 ms."""


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    wrong, messages = LLMatcher.validate_grammar_with_warnings(sys.stdin.read(), None, limits=LIMITS)
    sys.stdout.write(messages[0] if wrong else "")


if __name__ == "__main__":
    main()
