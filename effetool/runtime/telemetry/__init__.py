"""What a running effe tells: records and counters."""
