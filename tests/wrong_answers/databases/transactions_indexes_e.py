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
        "analyze flights (carrier, origin, dest)",
    ]
""",
            "For the groups the planner expects",
        ),
        (  # the number of combinations alone
            """
def right_estimates():
    return [
        "create statistics route (ndistinct) on carrier, origin, dest from flights",
        "analyze flights (carrier, origin, dest)",
    ]
""",
            "Which statistics know how often each *combination* occurs?",
        ),
        (  # what everybody tries first
            """
def right_estimates():
    return [
        "create statistics route (dependencies) on carrier, origin, dest from flights",
        "analyze flights (carrier, origin, dest)",
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
        "analyze flights (carrier, origin, dest)",
    ]
""",
            "expects 486, there are 2,276",
        ),
        (  # an index has the combinations, the planner does not look
            """
def right_estimates():
    return ["create index on flights (origin, carrier, dest)", "vacuum (analyze) flights (carrier, origin, dest)"]
""",
            "as if the columns knew nothing of each other",
        ),
        (  # tells the planner what it should find out
            """
def right_estimates():
    return [
        "alter table flights alter column carrier set (n_distinct = 2)",
        "analyze flights (carrier)",
    ]
""",
            "n_distinct=2 was set for good",
        ),
        (  # changes the data until the estimate is right
            """
def right_estimates():
    return ["update flights set carrier = 'MQ' where flight_id % 1000 = 0", 'analyze flights (carrier)']
""",
            "The data must stay as they are",
            "environment",
        ),
    ],
    "transactions_indexes.own_pages": [
        (  # the rows of one loop
            """
-            rows = round(float(ran[1]) * int(ran[2])) if ran else 0
+            rows = round(float(ran[1])) if ran else 0
""",
            "expected (name, rows, pages) = ('Bitmap Heap Scan on flights f', 3273, 3272)",
        ),
        (  # pages per loop as well
            r"""
-            rows = round(float(ran[1]) * int(ran[2])) if ran else 0
+            rows = round(float(ran[1]) * int(ran[2])) if ran else 0
+            loops = int(ran[2]) if ran else 1
@@
-            found[-1][3] = sum(map(int, re.findall(r"(?:hit|read)=(\d+)", shared)))
+            found[-1][3] = sum(map(int, re.findall(r"(?:hit|read)=(\d+)", shared))) * loops
""",
            "('Nested Loop', 3273, 0)",
        ),
        (  # temporary blocks are no pages of a table
            """
-            shared = line.split("temp")[0]
+            shared = line
""",
            "('Hash Join', 58665, 0)",
        ),
        (  # planning is no part of the plan
            """
-        if line.startswith("Planning"):
-            break
""",
            "('Bitmap Heap Scan on flights f', 3273, 3272)",
        ),
        (  # only what was found in memory
            r"""
-            found[-1][3] = sum(map(int, re.findall(r"(?:hit|read)=(\d+)", shared)))
+            found[-1][3] = sum(map(int, re.findall(r"hit=(\d+)", shared)))
""",
            "('Bitmap Index Scan on of_tail', 3273, 249)",
        ),
        (  # with what is below
            """
-        if above:
-            own[above[-1]] -= pages
+        if above:
+            pass
""",
            "('Nested Loop', 3273, 0)",
        ),
        (  # from everything above
            """
-        if above:
-            own[above[-1]] -= pages
+        for parent in above:
+            own[parent] -= pages
""",
            "at this place, got",
        ),
        (  # nodes that ran
            r"""
-        if node := re.match(r"( *(?:->  )?)(.*?)  \(cost=", line):
-            ran = re.search(r"rows=([\d.]+) loops=(\d+)", line)
+        if (node := re.match(r"( *(?:->  )?)(.*?)  \(cost=", line)) and (ran := re.search(r"rows=([\d.]+) loops=(\d+)", line)):
""",
            "has 9 nodes, you return 5",
        ),
        (  # remembers the nodes of the call before
            '''
-def own_pages(text):
-    """Name, rows of all loops, and the node's own pages, of every node, top down."""
-    found = []
+found = []
+
+
+def own_pages(text):
''',
            "you return",
            "again",
        ),
        (  # nothing
            r"""
def own_pages(text):
    print(text)
""",
            "Return a list of (name, rows, pages)",
        ),
    ],
}

RIGHT = {
    "transactions_indexes.own_pages": [
        # a stack of the nodes above
        r"""
import re


def own_pages(text):
    nodes, above = [], []
    plan = text[: text.index("Planning")]
    for line in plan.splitlines():
        head, cost, figures = line.partition("  (cost=")
        if cost:
            name = head.strip().removeprefix("->").strip()
            depth = head.index(name)
            while above and above[-1]["depth"] >= depth:
                above.pop()
            ran = re.search(r"actual time=\S+ rows=(\S+) loops=(\d+)\)", figures)
            node = {"name": name, "depth": depth, "rows": 0, "own": 0, "parent": above[-1] if above else None}
            if ran:
                node["rows"] = int(float(ran[1]) * int(ran[2]) + 0.5)
            nodes.append(node)
            above.append(node)
        elif found := re.search(r"Buffers: shared((?: \w+=\d+)+)", line):
            pages = sum(int(n) for kind, n in (pair.split("=") for pair in found[1].split()) if kind in ("hit", "read"))
            nodes[-1]["own"] += pages
            if nodes[-1]["parent"]:
                nodes[-1]["parent"]["own"] -= pages
    return [[node["name"], node["rows"], node["own"]] for node in nodes]
""",
    ],
}
