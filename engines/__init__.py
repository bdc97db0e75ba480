"""Speech engines, and the runtime, memory and text code under them."""
