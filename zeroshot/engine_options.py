"""The options of commands that may take hours: where they work, and what that would take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from experts.engines import Engine, engine_named


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Where a command works.

    Attributes:
        engine: Where: processes of this machine, or tasks on a Ray cluster, whose nodes need no
            common disk, but this package each.
        address: With --engine ray: address of the cluster, host:port or auto; by default
            RAY_ADDRESS, or the cluster that runs on this machine, or a new one on it.
        estimate: Tell core-hours and wall time, and start nothing.
    """

    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    estimate: bool = False

    def chosen_engine(self) -> Engine | None:
        """The engine, None for this machine.

        Raises:
            ValueError: for an address without Ray, or if Ray is not installed.
        """
        engine = engine_named(self.engine, self.address)
        return None if self.engine == "local" else engine
