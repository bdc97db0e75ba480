"""Who may come in: names, keys, foreign pages, rates. It stands outside of everything else."""
