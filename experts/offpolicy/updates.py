"""Running updates on minibatches from the replay: as CUDA graphs where there is a GPU."""

from __future__ import annotations

import torch

from experts.offpolicy.learner import Learner, Phase
from experts.offpolicy.replay import Replay

WARM_UPS = 3
"""Updates of a phase before it is captured: libraries and optimisers allocate in the first ones."""


class Updates:
    """Draws minibatches and noise and updates a learner, as often as asked.

    On a GPU each phase's update, drawing included, is captured once as a CUDA graph and replayed
    from then on, so that the processor launches one thing instead of a hundred. The updates before
    the capture are ordinary ones and count; the capture itself changes nothing. Learning rates and
    deviations live in tensors on the device, so that a replay sees their present values.
    """

    def __init__(
        self, learner: Learner, replay: Replay, *, batch_size: int, generator: torch.Generator
    ) -> None:
        """Prepares to update.

        Args:
            learner: what is updated.
            replay: where minibatches come from, on the learner's device.
            batch_size: transitions an agent and update.
            generator: of minibatches and noise, on the learner's device.
        """
        self._learner = learner
        self._replay = replay
        self._batch_size = batch_size
        self._generator = generator
        self._graphs: dict[Phase, torch.cuda.CUDAGraph] = {}
        self._counts: dict[Phase, int] = {}
        on_gpu = learner.device.type == "cuda"
        self._side = torch.cuda.Stream(learner.device) if on_gpu else None

    def run(self, n_updates: int) -> None:
        """Updates all agents `n_updates` times; on a GPU this returns before it is done."""
        for _ in range(n_updates):
            phase = self._learner.next_phase()
            if self._side is None:
                self._step(phase)
            elif phase in self._graphs:
                self._graphs[phase].replay()
            else:
                self._on_the_side(phase, self._side)

    def _step(self, phase: Phase) -> None:
        batch = self._replay.draw(self._batch_size, self._generator)
        noise = self._learner.draw_noise(self._batch_size, self._generator)
        self._learner.update(batch, noise, phase)

    def _on_the_side(self, phase: Phase, side: torch.cuda.Stream) -> None:
        """A warm-up on the stream that captures, or the capture and its first replay."""
        self._counts[phase] = self._counts.get(phase, 0) + 1
        if self._counts[phase] <= WARM_UPS:
            side.wait_stream(torch.cuda.current_stream(self._learner.device))
            with torch.cuda.stream(side):
                self._step(phase)
            torch.cuda.current_stream(self._learner.device).wait_stream(side)
            return
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph, stream=side):
            self._step(phase)
        self._graphs[phase] = graph
        graph.replay()
