"""Spark-TTS: a language model that writes speech tokens, and BiCodec, which makes sound of them."""
