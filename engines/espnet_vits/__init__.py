"""VITS as ESPnet trains and publishes it: single speaker, speaker ids, x-vectors, language ids."""
