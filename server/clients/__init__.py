"""Dialects of programs that speak through other servers than OpenAI's."""
