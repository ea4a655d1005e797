"""A simulator of routing: the same conversations, sent to the same replicas, by one policy after the other."""
