"""Imported by the forkserver before anything else, for its effect on all workers.

The one module of this package that acts on import: a forkserver can only be told names of
modules, and libraries read the environment when they are imported.
"""

from slm_explorer.runtime.process import settle

settle()
