"""Numbers that the low-rank defences paper publishes, and the legend of its measures."""

import io

import pandas as pd

TARGET_MEASURES = (
    "HR: share of users with a hit; target_HR: share of users who are shown a target; "
    "target_Recall: mean share of the targets they are shown; "
    "target_rank: mean rank of a target among the items a user does not know.\n"
)

# Tables I and II: Gowalla, WRMF(SGD), head targets, @50.  Table III: MovieLens-100K, @10.
_GOWALLA = """defense,patch,rank,kernel,components,attack,Recall,HR,target_Recall,target_HR
none,,,,,none,0.2895,0.7590,0.0207,0.1021
none,,,,,recsys20,0.2884,0.7580,0.0261,0.1415
svm,,,poly2,20,none,0.2887,0.7580,0.0203,0.1008
svm,,,poly2,20,recsys20,0.2898,0.7592,0.0252,0.1095
low_rank,100,90,,,none,0.2893,0.7580,0.0241,0.1105
low_rank,100,90,,,recsys20,0.2889,0.7612,0.0260,0.1138
low_rank,300,80,,,none,0.2855,0.7515,0.0216,0.0987
low_rank,300,80,,,recsys20,0.2838,0.7514,0.0253,0.1091
low_rank,150,20,,,none,0.2609,0.7148,0.0238,0.1092
low_rank,150,20,,,recsys20,0.2601,0.7168,0.0236,0.1004
low_rank,full,3500,,,none,0.2500,0.7117,0.0209,0.0963
low_rank,full,3500,,,recsys20,0.2468,0.7090,0.0236,0.1029
low_rank,full,5000,,,none,0.2866,0.7563,0.0231,0.1049
low_rank,full,5000,,,recsys20,0.2866,0.7582,0.0278,0.1226
"""
_ML100K = """defense,patch,rank,kernel,components,attack,HR,target_HR
none,,,,,none,0.8293,0.1432
none,,,,,recsys19,0.8271,0.1505
none,,,,,recsys20,0.8346,0.1824
none,,,,,recsys19+recsys20,0.8452,0.2354
low_rank,200,50,,,none,0.8006,0.1697
low_rank,200,50,,,recsys19,0.8165,0.1241
low_rank,200,50,,,recsys20,0.8250,0.1654
low_rank,200,50,,,recsys19+recsys20,0.8293,0.1569
"""
CONTRADICTION = (
    "\nThe printed attacked row contradicts itself: with five targets HR@50 cannot exceed "
    "5 x target Recall@50, but .1415 > 5 x .0261 = .1305. Nor does the printed [100, 90] lower "
    "target Recall (.0261 to .0260), whose HR it lowers by a fifth.\n"
)
_KEYS = ("dataset", "model", "group", "k")
_DEFENSE = ("defense", "patch", "rank", "kernel", "components")


def tables() -> pd.DataFrame:
    """Return Tables I to III in long form: one row per published value.

    Columns: dataset, model, group, k, defense, patch, rank, kernel, components, attack, metric,
    published.
    """
    long, texts = [], {"patch": str, "kernel": str}
    for text, dataset, k in ((_GOWALLA, "gowalla", 50), (_ML100K, "ml-100k", 10)):
        wide = pd.read_csv(io.StringIO(text), dtype=texts).fillna(dict.fromkeys(texts, ""))
        wide = wide.assign(dataset=dataset, model="WRMF", group="head", k=k)
        wide = wide.astype({"rank": float, "components": float})
        keys = [*_KEYS, *_DEFENSE, "attack"]
        long.append(wide.melt(keys, var_name="metric", value_name="published"))
    return pd.concat(long, ignore_index=True)
