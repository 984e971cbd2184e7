"""The former names of plans, until all readers use those of `advise`."""

from seedbed.analysis.decide.advise import Plan as Reach  # noqa: F401
from seedbed.analysis.decide.advise import plans as reach  # noqa: F401
