"""Rollouts as Minari datasets, out and in, with the context of every episode.

An exported dataset is a plain Minari dataset (HDF5 and JSON, nothing pickled): a Minari episode an
episode. Beside what every dataset has, `infos` hold, with T + 1 rows as Minari's own collector
writes them and NaN where there is nothing after the last step:

    context/<feature>   (T + 1,), as `minari.DataCollector(env, record_infos=True)` writes it
    noise               (T + 1,), standard deviation of the exploration noise
    expert_action       (T + 1, action_size), what the expert would have done
    value               (T + 1,), q* of (observation, expert_action)

An episode's metadata have its `context`, `noise`, `reward`, `seed` and, if known, the SHA-256 of
the weights of the expert that played. The dataset's have, under `param_envs`, what else rollouts
consist of and the SHA-256 of the data, which is verified at reading.

Minari is the extra `minari`.
"""

from experts.minari.layout import dataset_path, environment_spec, new_dataset_path
from experts.minari.reading import from_minari
from experts.minari.writing import to_minari

__all__ = ["dataset_path", "environment_spec", "from_minari", "new_dataset_path", "to_minari"]
