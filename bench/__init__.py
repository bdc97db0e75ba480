"""Side-by-side benchmarks: every figure is a ratio measured in one run, with its goal beside it."""
