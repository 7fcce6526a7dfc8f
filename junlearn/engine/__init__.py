"""What runs methods: the loop, the compiled step, batches, checkpoints, several devices and processes.

The engine takes a method as data, a tuple of functions and a list of stages, and knows none by name. It imports
`parts`, `models` and the contract; never methods, metrics, datasets or scenarios.

Read `run` first: it is the only loop. Then `program`, the compiled step, and `batches`, from indices to network input.
`README.md` beside this file tells the rest.
"""

import time

BEGAN = time.time()
"""When this process began to load the package: a file that was changed later is not what runs."""
