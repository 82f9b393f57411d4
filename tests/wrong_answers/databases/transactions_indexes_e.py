"""Plausible wrong answers to the exercises of 3.1, the sitting on plans, and what must be said of each."""

WRONG = {
    "transactions_indexes.right_estimates": [
        (  # nobody fills them
            """
def right_estimates():
    return ["create statistics route (mcv, ndistinct) on carrier, origin, dest from flights"]
""",
            "empty: who fills it",
        ),
        (  # the list of combinations alone
            """
def right_estimates():
    return [
        "create statistics route (mcv) on carrier, origin, dest from flights",
        "analyze flights",
    ]
""",
            "For the groups the planner expects",
        ),
        (  # the number of combinations alone
            """
def right_estimates():
    return [
        "create statistics route (ndistinct) on carrier, origin, dest from flights",
        "analyze flights",
    ]
""",
            "Which statistics know how often each *combination* occurs?",
        ),
        (  # what everybody tries first
            """
def right_estimates():
    return [
        "create statistics route (dependencies, ndistinct) on carrier, origin, dest from flights",
        "analyze flights",
    ]
""",
            "expects 1,120, there are 2,276",
        ),
        (  # more of what does not know
            """
def right_estimates():
    return [
        "alter table flights alter column carrier set statistics 10000",
        "alter table flights alter column origin set statistics 10000",
        "alter table flights alter column dest set statistics 10000",
        "analyze flights",
    ]
""",
            "expects 486, there are 2,276",
        ),
        (  # an index has the combinations, the planner does not look
            """
def right_estimates():
    return ["create index on flights (origin, carrier, dest)", "vacuum (analyze) flights"]
""",
            "as if the columns knew nothing of each other",
        ),
        (  # tells the planner what it should find out
            """
def right_estimates():
    return [
        "alter table flights alter column carrier set (n_distinct = 2)",
        "create statistics route (mcv) on carrier, origin, dest from flights",
        "analyze flights",
    ]
""",
            "n_distinct=2 was set for good",
        ),
        (  # changes the data until the estimate is right
            """
def right_estimates():
    return ["update flights set carrier = 'MQ' where flight_id % 1000 = 0",
            'create statistics route on carrier, origin, dest from flights', 'analyze flights']
""",
            "The data must stay as they are",
            "environment",
        ),
    ],
}

RIGHT = {}
