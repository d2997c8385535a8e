"""Loops over arrays as machine code for the CPU, by numba; nothing here decides what is computed.

Each file begins with a sketch: input, idea, steps, cost. Who calls a kernel owns its meaning and,
where tensors may be elsewhere (a GPU, double precision, an exported graph), the same in torch.
"""
