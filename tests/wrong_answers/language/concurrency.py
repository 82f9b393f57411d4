"""Plausible wrong answers to the exercises of 1.6, and what must be said of each."""

WRONG = {
    "concurrency.bounded_gather": [
        (  # no bound at all
            """
async def ask_all(ask, flights, limit):
    return await asyncio.gather(*map(ask, flights))
""",
            "10 were open",
        ),
        (  # the bound, and calls that outlive the error
            """
async def ask_all(ask, flights, limit):
    places = asyncio.Semaphore(limit)

    async def one(flight):
        async with places:
            return await ask(flight)

    return await asyncio.gather(*map(one, flights))
""",
            "still open",
        ),
        (  # hears of the error when all the others have answered
            """
async def ask_all(ask, flights, limit):
    places = asyncio.Semaphore(limit)

    async def one(flight):
        async with places:
            return await ask(flight)

    answers = await asyncio.gather(*map(one, flights), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers
""",
            "do not wait for their answers",
        ),
        (  # cancels, and does not wait
            """
async def ask_all(ask, flights, limit):
    places = asyncio.Semaphore(limit)

    async def one(flight):
        async with places:
            return await ask(flight)

    tasks = [asyncio.create_task(one(flight)) for flight in flights]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        raise
""",
            "wait until they are over",
        ),
        (  # one after the other
            """
async def ask_all(ask, flights, limit):
    return [await ask(flight) for flight in flights]
""",
            "one after the other",
        ),
        (  # batch after batch
            """
async def ask_all(ask, flights, limit):
    fares = []
    for start in range(0, len(flights), limit):
        fares += await asyncio.gather(*map(ask, flights[start : start + limit]))
    return fares
""",
            "a whole batch",
        ),
        (  # in the order of the answers
            """
async def ask_all(ask, flights, limit):
    places = asyncio.Semaphore(limit)
    fares = []

    async def one(flight):
        async with places:
            fares.append(await ask(flight))

    async with asyncio.TaskGroup() as group:
        for flight in flights:
            group.create_task(one(flight))
    return fares
""",
            "in the wrong order",
        ),
        (  # the group reaches the caller
            """
async def ask_all(ask, flights, limit):
    places = asyncio.Semaphore(limit)

    async def one(flight):
        async with places:
            return await ask(flight)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(flight)) for flight in flights]
    return [task.result() for task in tasks]
""",
            "an ExceptionGroup around it",
        ),
        (  # errors among the fares
            """
async def ask_all(ask, flights, limit):
    places = asyncio.Semaphore(limit)

    async def one(flight):
        async with places:
            return await ask(flight)

    return await asyncio.gather(*map(one, flights), return_exceptions=True)
""",
            "One flight failed, and ask_all returned",
        ),
    ],
    "concurrency.unblock": [
        (  # a function that the process cannot find
            """
async def report(schedule, ask, processes):
    loop = asyncio.get_running_loop()
    delay, *fares = await asyncio.gather(
        loop.run_in_executor(processes, lambda: sum(f["dep_delay"] for f in json.loads(schedule))),
        asyncio.to_thread(ask, "UA1545"),
        asyncio.to_thread(ask, "DL17"),
    )
    return delay, fares
""",
            "one that the process can import",
        ),
        (  # as it was, with async in front
            """
async def report(schedule, ask_by_driver, processes):
    delay = sum(flight["dep_delay"] or 0 for flight in json.loads(schedule))
    return delay, [ask_by_driver(flight) for flight in ("UA1545", "DL17")]
""",
            "it stood still",
        ),
        (  # everything in threads
            """
async def report(schedule, ask_by_driver, processes):
    delay, *fares = await asyncio.gather(
        asyncio.to_thread(lab.total_delay, schedule),
        asyncio.to_thread(ask_by_driver, "UA1545"),
        asyncio.to_thread(ask_by_driver, "DL17"),
    )
    return delay, fares
""",
            "it stood still",
        ),
        (  # the flights come back and are unpickled here
            """
async def report(schedule, ask_by_driver, processes):
    loop = asyncio.get_running_loop()
    flights, *fares = await asyncio.gather(
        loop.run_in_executor(processes, json.loads, schedule),
        asyncio.to_thread(ask_by_driver, "UA1545"),
        asyncio.to_thread(ask_by_driver, "DL17"),
    )
    return sum(flight["dep_delay"] or 0 for flight in flights), fares
""",
            "should be small",
        ),
        (  # the process works, the loop waits for it
            """
async def report(schedule, ask_by_driver, processes):
    delay = processes.submit(lab.total_delay, schedule).result()
    fares = await asyncio.gather(
        asyncio.to_thread(ask_by_driver, "UA1545"), asyncio.to_thread(ask_by_driver, "DL17")
    )
    return delay, fares
""",
            "it stood still",
        ),
        (  # awaits each before it starts the next
            """
async def report(schedule, ask_by_driver, processes):
    loop = asyncio.get_running_loop()
    delay = await loop.run_in_executor(processes, lab.total_delay, schedule)
    fares = [await asyncio.to_thread(ask_by_driver, flight) for flight in ("UA1545", "DL17")]
    return delay, fares
""",
            "one after the other",
        ),
    ],
    "concurrency.stop": [
        (  # does not wait
            """
async def stop(task):
    task.cancel()
""",
            "still cleaning up",
        ),
        (  # takes the task's end for its own
            """
async def stop(task):
    task.cancel()
    await task
""",
            "came out of stop",
        ),
        (  # what everybody writes
            """
async def stop(task):
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return None
    except Exception as error:
        return error
""",
            "the order was swallowed",
        ),
        (  # knows whose order it was, and passes it on all the same
            """
async def stop(task):
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        if asyncio.current_task().cancelling():
            raise
        return None
    except Exception as error:
        return error
""",
            "was passed on to it",
        ),
        (  # the errors are lost
            """
async def stop(task):
    task.cancel()
    await asyncio.wait([task])
""",
            "which stop should return",
        ),
        (  # the error is raised
            """
async def stop(task):
    task.cancel()
    await asyncio.wait([task])
    return None if task.cancelled() else task.result()
""",
            "stop raised ConnectionError",
        ),
    ],
}

RIGHT = {
    "concurrency.bounded_gather": [
        # as many workers as may be open, on one iterator
        """
async def ask_all(ask, flights, limit):
    flights = list(flights)
    numbered, fares = iter(enumerate(flights)), [None] * len(flights)

    async def worker():
        for place, flight in numbered:
            fares[place] = await ask(flight)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(limit):
                group.create_task(worker())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return fares
""",
    ],
}
