"""Names of what a configuration may choose, for those that read one without keras."""

ACTIVATIONS = (
    "gelu",
    "gelu_new",
    "gelu_python",
    "gelu_pytorch_tanh",
    "relu",
    "silu",
    "swish",
    "tanh",
)
NORMS = ("layer", "rms", "rms_plain")
