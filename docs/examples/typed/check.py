"""What a type checker is shown: the module is an effe."""

import logic

from effetool.runtime import Logic

effe: Logic = logic
