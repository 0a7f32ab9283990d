"""The error tree. Every error is one sentence: what was given, why it cannot be, what to do.

PalateError                  anything Palate refuses on purpose
├── InputError               what a person typed or uploaded cannot be used            (422)
│   └── ConfigError          a setting is unknown, out of range or impossible          (422)
├── SignInNeeded             nobody knows who asks                                      (401)
├── Forbidden                who asks may not do this                                   (403)
├── NotFound                 no such project, run, sample, file ...                     (404)
├── Conflict                 the thing exists but its state forbids the request         (409)
├── TooMany                  asked too often; later it will be answered                 (429)
├── PolicyError              a model or its weights cannot be used
│   └── CheckpointError      a checkpoint is missing, damaged or of another policy
├── RewardError              a reward broke its contract
├── MethodError              a method's plan or its groups cannot be trained on
└── EnvironmentProblem       the machine lacks something: disk, port, Redis, database   (503)
"""

from __future__ import annotations


class PalateError(Exception):
    """Anything Palate refuses on purpose; `str(error)` is a sentence for a person."""

    status = 400


class InputError(PalateError):
    """What a person typed or uploaded cannot be used."""

    status = 422


class ConfigError(InputError):
    """A setting is unknown, out of range or impossible together with another."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NotFound(PalateError):
    """The thing asked for is not in the store."""

    status = 404


class SignInNeeded(PalateError):
    """Nobody knows who asks: no cookie or key came along, or it holds no longer."""

    status = 401


class Forbidden(PalateError):
    """Who asks may not do this; the sentence says who may."""

    status = 403


class Conflict(PalateError):
    """The thing exists, but its present state forbids what was asked."""

    status = 409


class TooMany(PalateError):
    """Asked too often; the sentence says when it will be answered again."""

    status = 429


class PolicyError(PalateError):
    """A model, or its weights, cannot be used."""


class CheckpointError(PolicyError):
    """A checkpoint is missing, damaged, or belongs to another policy."""


class RewardError(PalateError):
    """A reward broke its contract: wrong length, raised, or not a number."""


class MethodError(PalateError):
    """A method's plan is impossible, or nothing of what it grew can be trained on."""


class EnvironmentProblem(PalateError):
    """The machine lacks something: disk space, a free port, Redis, a database, a binary."""

    status = 503
