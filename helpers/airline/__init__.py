"""The bookings service of an airline: FastAPI over PostgreSQL, small, typed and correct under concurrency.

| module | role |
|---|---|
| `settings` | what differs from one deployment to the next, read from `AIRLINE_…` variables |
| `models` | the five tables and the constraints that hold whatever the code does |
| `database` | engine, sessions, creating the tables |
| `schemas` | what comes in and goes out as JSON |
| `flights`, `bookings` | what the service does; each function runs in the caller's transaction |
| `problems` | every error as `application/problem+json`, in the responses and in the OpenAPI document |
| `dependencies` | what an endpoint asks for: a transaction, the settings, the moment |
| `routes` | the endpoints: one function, one transaction |
| `app` | `create_app`: puts the parts together |
| `seed` | fills the tables with the course's data |
| `__main__`, `server` | `python -m helpers.airline`, and the same as a process of an experiment |

The database access is synchronous: a request is one transaction of a few milliseconds, so the pool's
connections are the limit and not the threads, and the same code reads well in a task queue or a test.

It sells seats on the flights of 2013, and it trusts its callers: there is no authentication.
"""
