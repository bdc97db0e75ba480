"""Decoding token by token: which token is next, and the loop. Imports no torch."""

from engines.decode.loop import Spoken, decode
from engines.decode.sampling import GREEDY, Draw, Sampler, Sampling, probabilities

__all__ = ["GREEDY", "Draw", "Sampler", "Sampling", "Spoken", "decode", "probabilities"]
