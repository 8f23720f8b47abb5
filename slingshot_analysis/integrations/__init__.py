"""Record the loops of frameworks: a module for each, which needs that framework and nothing else.

`transformers` and `lightning` each have a `SlingshotCallback`. Accelerate and Fabric need none, since `Recorder.attach`
follows their optimizers.
"""
