"""XTTS v2 in stages: reference clips to a voice, text to codes and latents, latents to sound."""
