"""The Wyoming protocol, by which Home Assistant and its satellites ask for speech."""
