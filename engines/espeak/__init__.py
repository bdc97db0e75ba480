"""eSpeak NG, the embedded default engine: its library works in processes of its own."""
