"""Arrays from and to files, by the file's extension: nothing but data is ever read, and no torch is needed.

Importing this costs no reading library; each is imported at the first file that needs it.
"""

from __future__ import annotations

from .describe import ArrayInfo, describe_file
from .formats import READABLE, WRITABLE
from .read import read_array
from .write import write_array

__all__ = ["READABLE", "WRITABLE", "ArrayInfo", "describe_file", "read_array", "write_array"]
