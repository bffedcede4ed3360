"""From INFO of many effes to the configuration of what runs them. Prints nothing and calls nothing by itself."""

from .effes import Effe, find_effes

__all__ = ["Effe", "find_effes"]
