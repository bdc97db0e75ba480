"""Models of the coqui-tts library."""
