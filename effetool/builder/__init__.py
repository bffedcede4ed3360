"""Build: an effe in, one file out. Only caller of pex, and only of its command line."""

from .build import build
from .build_many import Result, build_many
from .options import Options
from .progress import Progress, Step

__all__ = ["Options", "Progress", "Result", "Step", "build", "build_many"]
