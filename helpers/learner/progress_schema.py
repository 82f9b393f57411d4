"""The learner's record as a schema: what `progress.json` holds, for other programs and for a reader.

`helpers.learner.progress` holds the same shape against the file at every save without pydantic, whose import
would cost every kernel a third of a second; a test keeps the two in agreement.
"""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr


class _Row(BaseModel):
    # What a newer version of the course notes beside this is kept.
    model_config = ConfigDict(extra="allow")


class Prediction(_Row):
    """A prediction: the letter chosen, and once the claim was reached, the one that is right.

    `question`, `text`, `truth` are in words; `claim` settled it. `sure` is the reader's confidence;
    `late` marks one that was made after the measurement, and does not count.
    """

    choice: StrictStr
    right: StrictStr | None = None
    question: StrictStr | None = None
    text: StrictStr | None = None
    truth: StrictStr | None = None
    claim: StrictStr | None = None
    sure: StrictBool | None = None
    late: StrictBool | None = None


class Claim(_Row):
    """A claim as it was measured here last; `held` is null where it could not be."""

    held: StrictBool | None
    value: StrictInt | StrictFloat | StrictBool | None = None
    unit: StrictStr | None = None
    python: StrictStr | None = None


class ExerciseTry(_Row):
    """An exercise: attempts that were judged, hints taken."""

    status: Literal["open", "wrong", "solved"]
    attempts: StrictInt
    hints: StrictInt | None = None


class QuizAnswer(_Row):
    """An answer to a question of a section's diagnostic; the first one stands."""

    choice: StrictStr
    right: StrictBool


class Review(_Row):
    """A card: when it is due again (ISO 8601), what `fsrs` knows of it, and how it was graded last."""

    due: StrictStr
    state: StrictInt
    step: StrictInt | None = None
    stability: StrictInt | StrictFloat | None = None
    difficulty: StrictInt | StrictFloat | None = None
    last_review: StrictStr | None = None
    grade: StrictStr | None = None


class Time(_Row):
    """When something was noted last (seconds since 1970), in which topic, and seconds by topic."""

    last: StrictInt | StrictFloat | None = None
    topic: StrictStr | None = None
    seconds: dict[str, StrictInt | StrictFloat] = Field(default_factory=dict)


class Progress(_Row):
    """`progress.json`, version 1. Keys of the tables are ids, `topic.slug`.

    `settled` says by which claim a question was measured here, answered or not; `broken` the day on
    which a claim was seen to turn red under its Break it.
    """

    version: Literal[1]
    predictions: dict[str, Prediction]
    claims: dict[str, Claim]
    exercises: dict[str, ExerciseTry]
    quiz: dict[str, QuizAnswer] = Field(default_factory=dict)
    reviews: dict[str, Review] = Field(default_factory=dict)
    settled: dict[str, StrictStr] = Field(default_factory=dict)
    broken: dict[str, StrictStr] = Field(default_factory=dict)
    time: Time = Field(default_factory=Time)


def schema() -> str:
    """The JSON schema of the record."""
    return json.dumps(Progress.model_json_schema(), indent=1) + "\n"
