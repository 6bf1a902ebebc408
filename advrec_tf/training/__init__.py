"""Training: settings, train or resume, checkpoints, jobs side by side."""

from advrec_tf.training.checkpoints import selected_factors
from advrec_tf.training.settings import AMFSettings, BPRMFSettings, PMFSettings, Settings, WRMFSettings, epoch_file, model_folder

__all__ = ["AMFSettings", "BPRMFSettings", "PMFSettings", "Settings", "WRMFSettings", "epoch_file", "model_folder", "selected_factors", "train"]


def __getattr__(name: str):
    if name == "train":  # needs TensorFlow, which takes seconds to import
        from advrec_tf.training.trainer import train

        return train
    raise AttributeError(f"module 'advrec_tf.training' has no attribute {name!r}")
