"""Names that options offer, for help without PyTorch. A test compares them with what the trainers know."""

DTYPES = ("float32", "float64")
AUTOCAST = ("none", "bfloat16", "float16")
LOSSES = ("cross_entropy", "stablemax", "output")
OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd", "adaptive")
