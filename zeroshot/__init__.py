"""The harness: suites, splits, evaluation, statistics, report and command line.

The modules are imported by name (`from zeroshot.run import run`), so that listing suites does not
wait for torch.
"""

from zeroshot.protocol import Fitted, Method, Policies
from zeroshot.splits import Split, random_split
from zeroshot.suites import SUITES, Suite, suite_of

__all__ = [
    "SUITES",
    "Fitted",
    "Method",
    "Policies",
    "Split",
    "Suite",
    "random_split",
    "suite_of",
]
