"""The shared HTTP toolkit: client, table of failures, retry, pacing, paging; the only room that imports httpx, and no vendor's words."""

import sys

# httpx is a command line as well, made of click, pygments and rich where they are installed: 5 MB and a tenth of a second for nothing.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type] # "import of it is halted" (Python: sys.modules); httpx does without
