"""Grokking on algorithmic tasks: a small Transformer learns a binary operation from a part of its table.

Thilak et al. 2022 (arXiv 2206.04817), Figures 2-4, 22-50:

- Data: arithmetic mod 97 and permutations of 5 elements, as in Power et al. 2022 (arXiv 2201.02177).
- Training: a decoder-only Transformer of 2 layers, width 128 and 4 heads; cross-entropy; Adam with learning rate 1e-3,
  β (0.9, 0.98), ε 1e-8 and no weight decay; a linear warm-up over 10 updates; batch size 512; 500,000 updates.
- An epoch of division has 10 updates, so the incomplete batch is kept: 4,656 equations are 9 batches of 512 and one of
  48. The iterator of Power et al. keeps it too.
- Figure 4 uses AdamW (optimizer ``adamw``).
- Figure 25: division with SGD, momentum 0.9, learning rate 0.01 and batch size 512 for 1,500,000 updates. The paper
  also tries learning rates 0.001 and 0.1.
- Figures 44-46: AdamW with weight decay 0, 0.1, 0.2, 0.4, 0.6, 0.8 and 1.0 on division, addition and multiplication.
  The setup has 0.1 on division.
- Figures 47-49: features f and weights w of the last layer are normalised, so the logits are (w/‖w‖)·(f/‖f‖)/τ, with τ
  0.1, 0.25, 0.5, 0.75 and 1.0, on division and multiplication (half of the equations) and subtraction. The setup has τ
  = 0.5, the middle one, on division. The fields ``model.temperature`` and ``data.operation`` select the others.

The 18 data sets of appendix B.3 are seven of the operations with these shares of the equations for training: addition
50, 60, 70%; cube plus 50, 60, 70, 80%; division 50, 60, 70%; even add else subtract 70%; multiplication 50, 60%; square
plus 70, 80%; subtraction 60, 70, 80%. The sweep ``datasets`` has them all. The 18 Figures 26 to 43 are taken to show
them in this order. The other operations are in Power et al., appendix A.1.1, only. Each setup has half of the
equations.

The paper does not state the following, so these are choices made here:

- The loss is that of the answer alone. The code of Power et al. averages it with that of the end token that follows.
- SGD has no warm-up. Weight decay applies to all parameters.
- With normalisation, the optimizer is Adam, as without it, and w is the weights of one class.
- The seed is 0. :mod:`trainers.models.transformer` names further choices.

``modular_division_prenorm`` is no experiment of the paper: its Transformer is built and initialised as in GPT-2 but for
the ReLU, and its epochs drop the incomplete batch. It groks within 30,000 updates, half an hour on one core.
"""

from dataclasses import replace

from trainers.data import modular, permutations
from trainers.models.transformer import Transformer
from trainers.optimizers import SGD, Adam, AdamW
from trainers.setup import DataConfig, OptimizerConfig, Setup

POWER = "none; Power et al., A.1.1"
FIGURES = dict.fromkeys(modular.OPERATIONS, POWER) | {
    "addition": "3, 4, 26-28",
    "cube_plus": "4, 29-32",
    "division": "2-4, 22-24, 33-35, 50",
    "even_add_else_subtract": "4, 36",
    "multiplication": "3, 4, 37, 38",
    "square_plus": "4, 39, 40",
    "subtraction": "3, 4, 41-43",
}
"""Figures of the paper by operation mod 97; it shows no permutations."""

ADAM = Adam(lr=1e-3, betas=(0.9, 0.98), eps=1e-8, warmup=10)
TRANSFORMER = Transformer(layers=2, width=128, heads=4)
AS_IN_GPT2 = replace(TRANSFORMER, norm="pre", bias=True, positions="learned", initialization="gpt2")
DIVISION = modular.ModularArithmetic("division", p=97, train_share=0.5)


def transformer_setup(
    name: str,
    title: str,
    figures: str,
    data: DataConfig,
    optimizer: OptimizerConfig = ADAM,
    model: Transformer = TRANSFORMER,
    steps: int = 500_000,
    drop_last: bool = False,
) -> Setup:
    """Return a setup with the paper's batch size."""
    return Setup(name, title, figures, data, model, optimizer, batch_size=512, steps=steps, seed=0, drop_last=drop_last)


SETUPS = (
    *(
        transformer_setup(
            f"modular_{operation}",
            f"{operation.replace('_', ' ')} mod 97, Transformer, Adam",
            FIGURES[operation],
            modular.ModularArithmetic(operation, p=97, train_share=0.5),
        )
        for operation in modular.OPERATIONS
    ),
    *(
        transformer_setup(
            f"s5_{operation}",
            f"{operation} of permutations of 5 elements, Transformer, Adam",
            POWER,
            permutations.PermutationGroup(operation, n=5, train_share=0.5),
        )
        for operation in permutations.OPERATIONS
    ),
    transformer_setup(
        "modular_division_sgd",
        "division mod 97, Transformer, SGD with momentum",
        "25",
        DIVISION,
        SGD(lr=0.01, momentum=0.9),
        steps=1_500_000,
    ),
    transformer_setup(
        "modular_division_weight_decay",
        "division mod 97, Transformer, AdamW with weight decay",
        "44-46",
        DIVISION,
        AdamW(lr=1e-3, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.1, warmup=10),
    ),
    transformer_setup(
        "modular_division_normalized",
        "division mod 97, Transformer with normalised features and weights, Adam",
        "47-49",
        DIVISION,
        model=replace(TRANSFORMER, temperature=0.5),
    ),
    transformer_setup(
        "modular_division_prenorm",
        "division mod 97, pre-norm Transformer that starts small, Adam",
        "none",
        DIVISION,
        model=AS_IN_GPT2,
        steps=40_000,
        drop_last=True,
    ),
)
