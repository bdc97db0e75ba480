"""Blocks that model families share. Each file names its axes once, at its top.

A block draws no random numbers, reads no file and holds no cache; masks and noise are inputs.
"""
