"""The whole mesh on this machine: every service its own process, embedded stores, one log."""
