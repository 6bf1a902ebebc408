from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data, evaluation, recommenders
from advrec_tf.cli import flags
from advrec_tf.errors import UserError
from advrec_tf.execution import runner, storage
from advrec_tf.files import locked, replacing
from advrec_tf.recommenders import AMFSettings, BPRMFSettings, WRMFSettings
from experiments.multistep import perturbed, trainings

BPRMF = BPRMFSettings(embedding_dim=6, batch_size=64)
AMF = AMFSettings(embedding_dim=6, batch_size=64, first_epoch=6)


def train(data, folder, settings=BPRMF, epochs=12, keep_epochs=(3, 6), save_every=4, **more):
    return recommenders.train(
        data, settings, 0, folder, epochs, keep_epochs, save_every, progress=False, **more
    )


def contents(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(Path(folder).rglob("*"))
        if p.is_file() and p.name != ".lock"
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
    for settings in (BPRMF, AMF):
        train(small, tmp_path / "whole", settings)
    for settings in (BPRMF, AMF):
        for epochs in (1, 5, 2):
            with monkeypatch.context() as patch, pytest.raises(Killed):
                killed_after(patch, epochs)
                train(small, tmp_path / "killed", settings)
        train(small, tmp_path / "killed", settings)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole") != {}


def test_what_is_kept(small, tmp_path):
    folder = train(small, tmp_path)
    assert sorted(p.name for p in folder.iterdir() if p.name != ".lock") == [
        "epoch-0003.npz",
        "epoch-0006.npz",
        "epoch-0012.npz",
        "history.csv",
        "state.npz",
    ]
    history = pd.read_csv(folder / "history.csv")
    assert (
        history["epoch"].tolist() == list(range(1, 13))
        and history["loss"].iloc[-1] < history["loss"].iloc[0]
    )
    best, P, Q = recommenders.selected_factors(folder, "best", 12)
    assert best == history["epoch"][history["HR@10"].idxmax()]
    measured = evaluation.rank_metrics(evaluation.ranks_of_test_items(P, Q, small))
    assert measured["HR@10"] == history["HR@10"].max() and measured["nDCG@10"] == pytest.approx(
        history["nDCG@10"][best - 1]
    )
    assert recommenders.selected_factors(folder, "last", 12)[0] == 12
    assert recommenders.selected_factors(folder, "epoch:3", 12)[0] == 3


def test_amf_starts_from_bprmf_with_its_optimiser(small, tmp_path):
    folder = train(small, tmp_path)
    amf = train(
        small,
        tmp_path,
        AMFSettings(embedding_dim=6, batch_size=64, first_epoch=6, adversarial_weight=0.0),
    )
    whole, warm = (storage.load(recommenders.epoch_file(each, 12)) for each in (folder, amf))
    # Without the adversarial term, AMF from epoch 6 is BPR-MF gone on.
    for name in whole:
        np.testing.assert_allclose(whole[name], warm[name], atol=1e-6)
    assert pd.read_csv(amf / "history.csv")["epoch"].tolist() == list(range(7, 13))


def test_a_longer_training_goes_on(small, tmp_path):
    folder = train(small, tmp_path / "a", epochs=8)
    train(small, tmp_path / "a", epochs=12)
    whole = train(small, tmp_path / "b", epochs=12)
    assert (folder / "state.npz").read_bytes() == (whole / "state.npz").read_bytes()
    assert (folder / "epoch-0012.npz").read_bytes() == (whole / "epoch-0012.npz").read_bytes()


def test_the_first_of_equally_good_epochs_is_the_best(small, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "advrec_tf.recommenders.trainer.rank_metrics", lambda ranks: {"HR@10": 0.5, "nDCG@10": 0.3}
    )
    assert recommenders.selected_factors(train(small, tmp_path, epochs=4), "best", 4)[0] == 1


def test_the_folder_follows_data_settings_and_seed(small, tmp_path):
    settings = (
        BPRMF,
        BPRMFSettings(embedding_dim=7),
        AMF,
        AMFSettings(embedding_dim=6, batch_size=64, epsilon=0.2),
    )
    folders = {
        recommenders.model_folder(tmp_path, small, each, seed)
        for each in settings
        for seed in (0, 1)
    }
    assert len(folders) == 8


def test_faults_are_told(small, tmp_path):
    with pytest.raises(UserError, match="has not been trained"):
        train(small, tmp_path, AMF)
    folder = train(small, tmp_path, epochs=4)
    for selection, epochs, message in (
        ("epoch:2", 4, "were not kept"),
        ("best", 0, "own best was not kept"),
    ):
        with pytest.raises(UserError, match=message):
            recommenders.selected_factors(folder, selection, epochs)
    with pytest.raises(UserError, match="epoch 2 has passed"):
        train(small, tmp_path, keep_epochs=(2,))
    with pytest.raises(UserError, match="no epoch was evaluated"):
        recommenders.selected_factors(
            train(small, tmp_path, BPRMFSettings(4, batch_size=64, eval_every=9), epochs=2),
            "best",
            2,
        )
    with pytest.raises(UserError, match="learning_rate must be a number from 0 up, not nan"):
        BPRMFSettings(4, learning_rate=float("nan"))
    with pytest.raises(UserError, match="batch_size must be at least 1"):
        BPRMFSettings(batch_size=0)
    with pytest.raises(UserError, match="loss of epoch . is (nan|inf)"):
        train(small, tmp_path, WRMFSettings(4, learning_rate=1e30, batch_size=64), keep_epochs=())
    (folder / "state.npz").write_bytes(b"torn")
    with pytest.raises(UserError, match="state.npz: its content is not what was written"):
        train(small, tmp_path)


def test_a_folder_in_use_is_told(small, tmp_path, monkeypatch):
    with locked(tmp_path), pytest.raises(UserError, match="in use by another run"):
        with locked(tmp_path, patience=0.2):
            pass
    with locked(tmp_path):
        pass


def test_a_file_is_whole_or_as_before(tmp_path):
    (tmp_path / "f").write_text("old")
    with pytest.raises(OSError), replacing(tmp_path / "f") as temporary:
        temporary.write_text("half")
        raise OSError("disk full")
    assert (tmp_path / "f").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_sample_of_users_chooses_the_best_epoch(small, tmp_path):
    folder = train(small, tmp_path, BPRMFSettings(6, batch_size=64, eval_users=30))
    users, part = data.sample_users(small, 30)
    assert (
        len(set(users)) == part.n_users == 30
        and users.tolist() == data.sample_users(small, 30)[0].tolist()
    )
    epoch, P, Q = recommenders.selected_factors(folder, "best", 12)
    measured = pd.read_csv(folder / "history.csv").set_index("epoch")["HR@10"]
    tested = np.isin(small.test_users, users)
    hits = evaluation.ranks_of_test_items(P, Q, small)[tested] <= 10
    assert measured[epoch] == measured.max() == pytest.approx(hits.mean())
    assert (
        folder.parent != train(small, tmp_path).parent
    )  # all of them train the model that they always did
    assert (
        "eval_users" not in BPRMF.identity
        and AMFSettings(eval_users=30).identity["start"]["eval_users"] == 30
    )
    assert data.sample_users(small, 80) == data.sample_users(small, None) == (slice(None), small)


def test_evaluations_are_as_far_apart_as_sizes_say(tmp_path):
    """60 users x 138 items, 180 clicks: ten times 8,280 scores over 150 a click, 3.07; of 20 users 1.02."""
    many = data.synthetic(n_users=60, n_items=400, per_user=4, seed=1)
    assert (many.n_items, len(many.train_users)) == (138, 180)
    for users, apart in ((None, 4), (60, 4), (20, 2)):
        settings = BPRMFSettings(6, batch_size=64, eval_every="auto", eval_users=users)
        history = pd.read_csv(train(many, tmp_path, settings, epochs=8) / "history.csv").dropna()
        assert history["epoch"].tolist() == list(range(apart, 9, apart))


def test_a_sample_is_of_users_who_are_tested():
    clicks = pd.DataFrame({"user": np.repeat(np.arange(40), 3), "item": np.tile([0, 1, 2], 40)})
    built = data.Interactions.from_frames(
        clicks, pd.DataFrame({"user": [3, 9, 20, 31], "item": [4, 5, 6, 4]})
    )
    users, part = data.sample_users(built, 3)
    assert set(users) < {3, 9, 20, 31} and len(part.test_users) == 3
    assert data.sample_users(built, 4)[1] is built


@pytest.mark.parametrize(
    "wrong",
    [{"eval_users": 0}, {"eval_users": -5}, {"eval_every": 0}, {"eval_every": "often"}],
    ids=str,
)
def test_settings_of_evaluations_are_checked(wrong):
    with pytest.raises(UserError, match="BPR-MF: eval_.* must be at least 1, not"):
        BPRMFSettings(**wrong)


def test_a_model_that_is_not_trained_need_not_be_evaluated(small, tmp_path):
    """A leaderboard of BPR-MF alone, whose AMF has no epoch that would be."""
    given = {
        "preset": "quick",
        "epochs": "9",
        "bprmf_epochs": "8",
        "amf_start": "5",
        "eval_every": "5",
        "model_selection": ["best"],
    }
    (study,) = perturbed.specs(
        flags.values("table1", given) | {"experiment": "table1"}, [small], tmp_path
    )
    how = runner.Running(progress=False, save_every=1)
    assert [len(batch) for batch in trainings.train(study, how, ("BPR-MF",))] == [
        len(study.seeds)
    ] * 2
    with pytest.raises(UserError, match="none of AMF's epochs 6 to 9 is evaluated"):
        next(trainings.train(study, how))
