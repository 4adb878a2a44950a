"""From logits to the next token. Order as in transformers: repetition penalty, temperature, top-k, top-p."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

from engine.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.inference.types import SamplingParameters

# Below this a temperature is greedy; as a float32 it would become 0 in the end, and 0 / 0 is NaN.
_COLDEST = 1e-30


class Sampler:
    """Chooses the tokens of one reply.

    Args:
        parameters: how to sample.
        context: the prompt's token ids, which the repetition penalty counts as already said.
        vocabulary: the number of logits.
    """

    def __init__(self, parameters: SamplingParameters, context: Sequence[int], vocabulary: int) -> None:
        import numpy as np

        self._parameters = parameters
        self._random = np.random.Generator(np.random.PCG64(parameters.seed))
        self._said = np.zeros(vocabulary, dtype=bool)
        self._said_ids = np.empty(0, dtype=np.int64)
        if parameters.repetition_penalty != 1:
            self._said_ids = np.unique(np.asarray(context, dtype=np.int64))
            self._said[self._said_ids] = True

    def choose(self, logits: NDArray[np.float32]) -> int:
        """The next token's id.

        Args:
            logits: float32 of shape [vocabulary]; changed in place.

        Raises:
            EngineError: a logit is NaN or infinite, so the model or its conversion is broken.
        """
        parameters = self._parameters
        if parameters.repetition_penalty != 1:
            self._penalise(logits)
        best = int(logits.argmax())
        if not isfinite(logits[best]):  # argmax returns the first NaN, if there is one
            raise EngineError(
                "The model computed no usable numbers (NaN or infinite) for the next token.", "Build or fetch it again."
            )
        token = best if parameters.temperature < _COLDEST else self._sample(logits, float(logits[best]))
        if parameters.repetition_penalty != 1 and not self._said[token]:
            self._remember(token)
        return token

    def _remember(self, token: int) -> None:
        import numpy as np

        self._said[token] = True
        self._said_ids = np.append(self._said_ids, token)

    def _penalise(self, logits: NDArray[np.float32]) -> None:
        import numpy as np

        penalty = np.float32(self._parameters.repetition_penalty)
        said = logits[self._said_ids]
        logits[self._said_ids] = np.where(said > 0, said / penalty, said * penalty)

    def _sample(self, logits: NDArray[np.float32], highest: float) -> int:
        import numpy as np

        parameters = self._parameters
        # The highest logit goes to 0 first, so that a tiny temperature cannot overflow.
        scaled = (logits - np.float32(highest)) / np.float32(parameters.temperature)
        ids: NDArray[np.int64] | None = None
        if 0 < parameters.top_k < scaled.size:
            ids = np.argpartition(scaled, -parameters.top_k)[-parameters.top_k :]
            scaled = scaled[ids]
        weights = np.exp(scaled)
        if parameters.top_p < 1:
            kept = nucleus(weights, parameters.top_p)
            weights = weights[kept]
            ids = kept if ids is None else ids[kept]
        sums = weights.cumsum(dtype=np.float64)
        place = min(int(np.searchsorted(sums, self._random.random() * sums[-1], side="right")), sums.size - 1)
        return place if ids is None else int(ids[place])


def nucleus(weights: NDArray[np.float32], top_p: float) -> NDArray[np.int64]:
    """Places of the smallest set of weights whose sum is at least `top_p` of all, the heaviest first; never empty.

    Args:
        weights: not negative, of shape [n]; need not sum to 1.
        top_p: from 0 to 1.
    """
    import numpy as np

    total = float(weights.sum(dtype=np.float64))
    # All weights below this sum to less than (1 - top_p) of the total, so the nucleus lies above it: sorting a few hundred
    # candidates instead of the vocabulary takes a tenth of the time and gives the same set.
    floor = total * (1 - top_p) / weights.size
    candidates = np.flatnonzero(weights >= floor)
    candidates = candidates[np.argsort(-weights[candidates], kind="stable")]
    sums = weights[candidates].cumsum(dtype=np.float64)
    return candidates[: int(np.searchsorted(sums, top_p * total)) + 1]
