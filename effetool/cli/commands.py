"""The table of the commands, without any of them."""

__all__ = ["COMMANDS", "COMPLETING"]

# Each command, in the order of --help, and its aliases (the original's short names).
COMMANDS: dict[str, tuple[str, ...]] = {
    "new": ("n",),
    "build": ("compile", "c"),
    "dev": (),
    "test": (),
    "invoke": (),
    "run": (),
    "image": ("docker", "d"),
    "base": (),
    "deploy": (),
    "up": (),
    "info": (),
    "inspect": (),
    "diff": (),
    "verify": (),
    "doctor": (),
    "explain": (),
}

# Set by the completion scripts of the shells: what to say then goes to stdout.
COMPLETING = "_EFFE_TOOL_COMPLETE"
