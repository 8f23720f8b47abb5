"""What people do about spikes, each with what it rests on and where that stands."""

from __future__ import annotations

from slingshot_analysis.diagnosis.cause import Remedy

LARGER_EPSILON = Remedy(
    "Raise ε of the optimizer, to 1e-6 or more.",
    "The paper's networks have no slingshots from ε = 1e-5 on; where gradients come near ε, updates shrink instead.",
    "arXiv:2206.04817",
)
PRECISE_LOSS = Remedy(
    "Compute the softmax and the loss in float64, or in float32 if they are in half precision.",
    "Softmax collapse, where rounding zeroes the gradients of fitted samples, goes away on tasks like the paper's.",
    "arXiv:2501.04697",
)
STABLEMAX = Remedy(
    "Replace the softmax by StableMax, or project the gradient orthogonal to the weights.",
    "Both remove softmax collapse and its spikes on tasks like the paper's; not tried on large models.",
    "arXiv:2501.04697",
)
SMALLER_BETA2 = Remedy(
    "Lower β2, to 0.95 or 0.99.",
    "A second moment that follows the gradient faster removes spikes of vision-language and of language models.",
    "arXiv:2304.13013",
)
CLIP_UPDATES = Remedy(
    "Clip the update by its root mean square, as AdamW with update clipping (StableAdamW) and Adafactor do.",
    "It removes loss spikes of vision-language models that clipping of gradients leaves.",
    "arXiv:2304.13013",
)
CLIP_GRADIENTS = Remedy(
    "Clip the norm of the gradient.",
    "A single large gradient then moves the weights no further than usual; common practice.",
    "arXiv:1211.5063",
)
LOWER_STEP = Remedy(
    "Lower the peak learning rate, or go back to a checkpoint and lower it from there.",
    "Full-batch Adam stays where the preconditioned sharpness is near 38 divided by the learning rate.",
    "arXiv:2207.14484",
)
WARM_UP = Remedy(
    "Warm the learning rate up over some hundred to some thousand updates.",
    "Early curvature is high, and falls during warm-up to what the full learning rate can bear.",
    "arXiv:2110.04369",
)
SKIP_BATCHES = Remedy(
    "Go back some hundred updates and skip the batches around the spike.",
    "PaLM's spikes did not come back then; the same batches did no harm at another state of the weights.",
    "arXiv:2204.02311",
)
RESET_MOMENTS = Remedy(
    "Reset the first moment now and then, and clip single gradients that are far above their second moment.",
    "Done periodically it reduces spikes of language models.",
    "arXiv:2501.06842",
)
KEEP_MOMENTS = Remedy(
    "Save and load the state of the optimizer with that of the weights; without it, warm up again.",
    "The first updates after lost moments are as large as the learning rate allows, whatever the gradient.",
    "arXiv:1412.6980",
)
SMALLER_INITIALISATION = Remedy(
    "Scale the initial weights to keep activations and logits of order one; initialise residual branches smaller.",
    "Small weights in the layers and a normalised embedding remove early spikes of language models.",
    "arXiv:2312.16903",
)
QK_NORM = Remedy(
    "Normalise queries and keys (QK norm).",
    "It keeps attention logits from growing, which made vision and language models diverge.",
    "arXiv:2302.05442",
)
Z_LOSS = Remedy(
    "Add a penalty on log Z of the output (z-loss).",
    "It keeps output logits from drifting, which made language models diverge.",
    "arXiv:2309.14322",
)
LOSS_SCALING = Remedy(
    "Use bfloat16 or dynamic loss scaling, and keep weights, moments and the loss in float32.",
    "float16 overflows above 65,504; scaling and float32 copies restore the accuracy of float32.",
    "arXiv:1710.03740",
)
