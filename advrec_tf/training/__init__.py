"""Training: settings that build their model, and train or resume."""

from advrec_tf.training.checkpoints import selected_factors
from advrec_tf.training.settings import (
    RECOMMENDERS,
    AMFSettings,
    BPRMFSettings,
    EnsembleSettings,
    MarginMFSettings,
    PMFSettings,
    Settings,
    WRMFSettings,
    epoch_file,
    model_folder,
)

__all__ = [
    "AMFSettings", "BPRMFSettings", "EnsembleSettings", "MarginMFSettings", "PMFSettings", "RECOMMENDERS", "Settings", "WRMFSettings",
    "epoch_file", "model_folder", "selected_factors", "train",
]  # fmt: skip


def __getattr__(name: str):
    if name == "train":  # needs TensorFlow, which takes seconds to import
        from advrec_tf.training.trainer import train

        return train
    raise AttributeError(f"module 'advrec_tf.training' has no attribute {name!r}")
