"""The numbers printed in the papers, to be shown beside ours and never in place of them."""

import io

import pandas as pd

# The epochs whose weights the published Table 1 of the multi-step perturbations paper measures (ML-1M).
EPOCHS = {"ml-1m": {"BPR-MF": 377, "AMF": 1162}}

_TABLE1 = """model,metric,dataset,initial,fgsm,bim,pgd
BPR-MF,PR,lastfm,0.0310,0.0211,0.0019,0.0018
BPR-MF,RE,lastfm,0.3102,0.2115,0.0194,0.0177
BPR-MF,nDCG,lastfm,0.2033,0.1216,0.0111,0.0100
BPR-MF,EFD,lastfm,0.5144,0.3069,0.0313,0.0284
BPR-MF,SE,lastfm,11.3454,11.1359,10.1703,10.2141
BPR-MF,ICov,lastfm,6220,5645,4352,4428
AMF,PR,lastfm,0.0357,0.0316,0.0164,0.0167
AMF,RE,lastfm,0.3565,0.3165,0.1644,0.1667
AMF,nDCG,lastfm,0.2421,0.2147,0.1010,0.1030
AMF,EFD,lastfm,0.5987,0.5184,0.2303,0.2352
AMF,SE,lastfm,9.9758,8.8980,7.1871,7.1993
AMF,ICov,lastfm,3847,2708,2315,2321
BPR-MF,PR,ml-1m,0.0088,0.0074,0.0035,0.0035
BPR-MF,RE,ml-1m,0.0884,0.0740,0.0353,0.0353
BPR-MF,nDCG,ml-1m,0.0447,0.0368,0.0174,0.0172
BPR-MF,EFD,ml-1m,0.0977,0.0791,0.0355,0.0353
BPR-MF,SE,ml-1m,9.6306,9.1582,7.4000,7.4457
BPR-MF,ICov,ml-1m,2247,2433,1189,1213
AMF,PR,ml-1m,0.0092,0.0085,0.0048,0.0048
AMF,RE,ml-1m,0.0922,0.0846,0.0482,0.0484
AMF,nDCG,ml-1m,0.0462,0.0419,0.0228,0.0231
AMF,EFD,ml-1m,0.0971,0.0853,0.0442,0.0447
AMF,SE,ml-1m,8.3049,7.4123,6.2958,6.2984
AMF,ICov,ml-1m,1486,1169,1066,1077
"""


def table1() -> pd.DataFrame:
    """Table 1 of the multi-step perturbations paper: model, metric, dataset, column (initial, fgsm, bim, pgd), published."""
    wide = pd.read_csv(io.StringIO(_TABLE1))
    return wide.melt(["model", "metric", "dataset"], var_name="column", value_name="published")


# The low-rank defences paper.  Tables I and II: Gowalla, WRMF(SGD), head targets, @50.  Table III: MovieLens-100K, @10.
_LOWRANK_GOWALLA = """defense,patch,rank,kernel,components,attack,Recall,HR,target_Recall,target_HR
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
_LOWRANK_ML100K = """defense,patch,rank,kernel,components,attack,HR,target_HR
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
    "\nThe printed attacked row contradicts itself: with five targets HR@50 cannot exceed 5 x target Recall@50, but .1415 > 5 x .0261 = .1305. "
    "Nor does the printed [100, 90] lower target Recall (.0261 to .0260), whose HR it lowers by a fifth.\n"
)


def lowrank() -> pd.DataFrame:
    """Tables I to III of the low-rank defences paper: dataset, model, group, k, what defends (five columns), attack, metric, published."""
    tables, texts = [], {"patch": str, "kernel": str}
    for text, dataset, k in ((_LOWRANK_GOWALLA, "gowalla", 50), (_LOWRANK_ML100K, "ml-100k", 10)):
        wide = pd.read_csv(io.StringIO(text), dtype=texts).fillna(dict.fromkeys(texts, ""))
        wide = wide.assign(dataset=dataset, model="WRMF", group="head", k=k).astype(
            {"rank": float, "components": float}
        )
        keys = [
            "dataset",
            "model",
            "group",
            "k",
            "defense",
            "patch",
            "rank",
            "kernel",
            "components",
            "attack",
        ]
        tables.append(wide.melt(keys, var_name="metric", value_name="published"))
    return pd.concat(tables, ignore_index=True)
