"""`zeroshot methods`: which methods there are, and whose settings they have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

from rich.table import Table
from tyro.conf import subcommand

from zeroshot.leaderboard import print_table
from zeroshot.methods import METHODS


@dataclass(frozen=True, kw_only=True)
class ListMethods:
    """List the registered methods: name, whose settings they have, and what they are.

    Settings are the package's, tuned here, or the paper's. "The same" is the method further up that
    its name begins with.

    Attributes:
        json: Print a JSON list with a record a method.
    """

    json: bool = False

    def __call__(self) -> int:
        """Prints the list, in the registry's order."""
        records = [
            {"name": name, "settings": record.settings, "doc": record.doc}
            for name, record in METHODS.items()
        ]
        if self.json:
            print(json.dumps(records, indent=2))
            return 0
        table = Table()
        for name in ("method", "settings"):
            table.add_column(name, no_wrap=True)
        table.add_column("what it is")
        for shown in records:
            table.add_row(shown["name"], shown["settings"], shown["doc"])
        print_table(table)
        return 0


MethodsCommand = Annotated[ListMethods, subcommand("methods")]
