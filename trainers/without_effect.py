"""The options of TRL's `GRPOConfig` that have no effect here, since episodes are played instead of completed, and why.

They are refused: on a command line before TRL is imported, and by the trainer.
"""

from collections.abc import Mapping
from types import MappingProxyType

_SAMPLES = "the agent samples; it knows temperature and top_p"
_ENGINE = "the agent samples, whatever engine it uses"
_VLLM = (
    "use_vllm",
    "vllm_mode",
    "vllm_model_impl",
    "vllm_enable_sleep_mode",
    "vllm_structured_outputs_regex",
    "vllm_server_base_url",
    "vllm_server_host",
    "vllm_server_port",
    "vllm_server_timeout",
    "vllm_group_port",
    "vllm_gpu_memory_utilization",
    "vllm_max_model_length",
    "vllm_tensor_parallel_size",
)
"""Not among them: `vllm_importance_sampling_*`, which say how any sampler is corrected for."""

WITHOUT_EFFECT: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(_VLLM, _ENGINE),
        "use_transformers_continuous_batching": _ENGINE,
        "use_transformers_paged": _ENGINE,
        "transformers_continuous_batching_config": _ENGINE,
        "top_k": _SAMPLES,
        "min_p": _SAMPLES,
        "repetition_penalty": _SAMPLES,
        "generation_kwargs": _SAMPLES,
        "cache_implementation": "the agent keeps its own cache",
        "chat_template_kwargs": "the agent renders the conversation",
        "max_tool_calling_iterations": "the environment's max_turns bounds an episode",
        "model_init_kwargs": "the model is loaded before the trainer is made",
        "reward_weights": "the rubric of the environment weighs its criteria",
        "multi_objective_aggregation": "the rubric of the environment weighs its criteria",
        "eval_strategy": "held-out tasks are played before and after training",
        "num_generations_eval": "held-out tasks are played before and after training",
    }
)
"""By option: what decides instead."""
