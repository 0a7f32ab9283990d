"""Every table of the store, a module a theme, in the order of the loop.

Times are seconds since 1970 (UTC) as floats; durations end in `_s`. Pictures and weights are named
by the SHA-256 of their content (`media`), never by a path.
"""

from db.tables._base import Base, JsonDict
from db.tables.access import Account, Audit, Invite, Secret, SignIn, Token
from db.tables.drawn import Comparison, Policy, Project, Prompt, PromptSet, Sample, User
from db.tables.judged import Exclusion, Label, Lease, Pair, Study
from db.tables.scored import Judgement, Purse, Reward, Score
from db.tables.trained import (
    Checkpoint,
    Evaluation,
    Iteration,
    RolloutFact,
    RolloutGroup,
    RolloutNode,
    RolloutSeen,
    Run,
    RunAlarm,
    RunOrder,
)
from db.tables.work import Event, Job, Worker

__all__ = [
    "Account",
    "Audit",
    "Base",
    "Checkpoint",
    "Comparison",
    "Evaluation",
    "Event",
    "Exclusion",
    "Invite",
    "Iteration",
    "Job",
    "JsonDict",
    "Judgement",
    "Label",
    "Lease",
    "Pair",
    "Policy",
    "Project",
    "Prompt",
    "PromptSet",
    "Purse",
    "Reward",
    "RolloutFact",
    "RolloutGroup",
    "RolloutNode",
    "RolloutSeen",
    "Run",
    "RunAlarm",
    "RunOrder",
    "Sample",
    "Score",
    "Secret",
    "SignIn",
    "Study",
    "Token",
    "User",
    "Worker",
]
