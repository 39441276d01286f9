"""Pure decisions: which run starts next, on which GPUs, why it waits, whether it is tried again.

Also when a schedule is due. Read `limits` and `wait_reasons` first.
"""
