"""An ONNX graph of a causal language model, run with onnxruntime over one shared key/value buffer.

The graphs are those of onnxruntime-genai's builder. Their GroupQueryAttention writes each new key and value in place when the
same buffer is bound as past and as present, so that a step copies nothing
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GroupQueryAttention).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError, InvalidInputError
from engine.inference.threads import physical_cores

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime
    from numpy.typing import NDArray

# Buffers grow in steps, so that a long conversation is copied a few times and not at every turn.
_CAPACITY_STEP = 512

# A thread that waits for its next piece of work looks for it for at most a millisecond, the longest gap within a step, with
# pauses that grow to 64 instructions. By default it looks on for many milliseconds after a step, on a core that others want.
_SPINNING = {"session.intra_op.spin_duration_us": "1000", "session.intra_op.spin_backoff_max": "64"}


@dataclass(frozen=True, slots=True)
class GraphConfig:
    """What `genai_config.json` says about a graph.

    Attributes:
        context_length: in tokens.
        end_tokens: ids that end a reply.
        layers: how many key/value pairs there are.
        heads: key/value heads per layer.
        head_size: elements per head.
    """

    file: str
    context_length: int
    end_tokens: frozenset[int]
    vocabulary: int
    layers: int
    heads: int
    head_size: int
    past_key: str
    past_value: str
    present_key: str
    present_value: str

    @classmethod
    def load(cls, folder: Path) -> GraphConfig:
        """Read a folder's `genai_config.json`.

        Raises:
            InvalidInputError: it is missing, or lacks what is needed.
        """
        path = folder / "genai_config.json"
        try:
            model = json.loads(path.read_text(encoding="utf-8"))["model"]
            decoder = model["decoder"]
            inputs, outputs = decoder["inputs"], decoder["outputs"]
            ends = model["eos_token_id"]
            return cls(
                file=decoder["filename"],
                context_length=int(model["context_length"]),
                end_tokens=frozenset(ends if isinstance(ends, list) else [ends]),
                vocabulary=int(model["vocab_size"]),
                layers=int(decoder["num_hidden_layers"]),
                heads=int(decoder["num_key_value_heads"]),
                head_size=int(decoder["head_size"]),
                past_key=inputs["past_key_names"],
                past_value=inputs["past_value_names"],
                present_key=outputs["present_key_names"],
                present_value=outputs["present_value_names"],
            )
        except FileNotFoundError as error:
            raise InvalidInputError(
                f"{folder} is no graph to chat with: it has no genai_config.json.", "Build or fetch the model again."
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInputError(f"{path} cannot be used: {error!r}.", "Build or fetch the model again.") from error


class KeyValueCache:
    """Keys and values of the tokens that a graph has read, for one or several rows.

    Args:
        config: the graph's.
        dtype: the buffers' numpy type (float32 or float16).
        rows: the batch size.
        capacity: how many tokens there is room for; grown by `reserve`.
    """

    def __init__(self, config: GraphConfig, dtype: Any, rows: int = 1, capacity: int = _CAPACITY_STEP) -> None:
        self._config = config
        self._dtype = dtype
        self.rows = rows
        self.capacity = 0
        self.arrays: list[NDArray[Any]] = []
        """One array of shape [rows, heads, capacity, head_size] per name: key, value, key, value, …"""
        self._binding: Any = None
        self._logits: NDArray[Any] | None = None
        self._allocate(capacity)

    @property
    def bytes(self) -> int:
        """What the buffers take."""
        return sum(array.nbytes for array in self.arrays)

    def _allocate(self, capacity: int) -> None:
        import numpy as np

        config = self._config
        capacity = min(-(-capacity // _CAPACITY_STEP) * _CAPACITY_STEP, config.context_length)
        shape = (self.rows, config.heads, capacity, config.head_size)
        # Zeros, since the attention of a shorter row in a batch multiplies what lies behind its end by 0, and 0 · NaN is NaN.
        self.arrays = [np.zeros(shape, dtype=self._dtype) for _ in range(2 * config.layers)]
        self.capacity = capacity
        self._binding = self._logits = None

    def reserve(self, capacity: int, used: int) -> None:
        """Make room for `capacity` tokens, keeping the first `used`."""
        if capacity <= self.capacity:
            return
        old = self.arrays
        self._allocate(max(capacity, min(2 * self.capacity, self._config.context_length)))
        for target, source in zip(self.arrays, old, strict=True):
            target[:, :, :used] = source[:, :, :used]

    def copy_row(self, source: KeyValueCache, *, source_row: int, row: int, used: int) -> None:
        """Take the first `used` tokens of another cache's row."""
        for target, origin in zip(self.arrays, source.arrays, strict=True):
            target[row, :, :used] = origin[source_row, :, :used]

    def binding(self, session: onnxruntime.InferenceSession) -> Any:
        """The buffers bound as past and as present of the one session that uses them; made anew when they grow."""
        if self._binding is None:
            import onnxruntime

            self._binding = session.io_binding()
            for index, array in enumerate(self.arrays):
                past, present = _names(self._config, index)
                value = onnxruntime.OrtValue.ortvalue_from_numpy(array)  # shares the array's memory
                self._binding.bind_ortvalue_input(past, value)
                self._binding.bind_ortvalue_output(present, value)
        return self._binding

    def bind_logits(self, binding: Any, shape: tuple[int, int, int], dtype: Any) -> NDArray[Any]:
        """An array of this shape bound as the output; the same from token to token, since a new one costs page faults."""
        import numpy as np

        logits = self._logits
        if logits is None or logits.shape != shape:
            logits = np.empty(shape, dtype=dtype)
            binding.bind_output("logits", "cpu", 0, dtype, list(shape), logits.ctypes.data)
            self._logits = logits if shape[1] == 1 else None  # a whole prompt's may be large
        return logits


def _names(config: GraphConfig, index: int) -> tuple[str, str]:
    layer, is_value = divmod(index, 2)
    if is_value:
        return config.past_value % layer, config.present_value % layer
    return config.past_key % layer, config.present_key % layer


class Graph:
    """A loaded graph.

    Args:
        folder: as onnxruntime-genai's builder writes it.
        threads: 0 takes one per physical core.

    Raises:
        InvalidInputError: the folder or its graph is not of the kind that can be run here.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        import numpy as np
        import onnxruntime

        self.config = GraphConfig.load(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or physical_cores()
        options.log_severity_level = 3
        for key, value in _SPINNING.items():
            options.add_session_config_entry(key, value)
        path = folder / self.config.file
        if path.resolve().parent != folder.resolve():
            raise InvalidInputError(f"{folder} names a graph outside itself: {self.config.file}.", "Fetch the model again.")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base class
            said = _first_clause(str(error))
            raise InvalidInputError(
                f"The graph in {folder} cannot be loaded: {said}.", "Build or fetch the model again."
            ) from error
        self._positions = self._check_signature(folder)
        self._ones = np.ones((1, _CAPACITY_STEP), dtype=np.int64)
        types = {entry.name: entry.type for entry in self._session.get_inputs()}
        self._dtype = np.float16 if "float16" in types[self.config.past_key % 0] else np.float32
        logits = next(entry for entry in self._session.get_outputs() if entry.name == "logits")
        self._last_only = logits.shape[1] == 1
        self._logits_dtype = np.float16 if "float16" in logits.type else np.float32

    def _check_signature(self, folder: Path) -> bool:
        """Whether the graph wants position ids; refuses inputs that nobody would fill."""
        names = {entry.name for entry in self._session.get_inputs()}
        caches = {_names(self.config, index)[0] for index in range(2 * self.config.layers)}
        unknown = names - caches - {"input_ids", "attention_mask", "position_ids"}
        outputs = {entry.name for entry in self._session.get_outputs()}
        missing = (caches | {"input_ids", "attention_mask"}) - names | ({"logits"} - outputs)
        if unknown or missing:
            what = f"it wants {', '.join(sorted(unknown))}" if unknown else f"it lacks {', '.join(sorted(missing))}"
            raise InvalidInputError(f"The graph in {folder} is of a kind that cannot be run here: {what}.", "Use another model.")
        return "position_ids" in names

    def new_cache(self, rows: int = 1, capacity: int = _CAPACITY_STEP) -> KeyValueCache:
        """An empty cache for this graph."""
        return KeyValueCache(self.config, self._dtype, rows, capacity)

    def run(self, cache: KeyValueCache, ids: NDArray[np.int64], lengths: list[int]) -> NDArray[np.float32]:
        """Read tokens, adding to the cache, and give the logits that follow the last one.

        Args:
            cache: with room for the longest row.
            ids: int64 of shape [rows, tokens].
            lengths: how many tokens each row has read after this; rows may differ only when `ids` has one token a row.

        Returns:
            float32 of shape [rows, vocabulary], the caller's to change until the next run.

        Raises:
            EngineError: the run failed, for lack of memory say.
        """
        import numpy as np

        longest = max(lengths)
        binding = cache.binding(self._session)
        binding.bind_cpu_input("input_ids", ids)
        binding.bind_cpu_input("attention_mask", self._mask(lengths, longest))
        if self._positions:
            ends = np.asarray(lengths, dtype=np.int64)[:, None]
            positions = ends - ids.shape[1] + np.arange(ids.shape[1], dtype=np.int64)
            binding.bind_cpu_input("position_ids", positions)
        shape = (cache.rows, 1 if self._last_only else ids.shape[1], self.config.vocabulary)
        logits = cache.bind_logits(binding, shape, self._logits_dtype)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # onnxruntime's errors share no base class
            raise EngineError(f"The model could not be run: {error}.", "Use a smaller model or a shorter prompt.") from error
        last: NDArray[np.float32] = logits[:, -1].astype(np.float32, copy=False)
        return last

    def _mask(self, lengths: list[int], longest: int) -> NDArray[np.int64]:
        import numpy as np

        if len(lengths) == 1:
            if self._ones.shape[1] < longest:
                self._ones = np.ones((1, 2 * longest), dtype=np.int64)
            return self._ones[:, :longest]
        return (np.arange(longest) < np.asarray(lengths)[:, None]).astype(np.int64)


def _first_clause(trace: str) -> str:
    """What onnxruntime says about a graph, without its places in C++ and without paths."""
    if re.search(r"out of bounds or can not be read|External data|external initializer", trace, re.IGNORECASE):
        return "a file of its weights is missing or cut short"
    words = re.split(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", trace)[-1]
    words = re.sub(r"(?:Load model from )?\S*/\S*(?: failed:?)?", "", words)
    return re.split(r"[.:;\n]\s|\n", words.strip())[0].strip(" .:")[:200] or "onnxruntime refuses it"
