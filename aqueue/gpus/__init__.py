"""The machine's GPUs, read through NVIDIA's library in a separate process. Read `probe` first."""
