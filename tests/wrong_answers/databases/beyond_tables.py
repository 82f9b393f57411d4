"""Plausible wrong answers to the exercises of 3.2, and what must be said of each."""

ROUTE = '''
def fewest_legs():
    return """
        with recursive reached (airport, n) as (
            {first}
            {union}
            select dest, n + 1 from reached join legs on {on} where {bound})
        select {columns} from reached {end}"""
'''


def route(**changes: str) -> str:
    """The worked answer, with parts of it replaced."""
    parts = {
        "first": "select %(start)s::text, 0",
        "union": "union",
        "on": "origin = airport",
        "bound": "dest is not null and n < (select count(distinct dest) from legs)",
        "columns": "airport, min(n)",
        "end": "group by airport",
    }
    return ROUTE.format(**parts | changes)


LATEST = '''
def last_three():
    return """
        select {columns} from carriers {join} lateral (
            select departs, id from departures where carrier = code order by {inner} limit {limit}) latest on true
        order by {outer}"""
'''


def latest(**changes: str) -> str:
    """The worked answer, with parts of it replaced."""
    parts = {
        "columns": "code, departs, id",
        "join": "left join",
        "inner": "departs desc, id desc",
        "limit": "3",
        "outer": "code, departs desc, id desc",
    }
    return LATEST.format(**parts | changes)


PATHS = '"create index on documents using gin (doc jsonb_path_ops)"'
PRICE = "\"create index on documents (((doc ->> 'price')::int))\""
CHAIR = "\"create index on documents (id) where doc ? 'wheelchair'\""
ANALYZE = '"analyze documents"'


def indexes(*statements: str) -> str:
    """An answer of these statements."""
    return f"\ndef document_indexes():\n    return [{', '.join(statements)}]\n"


WRONG = {
    "beyond_tables.fewest_legs": [
        # a circle for ever
        (route(bound="dest is not null"), "With one leg each way the query was still running"),
        (  # each row carries its path, so nothing is dropped
            '''
def fewest_legs():
    return """
        with recursive reached (airport, n, path) as (
            select %(start)s::text, 0, array[%(start)s::text]
            union all
            select dest, n + 1, path || dest from reached join legs on origin = airport
            where dest is not null and not dest = any(path))
        select airport, min(n) from reached group by airport"""
''',
            "With 20 airports, each with a leg to each the query was still running",
        ),
        # far enough for the airline of the example
        (route(bound="dest is not null and n < 10"), "A11 is missing, 11 legs away"),
        # a row for each way
        (route(columns="airport, n", end=""), "is there"),
        # the longest way
        (route(columns="airport, max(n)"), "JFK is 0 legs away, got"),
        # counts airports, not legs
        (route(columns="airport, min(n) + 1"), "BOS is 1 legs away, got 2"),
        # a number as text
        (route(columns="airport, min(n)::text"), "BOS is 1 legs away, got '1'"),
        # a leg that leads nowhere yet
        (route(bound="n < (select count(distinct dest) from legs)"), "whose airport is NULL"),
        # flies back on one-way legs
        (
            route(
                on="origin = airport or dest = airport",
                bound="n < (select count(distinct dest) from legs)",
            ).replace(
                "select dest,", "select case when origin = airport then dest else origin end,"
            ),
            "no legs lead to LAX",
        ),
        # a start without legs is not found
        (
            route(first="select origin, 0 from legs where origin = %(start)s"),
            "With a start without legs from JFK: the start itself is missing",
        ),
        # the start is left out
        (route(end="where airport <> %(start)s group by airport"), "the start itself is missing"),
        # one column
        (route(columns="airport", end="group by airport"), "return two columns"),
        # does not see itself in a subquery
        (route(bound="dest not in (select airport from reached)"), "PostgreSQL refused the query"),
        # writes where only reading is allowed
        (
            """
def fewest_legs():
    return "delete from legs where origin = %(start)s returning origin, 0"
""",
            "cannot execute DELETE in a read-only transaction",
        ),
        # only codes are airports
        (
            route(bound="dest ~ '^[A-Z0-9]+$' and n < (select count(distinct dest) from legs)"),
            "O'Hare is missing",
            "apostrophe",
        ),
        (  # a list
            """
def fewest_legs():
    return ["select %(start)s::text, 0"]
""",
            "Return one SQL query as a string",
        ),
        # only direct flights
        (
            '''
def fewest_legs():
    return """select %(start)s::text, 0 union
              select dest, 1 from legs where origin = %(start)s and dest <> %(start)s"""
''',
            "With legs in one direction from JFK: ORD is missing, 2 legs away",
        ),
    ],
    "beyond_tables.document_indexes": [
        # the default class reads what was refused
        (
            indexes('"create index on documents using gin (doc)"', PRICE, CHAIR, ANALYZE),
            "rows were read and thrown away for",
        ),
        # nobody told the planner
        (indexes(PATHS, PRICE, CHAIR), "the planner expects 6,667 rows"),
        # another expression than that of the query
        (
            indexes(PATHS, "\"create index on documents ((doc ->> 'price'))\"", CHAIR, ANALYZE),
            "For (doc ->> 'price')::int >= 4990 the plan is a Seq Scan",
        ),
        # a part of the document, which the query does not name
        (
            indexes(
                "\"create index on documents using gin ((doc -> 'legs') jsonb_path_ops)\"",
                PRICE,
                CHAIR,
                ANALYZE,
            ),
            '"UA7"}]}\' the plan is a Seq Scan',
        ),
        # paths know no keys
        (indexes(PATHS, PRICE, ANALYZE), "For doc ? 'wheelchair' the plan is a Seq Scan"),
        # a price limit that only one query has
        (
            indexes(
                PATHS,
                "\"create index on documents (((doc ->> 'price')::int)) where (doc ->> 'price')::int >= 4990\"",
                CHAIR,
                ANALYZE,
            ),
            "the planner expects 6,667 rows, and there are 40",
        ),
        # prices that the task names, and no others
        (
            indexes(
                PATHS,
                "\"create index on documents (((doc ->> 'price')::int)) where (doc ->> 'price')::int >= 120\"",
                "\"create statistics price on ((doc ->> 'price')::int) from documents\"",
                CHAIR,
                ANALYZE,
            ),
            "between 3 and 5 the plan is a Seq Scan",
        ),
        # one flight only
        (
            indexes(
                '"create index on documents (id) where doc @> \'{\\"legs\\": [{\\"flight\\": \\"UA7\\"}]}\'"',
                PRICE,
                CHAIR,
                ANALYZE,
            ),
            '"UA1999"}]}\' the plan is a',
        ),
        # everything in every index
        (
            indexes(PATHS, '"create index on documents (id) include (doc)"', PRICE, CHAIR, ANALYZE),
            "and 3 MiB is the limit",
        ),
        # lossy
        (
            indexes(
                PATHS,
                "\"create index on documents using brin (((doc ->> 'price')::int)) with (pages_per_range = 1)\"",
                CHAIR,
                ANALYZE,
            ),
            "(doc ->> 'price')::int >= 4990",
        ),
        # fewer documents, smaller indexes
        (
            indexes(
                "\"delete from documents where not doc ? 'wheelchair'\"",
                PATHS,
                PRICE,
                CHAIR,
                ANALYZE,
            ),
            "rows, columns or settings are not as they were",
            "environment",
        ),
        # takes the choice away from the planner
        (
            indexes('"alter role current_user set enable_seqscan = off"', PATHS, PRICE, CHAIR),
            "rows, columns or settings are not as they were",
        ),
        # makes a scan of the table look expensive, for everybody
        (
            indexes(
                '"alter tablespace pg_default set (seq_page_cost = 1000)"',
                PATHS,
                PRICE,
                CHAIR,
                ANALYZE,
            ),
            "rows, columns or settings are not as they were",
        ),
        # an option of the table
        (
            indexes('"alter table documents set (fillfactor = 50)"', PATHS, PRICE, CHAIR, ANALYZE),
            "rows, columns or settings are not as they were",
        ),
        # indexes that do not count, since they are those of another table
        (
            indexes(
                '"alter table documents rename to kept"',
                '"create view documents as select * from kept"',
                *(part.replace(" documents", " kept") for part in (PATHS, PRICE, CHAIR, ANALYZE)),
                '"create index on kept (id) include (doc)"',
            ),
            "rows, columns or settings are not as they were",
        ),
        # a column that no query names
        (
            indexes(
                "\"alter table documents add price int generated always as ((doc ->> 'price')::int) stored\"",
                PATHS,
                CHAIR,
                ANALYZE,
            ),
            "rows, columns or settings are not as they were",
        ),
        # one string
        (
            "\ndef document_indexes():\n    return 'analyze documents'\n",
            "Return a list of SQL statements",
        ),
        # something that is no statement
        (indexes(PATHS, "None"), "got None"),
        # inside a transaction of its own
        (
            indexes('"create index on documents using gin (doc json_path_ops)"'),
            "PostgreSQL refused",
        ),
    ],
    "beyond_tables.last_three": [
        (  # numbers all rows first
            '''
def last_three():
    return """
        select code, departs, id from carriers left join (
            select *, row_number() over (partition by carrier order by departs desc, id desc) as n from departures) d
            on carrier = code and n <= 3
        order by code, departs desc, id desc"""
''',
            "pages, and 300 is the limit",
        ),
        # carriers without departures disappear
        (latest(join="join"), "Expected 53 rows, got 51"),
        # the three after them
        (latest(inner="departs, id"), "Row 1: expected (C0, "),
        # of two at one time the smaller id
        (latest(inner="departs desc, id"), "expected"),
        # leaves the choice among equal times to the index
        (
            latest(inner="departs desc"),
            "With another index, and two departures at the same time: Row",
        ),
        # the latest last
        (latest(outer="code, departs, id"), "Row 1: expected (C0, "),
        # three in all
        (
            '''
def last_three():
    return """
        select code, departs, id from carriers left join departures on carrier = code
        order by code, departs desc, id desc limit 3"""
''',
            "rows, got 3",
        ),
        # the latest only
        (latest(limit="1"), "Row 2: expected (C0, "),
        # something for nothing
        (latest(columns="code, departs, coalesce(id, 0)"), "NULL, NULL), got (E1, NULL, 0)"),
        # the name instead of the code
        (latest(columns="name, departs, id"), "Row 1: expected (C0, "),
        (  # what is the last day of this data is not the last day
            latest().replace(
                "where carrier = code", "where carrier = code and departs < '2014-01-01'"
            ),
            "expected (C",
            "again",
        ),
        # two columns
        (latest(columns="code, departs"), "Return three columns"),
        # a subquery that must not look beside it
        (latest().replace("lateral", ""), "PostgreSQL refused the query"),
        # what the table has, not what the check asks for
        (
            """
def last_three():
    return None
""",
            "Return one SQL query as a string",
        ),
    ],
}

RIGHT = {
    "beyond_tables.fewest_legs": [
        # the airports counted in full, the nearest row of each by DISTINCT ON
        '''
class Route:
    nodes = "(select origin as name from legs union select dest from legs)"

    def sql(self):
        return f"""
            with recursive size as (select count(*) as n from {self.nodes} all_names),
            walk as (
                select cast(%(start)s as text) as place, 0 as legs
                union
                select l.dest, w.legs + 1 from walk w, legs l, size
                where l.origin = w.place and w.legs < size.n)
            select distinct on (place) place, legs from walk where place is not null order by place, legs"""


fewest_legs = Route().sql
''',
        # two rounds of names
        """
def fewest_legs():
    steps = "select distinct origin, dest from legs where dest <> origin"
    return (
        f"with recursive step as ({steps}), r(a, n) as (values (%(start)s::text, 0) union "
        "select step.dest, r.n + 1 from r inner join step on step.origin = r.a "
        "where step.dest <> %(start)s and r.n <= (select count(*) from (select distinct dest from step) d)) "
        "select a, min(n) as n from r group by 1 order by 2, 1"
    )
""",
        # rounds of arrays: what was reached last, and what was seen
        '''
def fewest_legs():
    return """
        with recursive r (n, ahead, seen) as (
            select 0, array[%(start)s::text], array[%(start)s::text]
            union all
            select n + 1, x.next, seen || x.next from r, lateral (select array(
                select distinct dest from legs where origin = any(ahead) and dest <> all(seen)) as next) x
            where cardinality(x.next) > 0)
        select unnest(ahead), n from r"""
''',
        # a numeric counter
        route(first="select %(start)s::text, 0::numeric"),
    ],
    "beyond_tables.document_indexes": [
        # an index on a condition, which is true or false
        """
from functools import partial


def make(on):
    return f"create index on documents {on}"


def every(conditions):
    return (*map(make, conditions), "vacuum (analyze) documents")


document_indexes = partial(every, ["using gin (doc jsonb_path_ops)", "(((doc ->> 'price')::int), id)", "((doc ? 'wheelchair'))"])
""",
        # statistics of the expression
        """
def document_indexes():
    return [
        "create statistics price on ((doc ->> 'price')::int) from documents",
        "create index prices on documents (((doc ->> 'price')::int))",
        "create index paths on documents using gin (doc jsonb_path_ops)",
        "create index chairs on documents using gin (doc) where doc ? 'wheelchair'",
        "analyze",
    ]
""",
    ],
    "beyond_tables.last_three": [
        # an array for each carrier
        '''
def last_three():
    return """
        select c.code, d.departs, d.id
        from (select code, array(select id from departures where carrier = code
                                 order by departs desc, id desc limit 3) as ids,
                     array(select departs from departures where carrier = code
                           order by departs desc, id desc limit 3) as times from carriers) c
        left join lateral unnest(c.ids, c.times) with ordinality as d (id, departs, n) on true
        order by c.code, d.n"""
''',
        # outer apply, in other words
        """
def last_three(n=3):
    top = f"select * from departures x where x.carrier = c.code order by x.departs desc, x.id desc limit {n}"
    return f"select c.code, t.departs, t.id from carriers as c left join lateral ({top}) as t on c.code = t.carrier order by 1, 2 desc, 3 desc"
""",
    ],
}
