"""The flag that says this worker process has been asked to end.

It stands in a module of its own: a worker class in a script that is run lives in `__main__`, and a
job that imported it a second time would look at another flag.
"""

from __future__ import annotations

import threading

STOP = threading.Event()
