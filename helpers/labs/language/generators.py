"""The crowd of 1.4: clients of a line server, in a process of their own: they share no loop with it."""

from __future__ import annotations

import asyncio
import json
import sys


async def ask(port: int, flights: list[str], gate: asyncio.Barrier) -> list[str]:
    """One client: wait for the server's greeting, then for all the other clients, then ask.

    Every question is sent in two pieces, because TCP may cut a stream anywhere.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    await gate.wait()
    answers = []
    for flight in flights:
        writer.write(flight[:2].encode())
        await asyncio.sleep(0.005)
        writer.write(f"{flight[2:]}\n".encode())
        answers.append((await reader.readline()).decode().strip())
    writer.close()
    return answers


async def crowd(port: int, clients: int) -> list[list[str]]:
    """The answers that each client got to its two questions, by client number."""
    gate = asyncio.Barrier(clients)
    questions = [[f"UA{number}", f"DL{number}"] for number in range(clients)]
    return await asyncio.gather(*(ask(port, own, gate) for own in questions))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(crowd(int(sys.argv[1]), int(sys.argv[2])))))
