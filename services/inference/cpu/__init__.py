"""A decoder for CPUs: int8 weights, kernels compiled for this machine when it first runs, and no row knows another.

Every token of a step goes through the same arithmetic in the same order, whatever else the step computes: products are
sums of integers, which no order changes, and all that is not integer belongs to one token. So a token's logits are
equal, bit for bit, alone and in a batch, in a prompt's chunk and as the newest word, computed again or from the cache.
"""
