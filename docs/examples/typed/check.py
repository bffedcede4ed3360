"""For a type checker: the module must be an effe."""

import logic

from effetool.runtime import Logic

effe: Logic = logic
