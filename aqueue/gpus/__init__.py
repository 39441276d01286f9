"""The machine's GPUs, as NVIDIA's library reports them in a process of its own. Read `probe` first."""
