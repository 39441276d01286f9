"""Pure decisions: which run starts next, on which GPUs, why it waits, and whether it is retried.

Also: when a schedule is due. Read `limits` and `wait_reasons` first.
"""
