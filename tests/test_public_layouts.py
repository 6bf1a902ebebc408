"""Forty further files: layouts of public data sets and of other programs, beside pandas.

Those of RecBole, Cornac, LensKit, MovieLens, Amazon, Yelp, Book-Crossing, Last.fm, RetailRocket and
Steam follow their documentation.
"""

import io

import pandas as pd
import pytest

from advrec_tf.data.tables import read_table
from advrec_tf.errors import UserError

UIRT = ["user", "item", "rating", "timestamp"]
# name -> text, what pandas is told, and its columns of user, item, rating and time
GOOD = {
    "recbole.inter": (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3.0\t881250949\n",
        {"sep": "\t"},
        ["user_id:token", "item_id:token", "rating:float", "timestamp:float"],
    ),
    "recbole_amazon.inter": (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "A1YS9MDZP93857\t0006428320\t3.0\t1394496000\n",
        {"sep": "\t"},
        ["user_id:token", "item_id:token", "rating:float", "timestamp:float"],
    ),
    "cornac_uir.txt": (
        "76\t93\t5\n76\t257\t5\n2\t93\t1\n",
        {"sep": "\t", "names": UIRT[:3]},
        UIRT[:3],
    ),
    "cornac_uirt.csv": ("76,93,5,16\n76,257,4,21\n", {"names": UIRT}, UIRT),
    "lenskit.csv": (
        "user_id,item_id,rating,timestamp\n1,31,2.5,1260759144\n1,1029,3.0,1260759179\n",
        {},
        ["user_id", "item_id", "rating", "timestamp"],
    ),
    "movielens_latest.csv": (
        "userId,movieId,rating,timestamp\n1,2,3.5,1112486027\n1,29,3.5,1112484676\n",
        {},
        ["userId", "movieId", "rating", "timestamp"],
    ),
    "movielens_10m.dat": (
        "1::122::5::838985046\n1::185::5::838983525\n",
        {"sep": "::", "names": UIRT, "engine": "python"},
        UIRT,
    ),
    "movielens_100k.data": (
        "196\t242\t3\t881250949\n186\t302\t3\t891717742\n",
        {"sep": "\t", "names": UIRT},
        UIRT,
    ),
    "amazon_ratings.csv": (
        "A2HD75EMZR8QLN,0700099867,1.0,1341792000\nA3UR8NLLY1ZHCX,0700099867,5.0,1382659200\n",
        {"names": UIRT},
        UIRT,
    ),
    "book_crossing.csv": (
        '"User-ID";"ISBN";"Book-Rating"\n"276725";"034545104X";"0"\n"276726";"0155061224";"5"\n',
        {"sep": ";"},
        ["User-ID", "ISBN", "Book-Rating"],
    ),
    "lastfm_hetrec.dat": (
        "userID\tartistID\tweight\n2\t51\t13883\n2\t52\t11690\n",
        {"sep": "\t"},
        ["userID", "artistID", "weight"],
    ),
    "retailrocket.csv": (
        "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n",
        {},
        ["visitorid", "itemid", None, "timestamp"],
    ),
    "goodreads.csv": (
        "user_id,book_id,is_read,rating,is_reviewed\n0,948,1,5,0\n0,947,1,5,1\n",
        {},
        ["user_id", "book_id", "rating"],
    ),
    "netflix_flat.csv": (
        "1488844,1,3,2005-09-06\n822109,1,5,2005-05-13\n",
        {"names": UIRT, "parse_dates": ["timestamp"]},
        UIRT,
    ),
    "yahoo_r3.txt": ("1\t14\t5\n1\t35\t1\n2\t46\t1\n", {"sep": "\t", "names": UIRT[:3]}, UIRT[:3]),
    "hm.csv": (
        "t_dat,customer_id,article_id,price,sales_channel_id\n2018-09-20,00f8,0663713001,0.05,2\n",
        {},
        ["customer_id", "article_id"],
    ),
    "douban.tsv": (
        "UserId\tItemId\tRating\tTimestamp\n0\t0\t4\t1290758400.0\n0\t1\t3\t1278086400.0\n",
        {"sep": "\t"},
        ["UserId", "ItemId", "Rating", "Timestamp"],
    ),
    "kuairec.csv": (
        "user_id,video_id,play_duration\n14,148,4381\n14,183,11635\n",
        {},
        ["user_id", "video_id"],
    ),
    "index_column.csv": (
        ",user_id,item_id,rating\n0,5,7,3\n1,5,8,4\n",
        {},
        ["user_id", "item_id", "rating"],
    ),
    "all_quoted.csv": ('"user","item"\r\n"5","7"\r\n"5","8"\r\n', {}, ["user", "item"]),
    "capitals.csv": ("USER,ITEM\nann,X\nann,Y\n", {}, ["USER", "ITEM"]),
    "other_letters.csv": ("user,item\n李,《活着》\n李,😀\nЖ,x\n", {}, ["user", "item"]),
    "uuids.csv": (
        "3f2b,0b9c-11\n3f2b,0b9c-12\n77aa,0b9c-11\n",
        {"names": UIRT[:2]},
        UIRT[:2],
    ),
    "long_ids.csv": (
        "user,item\n" + "u" * 5000 + ",i\n" + "u" * 5000 + ",j\n",
        {},
        ["user", "item"],
    ),
    "escaped_quotes.csv": ('user,item\n1,"say ""hi"", twice"\n1,plain\n', {}, ["user", "item"]),
    "line_breaks.csv": ('user,item\n1,"two\nlines"\n1,one\n', {}, ["user", "item"]),
    "scientific.csv": ("user,item,rating\n1,2,5e-1\n1,3,1.5E1\n", {}, ["user", "item", "rating"]),
    "spaces_inside.tsv": (
        "ann lee\tred shoe\nann lee\tblue shoe\n",
        {"sep": "\t", "names": UIRT[:2]},
        UIRT[:2],
    ),
    "blank_times.tsv": ("1\t2\t3\t\n1\t3\t3\t7\n", {"sep": "\t", "names": UIRT}, UIRT),
    "no_end.csv": ("user,item\n1,2\n1,3", {}, ["user", "item"]),
    "empty_lines_at_end.csv": ("user,item\n1,2\n1,3\n\n\n", {}, ["user", "item"]),
    "bars_and_words.txt": (
        "user|item|score\nann|x|1\nann|y|2\n",
        {"sep": "|"},
        ["user", "item", "score"],
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_it_is_read_as_pandas_does_with_the_right_arguments(tmp_path, name):
    text, how, columns = GOOD[name]
    path = tmp_path / name
    path.write_bytes(text.encode())
    frame = read_table(path)
    expected = pd.read_csv(io.BytesIO(text.encode()), dtype=str, keep_default_na=False, **how)
    fields = dict(zip(UIRT, columns))
    assert set(frame.columns) == {field for field, column in fields.items() if column}
    for field in ("user", "item"):
        assert frame[field].astype(str).tolist() == expected[fields[field]].str.strip().tolist()
    if fields.get("rating"):
        assert frame["rating"].tolist() == expected[fields["rating"]].astype(float).tolist()
    if fields.get("timestamp"):
        times = expected[fields["timestamp"]]
        if times.dtype.kind == "M":
            times = times.astype("datetime64[s]").astype("int64")
        wanted = pd.to_numeric(times).tolist()
        assert frame["timestamp"].fillna(-1).tolist() == pd.Series(wanted).fillna(-1).tolist()


SAY = "say --columns"
REFUSED = {
    "amazon_2023.jsonl": (
        '{"user_id": "A", "asin": "B0", "parent_asin": "B1", "timestamp": 15886877}\n',
        f"2 columns could be the item: asin, parent_asin; {SAY}",
    ),
    "lastfm_360k.tsv": (
        "00000c28\t3bd73256-3905\tblowtorch\t2137\n00000c28\tf2fb0ff0-5679\tdie Ärzte\t1099\n",
        "line 1: the rating 'blowtorch' is not a number: if this is another column, say",
    ),
    "lastfm_1k.tsv": (
        "user_000001\t2009-05-04T23:08:57Z\tf1b1cf71\tDeep Dish\n"
        "user_000001\t2009-05-04T13:54:10Z\ta7f7df4a\t坂本龍一\n",
        f"column 2 holds times, and no items: {SAY}",
    ),
    "gowalla_checkins.txt": (
        "0\t2010-10-19T23:55:27Z\t30.2\t-97.7\t22847\n0\t2010-10-18T22:17:43Z\t30.2\t-97.7\t42\n",
        f"column 2 holds times, and no items: {SAY}",
    ),
    "steam_200k.csv": (
        '151603712,"The Elder Scrolls V Skyrim",purchase,1.0,0\n151603712,"Fallout",play,87.0,0\n',
        "line 1: the rating 'purchase' is not a number",
    ),
    "taobao.csv": (
        "1,2268318,2520377,pv,1511544070\n",
        "line 1: the timestamp 'pv' is not a number",
    ),
    "netflix.txt": ("1:\n1488844,3,2005-09-06\n", "line 1: a header without a user and an item"),
    "instacart.csv": (
        "order_id,product_id,reordered\n2,33120,1\n",
        "a header without a user and an it",
    ),
    "jester.tsv": ("1\t5\t0.219\n1\t7\t-9.281\n", "line 2: the rating '-9.281' is negative"),
    "decimal_commas.csv": (
        "user;item;rating\n1;2;4,5\n",
        "line 2: the rating '4,5' is not a number",
    ),
    "trailing_commas.csv": ("1,2,\n1,3,\n", "line 1: the rating '' is not a number"),
    "excel_first_line.csv": ("sep=;\nuser;item\n1;2\n", "excel_first_line.csv"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_one_line_that_says_the_way_on(tmp_path, name):
    text, message = REFUSED[name]
    path = tmp_path / name
    path.write_bytes(text.encode())
    with pytest.raises(UserError) as error:
        read_table(path)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_yelp_and_amazon_reviews_are_read_by_name(tmp_path):
    yelp = tmp_path / "yelp.json"
    yelp.write_text(
        '{"review_id": "K", "user_id": "m", "business_id": "X", "stars": 3.0, "useful": 0, '
        '"date": "2018-07-07 22:09:11"}\n'
    )
    (row,) = read_table(yelp).to_dict("records")
    seconds = pd.Timestamp("2018-07-07 22:09:11").timestamp()
    assert row == {"user": "m", "item": "X", "rating": 3.0, "timestamp": seconds}
    amazon = tmp_path / "amazon.json"
    amazon.write_text(
        '{"overall": 4.0, "vote": "3", "verified": true, "reviewTime": "09 13, 2009", '
        '"reviewerID": "AUI6", "asin": "0151004714", "style": {"Format:": " Hardcover"}, '
        '"unixReviewTime": 1252800000}\n'
    )
    (row,) = read_table(amazon).to_dict("records")
    assert row == {"user": "AUI6", "item": "0151004714", "rating": 4.0, "timestamp": 1252800000}
