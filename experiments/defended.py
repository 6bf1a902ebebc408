"""What the experiments on poisoned data have in common: make the profiles, defend, train victims, measure."""

from dataclasses import asdict, dataclass, replace
from functools import reduce
from itertools import product
from pathlib import Path

from advrec_tf.data import Interactions
from advrec_tf.defenses import Defense, LowRank, Svm
from advrec_tf.errors import UserError
from advrec_tf.files import write_text
from advrec_tf.poisoning import Profiles
from advrec_tf.reporting import Results, plots, poisoning, poisoning_plots, read_results, recorded_run, victim_path
from advrec_tf.reporting.results import POISONED
from advrec_tf.training import PMFSettings, Settings, WRMFSettings
from advrec_tf.training.jobs import run as run_jobs
from experiments.attack_runs import Running, finished
from experiments.attacks import Plan

UNDEFENDED = ({"defense": "none"}, None)


@dataclass(frozen=True)
class Setting:
    """What an experiment on one data set depends on, beside its attacks and defences."""

    data: Interactions
    plans: dict[str, Plan]  # by group of targets
    victim: Settings
    epochs: int
    seeds: list[int]
    k: int
    output_dir: Path
    options: dict  # of single experiments
    dims: tuple[int, ...] = ()  # several lengths of the victim's embeddings, each a model of its own

    @property
    def victims(self) -> list[tuple[str, Settings]]:
        """The recommenders and their names in the results."""
        if not self.dims:
            return [(self.victim.name, self.victim)]
        return [(f"{self.victim.name}({dim})", replace(self.victim, embedding_dim=dim)) for dim in self.dims]

    @property
    def cache_dir(self) -> Path:
        """Where whatever several experiments need is kept."""
        return Path(self.output_dir) / "cache"


def key_of(setting: Setting, model: str, seed: int, group: str, attack: str, profiles: Profiles | None, defense: dict) -> dict:
    """The key columns of a row; defense: its name, and what it is set to."""
    digest = "" if profiles is None else profiles.digest()[:12]
    base = {"dataset": setting.data.name, "model": model, "epoch": setting.epochs, "attack": attack, "seed": seed, "k": setting.k}
    return base | {"profiles": digest, "group": group} | defense


def made(setting: Setting, attacks: list[str], how: Running) -> dict[tuple[str, str], Profiles]:
    """The profiles of every attack on every group of targets, made side by side where they are not on disk: (group, attack) -> Profiles."""
    plans = setting.plans
    parts = list(dict.fromkeys((group, part) for group in plans for attack in attacks for part in attack.split("+")))
    jobs = [{"data": setting.data, "name": part, "plan": plans[group], "k": setting.k, "progress": how.progress} for group, part in parts]
    single = {parts[index]: profiles for index, profiles in run_jobs("experiments.attacks:attack", jobs, how.workers, how.backend)}
    return {(group, attack): reduce(Profiles.merged, [single[group, part] for part in attack.split("+")]) for group in plans for attack in attacks}


def run_defended(
    name: str, setting: Setting, attacks: list[str], defenses: list[tuple[dict, Defense | None]], how: Running, given: tuple[Profiles, ...] = ()
) -> tuple[Path, dict[tuple[str, str], Profiles]]:  # fmt: skip
    """Trains and measures a victim for every group, attack ("none" is clean data), defence and seed that is not measured yet.

    given: profiles from files, attacks of their own.  Returns the folder of the results, and the profiles by (group, attack).
    """
    data = setting.data
    _check(setting, attacks, defenses, given)
    folder = Path(setting.output_dir) / name / data.name
    config = {"data": data.ratings_fingerprint, "k": setting.k, "attacks": {group: plan.identity for group, plan in setting.plans.items()}}
    config |= {setting.victim.name: asdict(setting.victim) | ({"embedding_dim": None} if setting.dims else {}), "epochs": setting.epochs}
    if defenses != [UNDEFENDED]:
        config |= {name: setting.options[name] for name in ("reconstruction", "ratings", "folds")}
    with recorded_run(folder, config, data.statistics(), how.flags, POISONED) as results:
        profiles = made(setting, [attack for attack in attacks if attack != "none"], how)
        profiles |= {(group, fakes.name): fakes for group in setting.plans for fakes in given}
        jobs = _jobs(setting, [*attacks, *(fakes.name for fakes in given)], profiles, defenses)
        prepare_full([(job["poisoned"], job["defense"]) for job in jobs if _is_missing(job, results, folder)], setting.cache_dir, how)
        measured(jobs, results, folder, setting.cache_dir, how)
    return folder, profiles


def _check(setting: Setting, attacks: list[str], defenses: list, given: tuple[Profiles, ...]) -> None:
    """Tells, before anything is trained, of profiles that do not fit and of ratings that are not there."""
    data = setting.data
    recommenders = [plan.options["recsys19"]["recommender"] for plan in setting.plans.values() if any("recsys19" in attack for attack in attacks)]
    probes_pmf = any(isinstance(recommender, PMFSettings) for recommender in recommenders)
    rebuilds_ratings = any(getattr(getattr(defense, "before", defense), "enter", "") == "ratings" for _, defense in defenses)
    if data.train_ratings is None and (isinstance(setting.victim, PMFSettings) or probes_pmf or rebuilds_ratings):
        raise UserError(f"{data.name} has no ratings, which PMF needs: choose another --dataset or recommender")
    names = [*attacks, *(fakes.name for fakes in given)]
    if len(set(names)) < len(names):
        raise UserError(f"two attacks have the same name among {', '.join(names)}: run them one by one, with an --output_dir each")
    for fakes in given:
        fakes.stacked_on(data)  # tells profiles of another catalogue
        if any(set(plan.targets) != set(fakes.targets) for plan in setting.plans.values()):
            raise UserError(f"the profiles {fakes.name} promote other items: add --targets={','.join(map(str, fakes.targets))}")


def _jobs(setting: Setting, attacks: list[str], profiles: dict, defenses: list) -> list[dict]:
    jobs = []
    for group, plan in setting.plans.items():
        for attack in attacks:
            fakes = profiles.get((group, attack))
            poisoned = setting.data if fakes is None else fakes.stacked_on(setting.data)
            for (model, settings), (named, defense) in product(setting.victims, defenses):
                if isinstance(defense, str):  # a kind of detector, which learns from the first attack's fakes
                    defense = Svm(
                        next(fakes for (own, _), fakes in profiles.items() if own == group), defense, named["rank"], folds=setting.options["folds"]
                    )
                if defense is not None and isinstance(settings, WRMFSettings):
                    settings = replace(settings, feedback=defense.feedback)
                common = {"data": setting.data, "poisoned": poisoned, "defense": defense, "settings": settings, "epochs": setting.epochs}
                for seed in setting.seeds:
                    key = key_of(setting, model, seed, group, attack, fakes, named)
                    jobs.append({**common, "targets": plan.targets, "seed": seed, "key": key})
    return jobs


def _is_missing(job: dict, results: Results, folder: Path) -> bool:
    return job["key"] not in results or not victim_path(folder, job["key"]).exists()


def measured(jobs: list[dict], results: Results, folder: Path, cache_dir: Path, how: Running) -> None:
    """Adds the rows of the jobs (arguments of `victims.measure`) that are not there yet."""
    left = [job for job in jobs if _is_missing(job, results, folder)]
    left = [{**job, "folder": folder, "cache_dir": cache_dir, "progress": how.progress} for job in left]
    for _, rows in finished("experiments.victims:measure", left, "victims", how, len(jobs) - len(left)):
        results.add(rows)


def prepare_full(asked: list[tuple[Interactions, Defense | None]], cache_dir: Path, how: Running) -> None:
    """Reconstructions of a whole matrix share one decomposition over their ranks, so they are made before the victims that need them."""
    ranks: dict[str, tuple[Interactions, set[int]]] = {}
    for data, defense in asked:
        if isinstance(defense, LowRank) and defense.patch is None and defense.enter != "ratings":
            ranks.setdefault(data.fingerprint, (data, set()))[1].add(defense.rank)
    jobs = [{"data": data, "ranks": tuple(sorted(found)), "cache_dir": cache_dir} for data, found in ranks.values()]
    for _ in run_jobs("advrec_tf.defenses.low_rank:prepare_full", jobs, how.workers, how.backend):
        pass


def first_attack(attacks: list[str]) -> str:
    """The one attack of an experiment that defends against one.  Raises UserError when several are asked for."""
    named = [attack for attack in attacks if attack != "none"]
    if len(named) != 1:
        raise UserError(f"this experiment takes one --attack, not {', '.join(named) or 'none'}")
    return named[0]


def report(folder: Path, title: str, name: str, more: str = "", metrics: tuple[str, ...] = poisoning.MAIN) -> None:
    """Renders report.md and <name>.png from the results of a table, and prints the report."""
    rows = read_results(folder)
    text = poisoning.defense_report(rows, title, metrics) + more
    write_text(folder / "report.md", text)
    plots.save_figure(poisoning_plots.defense_figure(poisoning.summary(rows)), folder / f"{name}.png")
    print(f"{text}\nKept in {folder}: results.csv, report.md, {name}.png")


def ratings_rebuilt(rank: int, options: dict, share: float = 100.0, keep_originals: bool = False) -> tuple[dict, LowRank]:
    """The key columns and the defence that rebuilds a rating matrix as a whole at one rank."""
    defense = LowRank(None, rank, "ratings", share=share, keep_originals=keep_originals, **options["ratings"])
    name = "new ratings" if keep_originals else "low_rank"
    return {"defense": name, "patch": "full", "rank": rank, "share": share}, defense


def report_curves(folder: Path, title: str, name: str, over: str) -> None:
    """Renders report.md and <name>.png from the results of a figure of PMF, and prints the report.  over: rank, dim or share"""
    rows = read_results(folder)
    text = poisoning.defense_report(rows, title, ("Recall", "Precision", "RMSE", "HR", "target_HR"))
    write_text(folder / "report.md", text)
    plots.save_figure(poisoning_plots.defense_curves_figure(poisoning.summary(rows), over), folder / f"{name}.png")
    print(f"{text}\nKept in {folder}: results.csv, report.md, {name}.png")
