"""Loops over arrays, compiled by numba to machine code for the CPU.

Each file begins with a sketch: input, idea, steps, cost. A kernel decides nothing: its caller says
what is computed, and has the same in torch for tensors that a kernel does not take (on a GPU, in
double precision, in an exported graph).
"""
