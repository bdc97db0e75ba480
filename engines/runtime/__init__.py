"""Where a stage runs: devices, threads, runtimes. Nothing here knows a model family."""
