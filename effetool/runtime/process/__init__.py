"""The life of an effe's processes, from the start to the last answer."""
