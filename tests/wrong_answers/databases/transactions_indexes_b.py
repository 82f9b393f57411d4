"""Plausible wrong answers to the exercises of 3.1, the sitting on indexes, and what must be said of each."""

READ = """
def read(connection):
    rows = connection.execute('''
        select i.indexrelid::regclass::text, i.indisunique, s.idx_scan, c.relam, i.indkey::text,
               i.indpred is null and i.indexprs is null
        from pg_index i join pg_class c on c.oid = i.indexrelid
        join pg_stat_user_indexes s using (indexrelid)
        where i.indrelid = to_regclass('flights') order by 1''')
    return rows.fetchall()
"""

WRONG = {
    "transactions_indexes.board_of_delays": [
        (  # a list in a list
            """
def board_of_delays():
    return [["create index on flights (origin, dep_delay)", "vacuum flights"]]
""",
            "Each statement is a string, got ['create index",
        ),
        (  # a word in the wrong place
            """
def board_of_delays():
    return ["create index on flights concurrently (origin, dep_delay)"]
""",
            "PostgreSQL refused 'create index on flights concurrently",
        ),
        (  # for everybody, for good
            """
def board_of_delays():
    return [
        "alter role all set enable_bitmapscan = off",
        "create index on flights (origin, dep_delay, flight) where dep_delay >= 120",
        "vacuum flights",
    ]
""",
            "was set for good",
        ),
        (  # and at once
            """
def board_of_delays():
    return [
        "alter system set enable_seqscan = off",
        "select pg_reload_conf()",
        "create index on flights (origin, dep_delay, flight) where dep_delay >= 120",
        "vacuum flights",
    ]
""",
            "was set for good",
        ),
        (  # a smaller table is a smaller index, too
            """
def board_of_delays():
    return [
        "alter table flights drop column distance",
        "create index on flights (origin, dep_delay, flight) where dep_delay >= 120",
        "vacuum flights",
    ]
""",
            "of flights is gone",
        ),
        (  # covers everything, and every flight
            """
def board_of_delays():
    return ["create index on flights (origin, dep_delay, flight)", "vacuum flights"]
""",
            "1 MiB was to be had",
        ),
        (  # forgets what the query returns
            """
def board_of_delays():
    return ["create index on flights (origin, dep_delay) where dep_delay >= 120", "vacuum flights"]
""",
            "has dep_delay, origin",
        ),
        (  # nobody has marked the pages
            """
def board_of_delays():
    return [
        "create index on flights (origin, dep_delay) include (flight) where dep_delay >= 120",
        "analyze flights",
    ]
""",
            "Who sets those marks?",
        ),
        (  # VACUUM FULL writes a new table, and no marks
            """
def board_of_delays():
    return [
        "create index on flights (origin, dep_delay) include (flight) where dep_delay >= 120",
        "vacuum (full, analyze) flights",
    ]
""",
            "0 of the table's",
        ),
        (  # made for the query of the example
            """
def board_of_delays():
    return [
        "create index on flights (dep_delay, flight) where origin = 'LGA' and dep_delay >= 120",
        "vacuum flights",
    ]
""",
            "For origin = 'EWR' and dep_delay >= 120",
        ),
        (  # made for the threshold of the example
            """
def board_of_delays():
    return [
        "create index on flights (origin, dep_delay) include (flight) where dep_delay >= 180",
        "vacuum flights",
    ]
""",
            "For origin = 'LGA' and dep_delay >= 120 the plan is a Seq Scan",
        ),
        (  # fewer flights, smaller index
            """
def board_of_delays():
    return [
        "delete from flights where dep_delay is null or dep_delay < 120",
        "create index on flights (origin, dep_delay) include (flight)",
        "vacuum flights",
    ]
""",
            "The data must stay as they are",
        ),
        (  # takes the choice away from the planner
            """
def board_of_delays():
    return [
        "create index on flights (origin, dep_delay) include (flight) where dep_delay >= 120",
        "alter database exercise_own set enable_bitmapscan = off",
        "vacuum flights",
    ]
""",
            "That is another planner",
        ),
        (  # one string
            """
def board_of_delays():
    return "create index on flights (origin, dep_delay) include (flight) where dep_delay >= 120; vacuum flights"
""",
            "Return a list of SQL statements",
        ),
        (  # an option of the table
            """
def board_of_delays():
    return [
        'create index board on flights (origin, dep_delay) include (flight) where dep_delay >= 120',
        'alter table flights set (fillfactor = 90)',
        'vacuum flights',
    ]
""",
            "option fillfactor=90 of flights is new",
            "environment",
        ),
    ],
    "transactions_indexes.useless_indexes": [
        (  # the wider index may be partial
            READ
            + """
def useless_indexes(connection):
    found = read(connection)
    unused = {name for name, unique, scans, *_ in found if scans == 0 and not unique}
    staying = [row for row in found if row[0] not in unused]
    gone = set()
    for name, unique, _, _, columns, plain in staying:
        if not unique and plain and any(
            other != name and other not in gone and f"{c} ".startswith(f"{columns} ")
            for other, _, _, _, c, p in staying
        ):
            gone.add(name)
    return unused | gone
""",
            "order by departs limit 10» reads",
        ),
        (  # what was never scanned, rules included
            READ
            + """
def useless_indexes(connection):
    return [name for name, unique, scans, am, columns, plain in read(connection) if scans == 0]
""",
            "guards a rule",
        ),
        (  # what was never scanned, and no more
            READ
            + """
def useless_indexes(connection):
    return [
        name for name, unique, scans, am, columns, plain in read(connection)
        if scans == 0 and not unique
    ]
""",
            "by_tail is still there",
        ),
        (  # rarely used is not unused
            READ
            + """
def useless_indexes(connection):
    return [
        name for name, unique, scans, am, columns, plain in read(connection)
        if scans < 5 and not unique
    ] + ["by_tail"]
""",
            "Now «select flight from flights where arr_delay > 300",
        ),
        (  # each of two twins is a prefix of the other
            READ
            + """
def useless_indexes(connection):
    found = read(connection)
    return {
        name for name, unique, scans, am, columns, plain in found
        if not unique and plain and (scans == 0 or any(
            other != name and p and f"{c} ".startswith(f"{columns} ") for other, _, _, _, c, p in found))
    }
""",
            "Now «select flight, departs from flights where dest = 'HNL'»",
        ),
        (  # a partial index is no prefix of a full one
            READ
            + """
def useless_indexes(connection):
    found = read(connection)
    unused = {name for name, unique, scans, *_ in found if scans == 0 and not unique}
    staying = [row for row in found if row[0] not in unused]
    return unused | {
        a for a, unique, _, _, columns, plain in staying
        if not unique and any(
            b != a and f"{c} ".startswith(f"{columns} ") for b, _, _, _, c, _ in staying)
    }
""",
            "Now «select flight from flights where arr_delay > 300 and departs < '2013-04-01'» reads",
        ),
        (  # the same columns, wherever they stand
            READ
            + """
def useless_indexes(connection):
    found = read(connection)
    unused = {name for name, unique, scans, *_ in found if scans == 0 and not unique}
    staying = [row for row in found if row[0] not in unused]
    return unused | {
        a for a, unique, _, _, columns, plain in staying
        if not unique and plain and any(
            b != a and set(columns.split()) < set(c.split()) for b, _, _, _, c, _ in staying)
    }
""",
            "departs >= '2013-02-08' and departs < '2013-02-09'» reads",
        ),
        (  # leans on an index that it drops
            READ
            + """
def useless_indexes(connection):
    found = read(connection)
    unused = {name for name, unique, scans, *_ in found if scans == 0 and not unique}
    kept_of_twins = {columns: name for name, _, scans, _, columns, plain in found if plain and scans}
    return unused | {
        a for a, unique, _, am, columns, plain in found
        if not unique and plain and any(
            b != a and m == am and p and f"{c} ".startswith(f"{columns} ")
            and (c != columns or kept_of_twins.get(c) == b)
            for b, _, _, m, c, p in found)
    }
""",
            "You dropped by_dest_hash, by_number, by_tail, by_tail_and_delay",
        ),
        (  # a list of names from the first database
            """
def useless_indexes(connection):
    there = connection.execute("select to_regclass('by_distance')").fetchone()[0]
    again = connection.execute('''
        select indexrelname from pg_stat_user_indexes
        where idx_scan = 0 and indexrelname like 'by_dest%' ''').fetchone()
    return ["by_distance", "by_tail", again[0]] if there else []
""",
            "by_number is still there",
        ),
        (  # drops them itself
            """
def useless_indexes(connection):
    names = ['by_distance', 'by_dest_again', 'by_tail']
    for name in names:
        connection.execute(f'drop index if exists {name}')
    return names
""",
            "itself. It is to return the names only",
            "environment",
        ),
    ],
}

RIGHT = {
    "transactions_indexes.useless_indexes": [
        # names the table as a regclass, which does not exist in every database
        """
def useless_indexes(connection):
    rows = connection.execute(
        "select c.relname, i.indisunique, coalesce(s.idx_scan, 0), c.relam, i.indkey::text, "
        "i.indpred is null and i.indexprs is null from pg_index i join pg_class c on c.oid = i.indexrelid "
        "left join pg_stat_user_indexes s using (indexrelid) where i.indrelid = 'flights'::regclass"
    ).fetchall()
    going = {name for name, unique, scans, *_ in rows if not unique and not scans}
    for name, unique, _, kind, columns, plain in sorted(rows, key=lambda row: (len(row[4]), row[0])):
        if unique or name in going or not plain:
            continue
        wider = [r for r in rows if r[0] not in going | {name} and r[5] and r[3] == kind]
        if any(f"{r[4]} ".startswith(f"{columns} ") for r in wider):
            going.add(name)
    return going
""",
    ],
    "transactions_indexes.board_of_delays": [
        # one index an airport
        """
def board_of_delays():
    return [
        *(
            f"create index on flights (dep_delay, flight, origin) where origin = '{airport}' and dep_delay >= 120"
            for airport in ("EWR", "JFK", "LGA")
        ),
        "vacuum flights",
    ]
""",
    ],
}
