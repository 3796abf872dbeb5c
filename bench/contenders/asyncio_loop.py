"""Pages and batches with eight in flight, over two clients, no state, no retries, nothing checked: the ceiling where answers take time."""

import asyncio
import sys

import httpx
from mapping import to_body, to_event

IN_FLIGHT = 8


async def carry(client: httpx.AsyncClient, number: int) -> int:
    """Carry a page, and return how many there are."""
    page = (await client.get("/events/search.json", params={"page": number})).raise_for_status().json()
    answer = await client.put("/events", json=to_body([to_event(row) for row in page["results"]]))
    answer.raise_for_status().json()
    total: int = page["total_pages"]
    return total


async def main() -> None:
    """Carry everything once."""
    base = sys.argv[1]
    clients = [httpx.AsyncClient(base_url=base, timeout=60, headers={"Authorization": "Bearer bench"}) for _ in range(2)]
    total = await carry(clients[0], 1)
    numbers = iter(range(2, total + 1))

    async def work(client: httpx.AsyncClient) -> None:
        for number in numbers:
            await carry(client, number)

    await asyncio.gather(*(work(clients[lane % len(clients)]) for lane in range(IN_FLIGHT)))
    await asyncio.gather(*(client.aclose() for client in clients))


asyncio.run(main())
