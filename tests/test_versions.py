"""The result of each algorithm on a tiny case, next to its version.

A change of the result must raise the version, or stale caches are taken for new. The numbers are
norms of the results, so that another processor's last bit does not matter.
`python tests/test_versions.py` prints them.
"""

import sys
from pathlib import Path

from advrec_tf.perturbations import ensemble, single_user

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from advrec_tf.execution.startup import one_thread_for_numpy, start_tensorflow  # noqa: E402

one_thread_for_numpy()
start_tensorflow()

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from advrec_tf import data, evaluation, leaderboard, perturbations  # noqa: E402
from advrec_tf.defenses import (
    Svm,
    detection,
    low_rank,
    project,
    projection,
    reconstruct,
    unsupervised_scores,
)  # noqa: E402
from advrec_tf.perturbations.losses import Schedule  # noqa: E402
from advrec_tf.poisoning import (
    RecSys19Config,
    RecSys20Config,
    bilevel,
    gan,
    heuristic,
    likeness,
    zeroth_order,
)  # noqa: E402
from advrec_tf.poisoning.settings import GanConfig  # noqa: E402
from advrec_tf.poisoning.similarity import VERSION as LIKENESS  # noqa: E402
from advrec_tf.recommenders import (
    AMFConfig,
    BPRMFConfig,
    LightGCNConfig,
    MarginMFConfig,
    PMFConfig,
    SASRecConfig,
    WRMFConfig,
)  # noqa: E402

SMALL = {"embedding_dim": 4, "batch_size": 64}


def shop(split=None):
    return data.synthetic(n_users=40, n_items=25, per_user=7, seed=1, split=split)


def factors():
    rng = np.random.default_rng(0)
    return tuple(rng.normal(0, 0.7, (n, 5)).astype(np.float32) for n in (40, 25))


def trained(settings):
    interactions = shop("80:20" if settings.name in ("WRMF", "PMF") else None)
    model = settings.build(interactions, 2)
    model.fit(interactions, epochs=3, batch_size=settings.batch_size, verbose=0)
    return model.factors


def perturbed():
    P, Q = factors()
    points = [
        p
        for name in perturbations.EMBEDDING_ATTACKS
        for ball in perturbations.BALLS
        for p in perturbations.points(name, [0.3], (2, 5), ball)
    ]
    points += perturbations.points("fgsm", [0.3], start="after_pgd")
    return [
        x
        for _, delta in perturbations.perturbed(P, Q, data.sample_triples(shop(), 0), points, 4)
        for x in delta
    ]


def ensembles():
    P, Q = factors()
    problem = ensemble.Problem(P, Q, shop(), 2, 4)
    moved = [
        members[name](problem, 0.1, ball)
        for members in ensemble.THREAT_MODELS.values()
        for name in members
        for ball in perturbations.BALLS
    ]
    return [np.linalg.norm(x) for delta in moved for x in delta] + [
        single_user.worst_ranks(
            problem.factors, shop(), problem.factors.sizes(0.1), "l2", 4, Schedule(5, 4.0, 0.2)
        )
    ]


def measured():
    P, Q = factors()
    lists = evaluation.top_k(P, Q, shop(), 4)
    return [
        lists,
        *evaluation.metrics(lists, shop()).values(),
        evaluation.poisoning_metrics(P, Q, shop(), (1, 2), 4)["target_rank"],
    ]


def rebuilt():
    matrix = shop("80:20").matrix()
    return [
        reconstruct(matrix, 10, 3, 0.1).toarray(),
        reconstruct(matrix, 10, 3, 0.1, seed=2).toarray(),
        *project(*factors(), *projection(matrix, 4)),
    ]


def detected(tmp_path):
    interactions = shop("80:20")
    fakes = heuristic("bandwagon", interactions, 8, (1, 2), 0)
    return [
        Svm(fakes, "linear", 3, folds=4).flag_users(fakes.stacked_on(interactions), 40, tmp_path)[
            1
        ],
        unsupervised_scores(interactions, 3),
    ]


def attacked(make, settings, tmp_path):
    profiles = make(shop("80:20"), settings, 3, tmp_path, 2, progress=False)
    return [profiles.matrix()]


CASES = {
    "BPR-MF": (lambda t: trained(BPRMFConfig(**SMALL)), BPRMFConfig.version, (1, 0.28158798)),
    "AMF": (
        lambda t: trained(AMFConfig(**SMALL, adversary="pgd")),
        AMFConfig.version,
        (1, 0.71231317),
    ),
    "WRMF": (lambda t: trained(WRMFConfig(**SMALL)), WRMFConfig.version, (2, 1.9982784)),
    "WRMF by als": (
        lambda t: trained(WRMFConfig(**SMALL, solver="als")),
        WRMFConfig.version,
        (2, 9.9658068),
    ),
    "PMF": (lambda t: trained(PMFConfig(**SMALL)), PMFConfig.version, (1, 1.9159258)),
    "MarginMF": (
        lambda t: trained(MarginMFConfig(**SMALL)),
        MarginMFConfig.version,
        (1, 22.16321),
    ),
    "LightGCN": (
        lambda t: trained(LightGCNConfig(**SMALL, epsilon=0.1)),
        LightGCNConfig.version,
        (2, 1.7385217),
    ),
    "SASRec": (
        lambda t: trained(SASRecConfig(4, batch_size=8, length=6, epsilon=0.1)),
        SASRecConfig.version,
        (1, 16.364718),
    ),
    "perturbations": (lambda t: perturbed(), perturbations.VERSION, (1, 10.59859)),
    "evaluation": (lambda t: measured(), evaluation.VERSION, (1, 208.30808)),
    "certificates": (
        lambda t: [
            evaluation.certified_radii(*factors(), shop(), ball, 4) for ball in perturbations.BALLS
        ],
        evaluation.CERTIFICATES,
        (3, 0.44885107),
    ),
    "low rank": (lambda t: rebuilt(), low_rank.VERSION, (1, 25.970328)),
    "detection": (detected, detection.VERSION, (1, 23.874202)),
    "RecSys20": (
        lambda t: attacked(
            bilevel.attack,
            RecSys20Config(5, (1, 2), WRMFConfig(**SMALL), 4, 2, click_limit=9, k=4),
            t,
        ),
        RecSys20Config.version,
        (2, 6.8549252),
    ),
    "RecSys19": (
        lambda t: attacked(
            zeroth_order.attack,
            RecSys19Config(
                5,
                (1, 2),
                WRMFConfig(**SMALL),
                gan_epochs=1,
                base_epochs=1,
                probe_epochs=1,
                directions=2,
                k=4,
            ),
            t / "a" / "b",
        ),
        RecSys19Config.version,
        (2, 20.064895),
    ),
    "RecSys19's GAN": (
        lambda t: attacked(gan.attack, GanConfig(5), t),
        GanConfig.version,
        (2, 19.317609),
    ),
    "likeness": (
        lambda t: list(
            likeness(heuristic("bandwagon", shop("80:20"), 8, (1, 2), 0), shop("80:20")).values()
        ),
        LIKENESS,
        (2, 10.413814),
    ),
    "data": (
        lambda t: [
            x
            for n in (0, 1)
            for x in (
                *data.sample_triples(shop(), n),
                *data.shuffled_batches(shop(), 9, n, n),
                shop().test_items,
            )
        ],
        BPRMFConfig.version,
        (1, 1268.0574),
    ),
    "robustness": (lambda t: ensembles(), leaderboard.VERSION, (6, 109.34736)),
}


def figure(made):
    """One number that changes whenever any of the arrays does: their places count."""
    flat = np.concatenate([np.ravel(np.float64(part)) for part in made])
    flat = flat[np.isfinite(flat)]
    return float(np.linalg.norm(flat * (1 + np.arange(len(flat)) % 7 / 10)))


@pytest.mark.parametrize("name", CASES)
def test_whoever_changes_the_bytes_bumps_the_version(tmp_path, name):
    make, version, (known, expected) = CASES[name]
    assert version == known, f"{name} is of another version now: print its figure anew"
    assert figure(make(tmp_path)) == pytest.approx(expected, rel=2e-6), (
        f"{name} gives other values: bump its version"
    )


if __name__ == "__main__":
    import tempfile

    for case, (make, version, _) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            print(case, (version, float(f"{figure(make(Path(folder))):.8g}")))
