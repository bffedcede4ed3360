"""effe-tool: turn a Python function into one file that serves HTTP.

Imports nothing: this package travels in every .pex, where only `effetool.runtime` is beside it.
"""

__version__ = "0.1.0"
