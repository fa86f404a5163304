"""What is wrong in a configuration file: where, which key, what, and how to mend it.

A `«` in a file marks where its complaint must stand; it is not written to disk.
"""

import re

import pytest

from tests.configs import MAIN, MASTER, ZONE, Folder, marked
from gslb.config.fields import COUNT_MAX, ITEMS_MAX, STEPS_MAX
