"""One small API in three frameworks, over the tables of `helpers.airline`.

| module | holds |
|---|---|
| `fastapi_app`, `django_app`, `flask_app` | search flights, book a seat, ask a fare provider; each as its framework has it |
| `django_models` | the tables as Django sees them; the two others use `helpers.airline.models` |
| `server` | a server of one of them, as a process of its own |
| `measuring` | the database, the servers, and what is compared |
"""
