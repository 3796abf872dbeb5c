"""The shared HTTP toolkit: client, table of failures, retry, pacing, paging; the only room that imports httpx, and no vendor's words."""
