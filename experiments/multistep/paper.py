"""Numbers that the multi-step perturbations paper publishes."""

import io

import pandas as pd

# The epochs whose weights the published Table 1 measures.
EPOCHS = {"ml-1m": {"BPR-MF": 377, "AMF": 1162}}
# LastFM, section 5.1.1: nDCG under PGD after L iterations, and how many times stronger than FGSM
# the text calls it.
PGD = {
    ("BPR-MF", 25): (0.0080, 15.1),
    ("BPR-MF", 40): (0.0060, 20.4),
    ("BPR-MF", 50): (0.0051, 23.8),
    ("AMF", 20): (0.1448, 1.48),
    ("AMF", 30): (0.1154, 1.86),
    ("AMF", 50): (0.1106, 1.94),
}
# LastFM: ICov of BPR-MF under BIM after L iterations.  The paper does not say after how many it is
# lowest.  Any number between 25 and 70, from which coverage is destroyed, serves.
ICOV = {0: 6220, 25: 10928, 26: 1948}

CHARACTERISTICS_DATA = "ml-1m"  # of the numbers that section 5.2 gives
LOSSES = {0.0507: 43.79, 0.1387: 28.90}  # density -> relative nDCG loss (%) of BPR-MF under PGD
SLOPES = {"BPR-MF": -96.10, "AMF": -3.65}  # of the relative nDCG loss under PGD over density

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
    """Return Table 1 in long form: model, metric, dataset, column, published.

    column: initial, fgsm, bim or pgd.
    """
    wide = pd.read_csv(io.StringIO(_TABLE1))
    return wide.melt(["model", "metric", "dataset"], var_name="column", value_name="published")
