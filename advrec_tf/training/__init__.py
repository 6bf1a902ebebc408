"""Training: train or resume, checkpoints, jobs side by side."""

from advrec_tf.training.trainer import AMFSettings, BPRMFSettings, Settings, epoch_file, model_folder, selected_factors, train

__all__ = ["AMFSettings", "BPRMFSettings", "Settings", "epoch_file", "model_folder", "selected_factors", "train"]
