"""Whether a built file keeps what it promises."""
