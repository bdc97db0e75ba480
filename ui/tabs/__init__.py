"""One module a tab; each has `build`, called inside the shell's Blocks."""
