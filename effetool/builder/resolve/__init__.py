"""From a declaration to the wheels of each target."""
