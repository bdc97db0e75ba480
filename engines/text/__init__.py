"""Text front end: clean, split, pauses, pronunciation lexicon, numbers in words."""

from engines.text.clean import clean
from engines.text.languages import canonical, language_name
from engines.text.lexicon import STARTER, Lexicon
from engines.text.normalise import covers, normalise
from engines.text.utterances import utterances

__all__ = [
    "STARTER",
    "Lexicon",
    "canonical",
    "clean",
    "covers",
    "language_name",
    "normalise",
    "utterances",
]
