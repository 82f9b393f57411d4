"""Plausible wrong answers to the exercises of 1.6, and what must be said of each."""

# Right, but for the last line of each.
WORKERS = """
async def ask_all(ask, flights, limit):
    flights = list(flights)
    numbered, fares = iter(enumerate(list(flights))), [None] * len(flights)

    async def worker():
        for place, flight in numbered:
            fares[place] = await ask(flight)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(limit):
                group.create_task(worker())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
"""
REPORT = """
async def report(schedule, ask_by_driver, processes):
    loop = asyncio.get_running_loop()
    delay, *fares = await asyncio.gather(
        loop.run_in_executor(processes, lab.total_delay, schedule),
        asyncio.to_thread(ask_by_driver, "UA1545"),
        asyncio.to_thread(ask_by_driver, "DL17"),
    )
"""

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
            "One flight failed with ConnectionError, and ask_all returned",
        ),
        (  # the failing call's place goes to the next one before the group hears of it
            """
async def ask_all(ask, flights, limit):
    places = asyncio.Semaphore(limit)

    async def one(flight):
        async with places:
            return await ask(flight)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(flight)) for flight in flights]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
""",
            "UA1 failed, and after that UA2 was asked for",
        ),
        (  # a fare that is false is taken for none
            f"""{WORKERS}
    return [fare for fare in fares if fare]
""",
            "A fare may be 0 or None",
            "falsy",
        ),
        (  # one request for two equal flights
            f"""{WORKERS.replace("    flights = list(flights)", "    flights = list(dict.fromkeys(flights))")}
    return fares
""",
            "Each item is a request",
            "identity",
        ),
        (  # whether one failed is asked of the error, which may be false
            f"""{WORKERS.replace("raise failed.exceptions[0]", "raise failed.exceptions[0] or OSError()")}
    return fares
""",
            "not that very error",
            "exception",
        ),
        (  # the caller's list is used up
            f"""{WORKERS.replace("flights = list(flights)", "")}
    flights.clear()
    return fares
""",
            "It belongs to the caller",
            "in place",
        ),
        (  # not cancelled with its caller
            """
async def ask_all(ask, flights, limit):
    async def all_of_them():
        return await inner(ask, flights, limit)

    return await asyncio.shield(asyncio.create_task(all_of_them()))


"""
            + f"{WORKERS.replace('async def ask_all', 'async def inner')}\n    return fares\n",
            "and requests went on",
        ),
        (  # the caller's cancellation is swallowed
            f"""{WORKERS.replace("except ExceptionGroup", "except asyncio.CancelledError: return fares" + chr(10) + "    except ExceptionGroup")}
    return fares
""",
            "and did not end as cancelled",
        ),
        (  # never ends: nobody gives the places back
            """
async def ask_all(ask, flights, limit):
    places = asyncio.Semaphore(limit)

    async def one(flight):
        await places.acquire()
        return await ask(flight)

    return await asyncio.gather(*map(one, flights))
""",
            "there is no result",
        ),
        (  # the least of nothing
            f"""{WORKERS.replace("range(limit)", "range(min(limit, len(flights)))")}
    fares[0]
    return fares
""",
            "and it raised IndexError",
        ),
        (  # None for no flights
            f"""{WORKERS}
    return fares or None
""",
            "expected [], got None",
        ),
        (  # another error
            f"""{WORKERS.replace("raise failed.exceptions[0]", "raise RuntimeError('no fare')")}
    return fares
""",
            "got RuntimeError",
        ),
        (  # the others' cancellation reaches the caller
            f"""{WORKERS.replace("raise failed.exceptions[0] from None", "raise asyncio.CancelledError")}
    return fares
""",
            "your caller got CancelledError",
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
        (  # a delay that is 0 or missing is left out, and so is a fare that is empty
            f"""{REPORT}
    return delay, [fare for fare in fares if fare]
""",
            "two fares that are empty texts",
            "falsy",
        ),
        (  # the sum is computed once for all reports
            f"""
known = {{}}
{
                REPORT.replace("delay, *fares", "known['x'], *fares").replace(
                    "loop.run_in_executor(processes, lab.total_delay, schedule)",
                    "loop.run_in_executor(processes, lab.total_delay, schedule) if not known.get('x') else asyncio.sleep(0, known['x'])",
                )
            }
    return known["x"], fares
""",
            "The next report has the delays",
            "again",
        ),
        (  # errors come back as fares
            f"""{REPORT.replace('"DL17"),', '"DL17"), return_exceptions=True,')}
    return delay, fares
""",
            "the caller of report must get it",
            "exception",
        ),
        (  # shuts the caller's pool down
            f"""{REPORT}
    processes.shutdown(wait=False)
    return delay, fares
""",
            "leave it open",
            "environment",
        ),
        (  # a list instead of a pair
            f"""{REPORT}
    return [delay, *fares]
""",
            "Expected (",
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
        (  # an error that is false is taken for none
            """
async def stop(task):
    task.cancel()
    await asyncio.wait([task])
    return (None if task.cancelled() else task.exception()) or None
""",
            "failed with _Refused, which stop should return; it gave None",
            "falsy",
        ),
        (  # a task that is over has no error for it
            """
async def stop(task):
    if task.done():
        return None
    task.cancel()
    await asyncio.wait([task])
    return None if task.cancelled() else task.exception()
""",
            "The task was over before stop was called",
            "again",
        ),
        (  # what is no Exception is lost
            """
async def stop(task):
    task.cancel()
    await asyncio.wait([task])
    if task.cancelled() or not isinstance(task.exception(), Exception):
        return None
    return task.exception()
""",
            "failed with _Ended, which stop should return",
            "base exception",
        ),
        (  # waits for a minute
            """
async def stop(task):
    task.cancel()
    await asyncio.wait([task], timeout=60)
    return task.exception() if task.done() and not task.cancelled() else None
""",
            "takes two hours was not waited for",
            "time",
        ),
        (  # cancels until it is over
            """
async def stop(task):
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    return None if task.cancelled() else task.exception()
""",
            "cancelled more than once",
        ),
        (  # waits for what never comes
            """
async def stop(task):
    await asyncio.wait([task])
    return None if task.cancelled() else task.exception()
""",
            "was it cancelled?",
        ),
        (  # whether it was cancelled instead of the error
            """
async def stop(task):
    task.cancel()
    await asyncio.wait([task])
    return not task.cancelled() and task.exception()
""",
            "expected None, got False",
        ),
        (  # waits for the cancellation, and the clean-up ends with an error
            """
async def stop(task):
    task.cancel()
    while not task.cancelled():
        await asyncio.sleep(0)
""",
            "failed with ConnectionError, and stop does not end",
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
    "concurrency.unblock": [
        # threads and processes through the executors themselves
        """
async def report(schedule, ask_by_driver, processes):
    parsed = processes.submit(lab.total_delay, schedule)
    with __import__("concurrent.futures").futures.ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(ask_by_driver, flight) for flight in ("UA1545", "DL17")]
        fares = [await asyncio.wrap_future(each) for each in asked]
    return await asyncio.wrap_future(parsed), fares
""",
    ],
    "concurrency.stop": [
        # a callback and an event instead of wait
        """
async def stop(task):
    over = asyncio.Event()
    task.add_done_callback(lambda _: over.set())
    task.cancel()
    await over.wait()
    try:
        return task.exception()
    except asyncio.CancelledError:
        return None
""",
    ],
}
