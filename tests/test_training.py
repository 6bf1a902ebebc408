"""Training: what is kept, and that a killed or longer training ends in the same bytes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data, evaluation, recommenders
from advrec_tf.cli import flags
from advrec_tf.errors import UserError
from advrec_tf.execution import runner, storage
from advrec_tf.files import locked, replacing
from advrec_tf.recommenders import AMFConfig, BPRMFConfig, WRMFConfig
from experiments.multistep import perturbed, trainings

BPRMF = BPRMFConfig(embedding_dim=6, batch_size=64)
AMF = AMFConfig(embedding_dim=6, batch_size=64, first_epoch=6)


def train(data, folder, config=BPRMF, epochs=12, keep_epochs=(3, 6), **options):
    options = {"save_every": 4, "progress": False} | options
    return recommenders.train(data, config, 0, folder, epochs, keep_epochs, **options)


def contents(folder):
    files = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != ".lock"
    }


class Killed(Exception):
    pass


def killed_after(monkeypatch, epochs):
    """Makes training stop, as by a kill, in the middle of an epoch's bookkeeping."""
    real, left = evaluation.ranks_of_test_items, [epochs]

    def evaluate(*args):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return real(*args)

    monkeypatch.setattr(recommenders.trainer, "ranks_of_test_items", evaluate)


def test_a_killed_training_ends_in_the_same_bytes(small, tmp_path, monkeypatch):
    for config in (BPRMF, AMF):
        train(small, tmp_path / "whole", config)
    for config in (BPRMF, AMF):
        for epochs in (1, 5, 2):
            with monkeypatch.context() as patch, pytest.raises(Killed):
                killed_after(patch, epochs)
                train(small, tmp_path / "killed", config)
        train(small, tmp_path / "killed", config)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole") != {}


def test_training_is_a_fit_with_the_configuration_and_the_seed(small, tmp_path):
    config = BPRMFConfig(embedding_dim=6, batch_size=100, learning_rate=0.2)
    folder = recommenders.train(small, config, 3, tmp_path, 2, progress=False)
    model = config.build(small, 3)
    model.fit(small, epochs=2, batch_size=100, verbose=0)
    epoch, *factors = recommenders.selected_factors(folder, "last", 2)
    assert epoch == 2
    for table, expected in zip(factors, model.factors, strict=True):
        np.testing.assert_array_equal(table, expected)


def test_what_is_kept(small, tmp_path):
    folder = train(small, tmp_path)
    kept = ["epoch-0003.npz", "epoch-0006.npz", "epoch-0012.npz", "history.csv", "state.npz"]
    assert list(contents(folder)) == kept
    history = pd.read_csv(folder / "history.csv")
    assert history["epoch"].tolist() == list(range(1, 13))
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    best, P, Q = recommenders.selected_factors(folder, "best", 12)
    assert best == history["epoch"][history["HR@10"].idxmax()]
    measured = evaluation.rank_metrics(evaluation.ranks_of_test_items(P, Q, small))
    assert measured["HR@10"] == history["HR@10"].max()
    assert measured["nDCG@10"] == pytest.approx(history["nDCG@10"][best - 1])
    assert recommenders.selected_factors(folder, "last", 12)[0] == 12
    assert recommenders.selected_factors(folder, "epoch:3", 12)[0] == 3


def test_the_configuration_is_written_beside_the_weights(small, tmp_path):
    folder = train(small, tmp_path, epochs=1)
    assert (folder.parent / "settings.json").read_text() == (
        '{\n "model": "BPR-MF",\n "version": 1,\n "embedding_dim": 6,\n "learning_rate": 0.05,\n'
        ' "batch_size": 64,\n "eval_every": 1\n}\n'
    )


def test_amf_starts_from_bprmf_with_its_optimiser(small, tmp_path):
    """Without the adversarial term, AMF from epoch 6 is BPR-MF."""
    folder = train(small, tmp_path)
    config = AMFConfig(6, batch_size=64, first_epoch=6, adversarial_weight=0.0)
    amf = train(small, tmp_path, config)
    weights = storage.load(recommenders.epoch_file(folder, 12))
    started = storage.load(recommenders.epoch_file(amf, 12))
    for name, values in weights.items():
        np.testing.assert_allclose(started[name], values, atol=1e-6)
    assert pd.read_csv(amf / "history.csv")["epoch"].tolist() == list(range(7, 13))


def test_a_training_is_continued_to_more_epochs(small, tmp_path):
    train(small, tmp_path / "a", epochs=8)
    folder = train(small, tmp_path / "a", epochs=12)
    whole = train(small, tmp_path / "b", epochs=12)
    for name in ("state.npz", "epoch-0012.npz"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


def test_the_first_of_equally_good_epochs_is_the_best(small, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "advrec_tf.recommenders.trainer.rank_metrics", lambda ranks: {"HR@10": 0.5, "nDCG@10": 0.3}
    )
    assert recommenders.selected_factors(train(small, tmp_path, epochs=4), "best", 4)[0] == 1


def test_the_folder_follows_data_configuration_and_seed(small, tmp_path):
    configs = BPRMF, BPRMFConfig(7), AMF, AMFConfig(6, batch_size=64, epsilon=0.2)
    folders = [
        recommenders.model_folder(tmp_path, small, config, seed)
        for config in configs
        for seed in (0, 1)
    ]
    assert len(set(folders)) == 8


def test_a_start_that_is_not_trained_is_an_error(small, tmp_path):
    with pytest.raises(UserError, match="AMF starts from this epoch of BPR-MF, which has not been"):
        train(small, tmp_path, AMF)


def test_weights_that_were_not_kept_are_an_error(small, tmp_path):
    folder = train(small, tmp_path, epochs=4)
    with pytest.raises(UserError, match="the weights of epoch 2 were not kept"):
        recommenders.selected_factors(folder, "epoch:2", 4)
    with pytest.raises(UserError, match="the best of the first 0 epochs was not kept"):
        recommenders.selected_factors(folder, "best", 0)
    with pytest.raises(UserError, match="epoch 2 has passed"):
        train(small, tmp_path, keep_epochs=(2,))
    never = train(small, tmp_path, BPRMFConfig(4, batch_size=64, eval_every=9), epochs=2)
    with pytest.raises(UserError, match="no epoch was evaluated"):
        recommenders.selected_factors(never, "best", 2)


def test_a_diverging_loss_and_a_damaged_state_are_errors(small, tmp_path):
    with pytest.raises(UserError, match="loss of epoch . is (nan|inf)"):
        train(small, tmp_path, WRMFConfig(4, learning_rate=1e30, batch_size=64), keep_epochs=())
    folder = train(small, tmp_path, epochs=1)
    (folder / "state.npz").write_bytes(b"torn")
    with pytest.raises(UserError, match="state.npz: its content is not what was written"):
        train(small, tmp_path)


def test_a_folder_in_use_is_an_error(tmp_path):
    with locked(tmp_path), pytest.raises(UserError, match="in use by another run"):
        with locked(tmp_path, patience=0.2):
            pass
    with locked(tmp_path):
        pass


def test_a_training_holds_the_lock_of_its_folder(small, tmp_path, monkeypatch):
    monkeypatch.setattr("advrec_tf.recommenders.trainer.locked", lambda path, **_: locked(path, 0))
    with locked(recommenders.model_folder(tmp_path, small, BPRMF, 0)):
        with pytest.raises(UserError, match="in use by another run"):
            train(small, tmp_path)


def test_a_file_is_complete_or_as_before(tmp_path):
    (tmp_path / "f").write_text("old")
    with pytest.raises(OSError), replacing(tmp_path / "f") as temporary:
        temporary.write_text("half")
        raise OSError("disk full")
    assert (tmp_path / "f").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_sample_of_users_chooses_the_best_epoch(small, tmp_path):
    folder = train(small, tmp_path, BPRMFConfig(6, batch_size=64, eval_users=30))
    users, part = data.sample_users(small, 30)
    assert len(set(users)) == part.n_users == 30
    assert users.tolist() == data.sample_users(small, 30)[0].tolist() != [*range(30)]
    epoch, P, Q = recommenders.selected_factors(folder, "best", 12)
    measured = pd.read_csv(folder / "history.csv").set_index("epoch")["HR@10"]
    tested = np.isin(small.test_users, users)
    hits = evaluation.ranks_of_test_items(P, Q, small)[tested] <= 10
    assert measured[epoch] == measured.max() == pytest.approx(hits.mean())
    assert folder.parent != train(small, tmp_path).parent
    assert data.sample_users(small, 80) == data.sample_users(small, None) == (slice(None), small)


def test_evaluations_are_as_far_apart_as_the_sizes_of_the_data_say(tmp_path):
    """60 users x 138 items and 180 clicks: 10 x 8,280 scores / (150 x 180) is 3.07.

    With 20 users it is 1.02.
    """
    many = data.synthetic(n_users=60, n_items=400, per_user=4, seed=1)
    assert (many.n_items, len(many.train_users)) == (138, 180)
    for users, apart in ((None, 4), (60, 4), (20, 2)):
        config = BPRMFConfig(6, batch_size=64, eval_every="auto", eval_users=users)
        history = pd.read_csv(train(many, tmp_path, config, epochs=8) / "history.csv").dropna()
        assert history["epoch"].tolist() == list(range(apart, 9, apart))


def test_only_users_with_test_items_are_sampled():
    clicks = pd.DataFrame({"user": np.repeat(np.arange(40), 3), "item": np.tile([0, 1, 2], 40)})
    held_out = pd.DataFrame({"user": [3, 9, 20, 31], "item": [4, 5, 6, 4]})
    built = data.Interactions.from_frames(clicks, held_out)
    users, part = data.sample_users(built, 3)
    assert set(users) < {3, 9, 20, 31} and len(part.test_users) == 3
    assert data.sample_users(built, 1)[0].tolist() != [3]  # drawn, not the first
    assert data.sample_users(built, 4)[1] is built


def test_a_model_that_is_not_trained_need_not_be_evaluated(small, tmp_path):
    """A leaderboard of BPR-MF alone does not need an evaluated epoch of AMF."""
    given = {
        "preset": "quick",
        "epochs": "9",
        "bprmf_epochs": "8",
        "amf_start": "5",
        "eval_every": "5",
        "model_selection": ["best"],
    }
    values = flags.values("table1", given) | {"experiment": "table1"}
    (spec,) = perturbed.specs(values, [small], tmp_path)
    how = runner.Running(progress=False, save_every=1)
    stages = trainings.train(spec, how, ("BPR-MF",))
    assert [len(tasks) for tasks in stages] == [len(spec.seeds)] * 2
    with pytest.raises(UserError, match="none of AMF's epochs 6 to 9 is evaluated"):
        next(trainings.train(spec, how))
