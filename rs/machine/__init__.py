"""Where code runs: devices, processes, progress."""
