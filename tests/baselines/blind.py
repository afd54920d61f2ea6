"""The best that can be done without the context, on the made-up experts of `tests.learning`."""

import numpy as np

from experts import Policies, Rollouts


def error(policies: Policies, rollouts: Rollouts) -> float:
    """Mean squared error of the actions to the experts'."""
    n = len(rollouts)
    actions = policies.act(rollouts.observations.reshape(n, -1, 17))
    return float(np.mean((actions - rollouts.labels.reshape(n, -1, 6)) ** 2))


def blind_error(data: Rollouts, rollouts: Rollouts) -> float:
    """The same of one policy for all contexts: tanh of a linear map, least squares on `data`.

    The made-up experts are themselves nearly linear in the state.
    """

    def inputs(of: Rollouts) -> np.ndarray:
        states = of.observations.reshape(-1, 17)
        return np.concatenate([states, np.ones((len(states), 1))], axis=1)

    targets = np.arctanh(data.labels.reshape(-1, 6))
    solution = np.linalg.lstsq(inputs(data), targets, rcond=None)[0]
    actions = np.tanh(inputs(rollouts) @ solution)
    return float(np.mean((actions - rollouts.labels.reshape(-1, 6)) ** 2))
