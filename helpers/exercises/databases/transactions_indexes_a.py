"""Exercises of 3.1a: a write skew cured by locks, and cured by retries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from helpers.exercises import Wrong, exercise
from helpers.labs.databases import transactions as lab
from helpers.labs.databases.lockstep import AT_WORK, Call, Lockstep

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from helpers.services import Postgres  # type: ignore[attr-defined]

# base, pilot. The rule: each base keeps a pilot on call.
CREW = {"EWR": ["Ada", "Barbara"], "JFK": ["Grace", "Hedy"], "LGA": ["Joan", "Katherine", "Mary"],
        "O'H": ["O'Hara", "Sean"]}  # fmt: skip

# Whoever is taken off call leaves the level at which that was done.
ROTA = """
    drop table if exists crew, levels;
    create table crew (name text primary key, base text not null, on_call boolean not null);
    create table levels (name text, level text);
    create or replace function keep_level() returns trigger language plpgsql as $$
    begin
        insert into levels values (new.name, current_setting('transaction_isolation'));
        return null;
    end $$;
    create trigger level after update on crew for each row execute function keep_level()"""


def _fresh(server: Postgres) -> Engine:
    """An engine at READ COMMITTED on a rota on which everybody is on call."""
    with server.connect(autocommit=True) as connection:
        connection.execute(ROTA)
        for base, names in CREW.items():
            for name in names:
                connection.execute("insert into crew values (%s, %s, true)", [name, base])
    return server.engine(isolation_level="READ COMMITTED")


def _on_call(server: Postgres, base: str) -> list[str]:
    with server.connect(autocommit=True) as connection:
        found = connection.execute(
            "select name from crew where base = %s and on_call order by name", [base]
        )
        return [name for (name,) in found]


def _at_once(server: Postgres, answer: Callable[..., Any], *names: str) -> dict[str, Call]:
    """Those pilots press at the same moment; the answer's statements go out in turn."""
    engine = _fresh(server)
    try:
        calls = _watched(Lockstep(engine), {name: partial(answer, engine, name) for name in names})
        _all_given_back(engine)
    finally:
        engine.dispose()
    for call in calls.values():
        if isinstance(call.error, NotImplementedError | Wrong):
            raise call.error
    return calls


STANDSTILL = 6.0  # seconds without a step; the server answers in milliseconds


def _watched(lockstep: Lockstep, works: dict[str, Callable[[], Any]]) -> dict[str, Call]:
    """What became of the calls, or `Wrong` when one waits for something that is not the server."""
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(lockstep.run(works))
        except BaseException as error:
            ended.append(error)

    running = threading.Thread(target=run, daemon=True)
    running.start()
    steps, since = -1, time.monotonic()
    while running.is_alive():
        running.join(0.05)
        if (now := sum(len(call.sent) for call in lockstep.calls.values())) != steps:
            steps, since = now, time.monotonic()
        elif time.monotonic() - since > STANDSTILL:
            standing = next((n for n, state in lockstep.state.items() if state == AT_WORK), "one")
            raise Wrong(
                f"{' and '.join(works)} pressed at once, and {standing}'s call waits for something that is no lock of the "
                "server. A lock in this process (threading.Lock) does not help: the other desk is another process, on "
                "another machine. Let the database hold it."
            )
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


def _all_given_back(engine: Engine) -> None:
    if left := engine.pool.checkedout():  # type: ignore[attr-defined]
        raise Wrong(
            f"{left} connection(s) of the engine were not given back: what holds a transaction open holds its locks. "
            "`with engine.begin() as connection:` gives them back on every path."
        )


def _story(calls: dict[str, Call]) -> str:
    return "; ".join(f"{call.name} got {_got(call)}" for call in calls.values())


def _got(call: Call) -> str:
    if call.refused:
        return f"the error {call.refused}"
    return f"{type(call.error).__name__}: {call.error}" if call.error else repr(call.result)


def _one_after_the_other(server: Postgres, answer: Callable[..., Any]) -> None:
    engine = _fresh(server)
    try:
        results = [answer(engine, name) for name in CREW["EWR"]]
        _all_given_back(engine)
        left = _on_call(server, "EWR")
        if results != [True, False] or left != ["Barbara"]:
            raise Wrong(
                "One after the other, Ada may go (True) and Barbara, the last one of EWR, may not (False). "
                f"The calls returned {results}, and on call at EWR are {left or 'nobody'}. Was it committed?"
            )
        _with_an_apostrophe(server, partial(answer, engine))
    finally:
        engine.dispose()


def _with_an_apostrophe(server: Postgres, answer: Callable[[str], Any]) -> None:
    try:
        went = answer("O'Hara")
    except Exception as error:
        if type(error).__name__ != "ProgrammingError":
            raise
        raise Wrong(
            f"For the pilot O'Hara the server did not understand the SQL ({error}). Give values as parameters, never "
            "as part of the text."
        ) from None
    if went is not True or _on_call(server, "O'H") != ["Sean"]:
        raise Wrong(f"O'Hara may go, Sean stays: expected True, got {went!r}.")


def _one_of_two(server: Postgres, calls: dict[str, Call]) -> None:
    left = _on_call(server, "EWR")
    if not left:
        raise Wrong(
            f"Ada and Barbara pressed at once: {_story(calls)}, and nobody is on call at EWR. Each of them "
            f"saw what was there before the other one's change. What Ada's call sent: {_sent(calls['Ada'])}."
        )
    if sorted(map(_got, calls.values())) != ["False", "True"] or len(left) != 1:
        raise Wrong(
            f"Ada and Barbara pressed at once: {_story(calls)}, on call at EWR: {', '.join(left)}. One of "
            "them should get True, the other one False, and one stay."
        )


def _at_level(server: Postgres, level: str) -> None:
    with server.connect(autocommit=True) as connection:
        found = connection.execute(
            "select name, upper(level) from levels where level <> lower(%s)", [level]
        ).fetchone()
    if found:
        raise Wrong(
            f"{found[0]} was taken off call at {found[1]}; the task is to do it at {level}."
        )


def _sent(call: Call) -> str:
    return " | ".join(" ".join(sql.split())[:90] for sql in call.sent)


@exercise(
    "transactions_indexes.skew_locked",
    uses=lab.postgres,
    seconds=30,
    hints=(
        "At READ COMMITTED each statement sees what was committed when *it* began. So lock first, and read "
        "what decides afterwards, or in the same statement. What must be locked is what the decision depends "
        "on: the pilots of one base.",
        "`select … for update` returns the rows as they are once the lock is there, newest version, and "
        "leaves out those that no longer match its `where`. Two callers that lock the same rows in the same "
        "order cannot deadlock: `order by name`. (It does not go together with count(*): count in Python.)",
        "with engine.begin() as connection: select name from crew where on_call and base = (select base from "
        "crew where name = %s) order by name for update. Fewer than two names: return False. Else update, "
        "return True.",
    ),
    why="`for update` makes of the decision's basis something that two transactions cannot both have. The second "
    "one waits, and gets the rows *as they are then*: PostgreSQL looks at the newest version again and drops what no "
    "longer matches. Nobody is refused, so nobody must repeat; the price is that one waits, and that every "
    "path that takes a pilot off call must lock. A lock on the base's own row, or an advisory lock, does the "
    "same and also covers rows that do not exist yet.",
    stretch="A pilot who is *put on call* at the same moment is a phantom: `for update` locks no row that is not there. "
    "Does that break the rule here? For which rule would it, and what do you lock then?",
    rows=("apostrophe", "environment"),
)
def check_skew_locked(off_call: Callable[[Engine, str], bool], server: Postgres) -> None:
    """One of two goes, without an error; who has nothing to do with it does not wait."""
    _one_after_the_other(server, off_call)
    calls = _at_once(server, off_call, "Ada", "Barbara")
    for call in calls.values():
        if call.refused:
            raise Wrong(
                f"Ada and Barbara pressed at once: {_story(calls)}. With locks nobody is refused: the level stays "
                "READ COMMITTED; and who locks in the same order as everybody else gets no 40P01."
            )
    _one_of_two(server, calls)
    _at_level(server, "READ COMMITTED")
    calls = _at_once(server, off_call, "Joan", "Katherine")
    if [_got(call) for call in calls.values()] != ["True", "True"]:
        raise Wrong(
            f"LGA has three on call, two of them pressed at once, and both may go: {_story(calls)}. Who "
            "finds a lock has to wait for it and look again, not to give up."
        )
    calls = _at_once(server, off_call, "Ada", "Grace")
    waited = [call.name for call in calls.values() if call.waited]
    if waited:
        raise Wrong(
            f"Ada is at EWR, Grace at JFK; {waited[0]} waited for the other one. Lock what the decision depends "
            "on, the pilots of one base, and no more."
        )


# A trigger plays the rest of the world. The sequence counts attempts: no rollback takes it back.
WORLD = """
    drop sequence if exists attempts;
    create sequence attempts;
    create or replace function the_rest_of_the_world() returns trigger language plpgsql as $$
    declare attempt bigint := nextval('attempts');
    begin
        if new.name = 'Mary' and attempt <= 2 then
            raise exception 'could not serialize access' using errcode = '40001';
        elsif new.name = 'Joan' and attempt = 1 then
            raise exception 'deadlock detected' using errcode = '40P01';
        elsif new.name = 'Hedy' then
            raise exception 'could not serialize access' using errcode = '40001';
        elsif new.name = 'Katherine' then
            raise exception 'statement completion unknown' using errcode = '40003';
        elsif new.name = 'Grace' then
            raise exception 'Grace has the early shift' using errcode = '23514';
        end if;
        return new;
    end $$;
    create trigger world before update on crew for each row execute function the_rest_of_the_world()"""
TRIES = 4


def _in_this_world(server: Postgres, answer: Callable[..., Any], name: str) -> tuple[Call, int]:
    """One call, and how often it came as far as its update."""
    engine = _fresh(server)
    with server.connect(autocommit=True) as connection:
        connection.execute(WORLD)
    try:
        call = Lockstep(engine).run({name: partial(answer, engine, name, tries=TRIES)})[name]
    finally:
        engine.dispose()
    with server.connect(autocommit=True) as connection:
        counted = "select case when is_called then last_value else 0 end from attempts"
        return call, connection.execute(counted).fetchone()[0]


@exercise(
    "transactions_indexes.skew_retried",
    uses=lab.postgres,
    seconds=30,
    hints=(
        "What is repeated begins with the transaction: begin, read, decide, write, commit. The refusal may come "
        "as late as the commit, so that has to be inside the `try` as well.",
        "`engine.execution_options(isolation_level='SERIALIZABLE')` gives an engine of that level. "
        "`lab.code_of(error)` gives the SQLSTATE of a `sqlalchemy.exc.DBAPIError`. Which codes mean "
        "*again*? All others go on at once, and so does the last refusal.",
        "for attempt in range(1, tries + 1): try: with serializable.begin() as connection: …return…; except "
        "DBAPIError as error: if lab.code_of(error) not in {'40001', '40P01'} or attempt == tries: raise.",
    ),
    why="The refusal protects the decision, so the decision is repeated, on a new snapshot; `with …begin()` inside the "
    "`try` puts the commit where the clause can see it. The list of codes is short and closed: whatever else comes "
    "would come again. And the loop has an end, for under load retries are load as well.",
    stretch="Add a pause that grows and is drawn at random (`random.uniform(0, 0.05 * 2**attempt)`). Then make Ada and "
    "Grace, who have nothing to do with each other, press at once: one of them is refused. Why, and which index "
    "would change that? (`select * from pg_locks where mode = 'SIReadLock'`.)",
    rows=("apostrophe",),
)
def check_skew_retried(off_call: Callable[..., bool], server: Postgres) -> None:
    """The whole transaction is repeated, for two codes, and not for ever."""
    _one_after_the_other(server, off_call)
    calls = _at_once(server, off_call, "Ada", "Barbara")
    waited = [call.name for call in calls.values() if call.waited]
    if waited and not any(call.refused for call in calls.values()):
        raise Wrong(
            f"{waited[0]} waited for a lock. That is the other cure; this time nobody waits: SERIALIZABLE refuses one "
            "of the two, and that one begins again."
        )
    _none_refused(calls)
    _one_of_two(server, calls)
    _at_level(server, "SERIALIZABLE")
    for name, times, code in (("Joan", 1, "40P01"), ("Mary", 2, "40001")):
        call, attempts = _in_this_world(server, off_call, name)
        if call.result is not True or attempts != times + 1:
            raise Wrong(
                f"{name}'s update was refused with {code} {'twice' if times == 2 else 'once'} and would have gone "
                f"through then. After {attempts} attempts the call got {_got(call)}."
            )
    call, attempts = _in_this_world(server, off_call, "Grace")
    if attempts != 1:
        raise Wrong(
            f"Grace's update violates a check (23514). It was tried {attempts} times: it will fail for ever, "
            "only 40001 and 40P01 say that a repetition may help."
        )
    if call.refused != "23514":
        raise Wrong(
            f"Grace's update violates a check (23514); the caller must get that, got {_got(call)}."
        )
    call, attempts = _in_this_world(server, off_call, "Katherine")
    if attempts != 1 or call.refused != "40003":
        raise Wrong(
            f"Katherine's update ends with 40003 (statement completion unknown). It was tried {attempts} times, and the "
            f"caller got {_got(call)}. Only 40001 and 40P01 are to be repeated, whatever class the error has."
        )
    call, attempts = _in_this_world(server, off_call, "Hedy")
    if attempts != TRIES:
        raise Wrong(
            f"Hedy's update is refused every time. With tries={TRIES} there should be {TRIES} attempts, there were "
            f"{attempts}."
        )
    if call.refused != "40001":
        raise Wrong(
            f"After {TRIES} refusals Hedy's call got {_got(call)}. The caller must learn that nothing was decided: "
            "raise the last error."
        )


def _none_refused(calls: dict[str, Call]) -> None:
    for call in calls.values():
        if call.refused == "40001":
            last = call.sent[-2:] if call.sent[-1] == "rollback" else call.sent[-1:]
            where = "its commit" if last[0] == "commit" else f"`{' '.join(last[0].split())[:60]}`"
            raise Wrong(
                f"{call.name} was refused with 40001 at {where}, and the caller got the error instead of a second "
                "attempt. Is everything that the server may refuse inside your `try`?"
            )
        if call.refused == "25P02":
            raise Wrong(
                f"{call.name}'s transaction was refused, and went on in the same transaction (25P02). Roll back, and "
                "begin a new one."
            )
