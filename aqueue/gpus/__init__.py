"""What NVIDIA's library says of the machine's GPUs, asked for in a process of its own. Read `probe` first."""
