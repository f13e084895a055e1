"""Seconds of passes on GPUs that were measured, one process alone on the card (docs/evidence/gpu.md): (fixed,
each), by model, precision and kind of pass.

LeNet's updates on an H200 are a line near those of 64 to 4,096 images (0.89 to 1.08 of the measured), on an
H100 the line through both ends; its ascents are a tenth of the rest of a SmoothAdv step with ten of them. Of
other networks one step is known; fixed times and the ratio of ascent to update were LeNet's. Votes were timed
in batches of 10,000 (LeNet), 256 (ResNet-50) and 2,048; their fixed part is assumed: 20 launches, or one.
"""

from __future__ import annotations

Passes = dict[tuple[str, str, str], tuple[float, float]]
H200: Passes = {
    ("lenet", "bfloat16", "update"): (0.31e-3, 0.93e-6),
    ("lenet", "bfloat16", "ascent"): (0.22e-3, 0.95e-6),
    ("lenet", "bfloat16", "vote"): (0.2e-3, 0.242e-6),
    ("lenet", "bfloat16", "vote compiled"): (0.02e-3, 0.169e-6),
    ("lenet", "float32", "vote"): (0.2e-3, 0.294e-6),
    ("lenet", "float32", "vote compiled"): (0.02e-3, 0.298e-6),
    ("nal_cnn", "bfloat16", "update"): (0.25e-3, 1.03e-6),
    ("nal_cnn", "bfloat16", "ascent"): (0.22e-3, 0.64e-6),
    ("stn_mnist", "bfloat16", "update"): (0.25e-3, 2.86e-6),
    ("resnet20", "bfloat16", "update"): (0.25e-3, 11.3e-6),
    ("resnet20", "bfloat16", "vote"): (0.2e-3, 2.20e-6),
    ("resnet20", "bfloat16", "vote compiled"): (0.02e-3, 1.58e-6),
    ("resnet20", "float32", "vote"): (0.2e-3, 5.62e-6),
    ("resnet110", "bfloat16", "update"): (0.25e-3, 60.8e-6),
    ("resnet110", "bfloat16", "vote"): (0.2e-3, 13.1e-6),
    ("resnet110", "bfloat16", "vote compiled"): (0.02e-3, 8.78e-6),
    ("resnet110", "float32", "vote"): (0.2e-3, 41.1e-6),
    ("resnet50", "bfloat16", "vote"): (0.2e-3, 85.9e-6),
    ("resnet50", "bfloat16", "vote compiled"): (0.02e-3, 40.0e-6),
    ("resnet50", "float32", "vote"): (0.2e-3, 406e-6),
}
H100: Passes = {
    ("lenet", "bfloat16", "update"): (0.29e-3, 1.97e-6),
    ("lenet", "bfloat16", "ascent"): (0.25e-3, 1.16e-6),
    ("lenet", "bfloat16", "vote"): (0.2e-3, 0.25e-6),
    ("lenet", "bfloat16", "vote compiled"): (0.02e-3, 0.187e-6),
    ("nal_cnn", "bfloat16", "update"): (0.29e-3, 1.22e-6),
    ("nal_cnn", "bfloat16", "ascent"): (0.25e-3, 0.72e-6),
    ("stn_mnist", "bfloat16", "update"): (0.29e-3, 3.7e-6),
}
MEASURED = {"H200": H200, "H100": H100}
