"""Templates: found, rendered, and written as a new effe."""
