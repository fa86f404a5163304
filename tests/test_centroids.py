from math import asin, cos, radians, sin, sqrt

import pytest

from gslb.routing.centroids import CENTRES

ISO_3166_1 = """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ
    BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ
    DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU
    ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ
    LA LB LC LI LK LR LS LT LU LV LY
    MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ
    NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY
    QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ
    TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ
    VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""

# Boxes as (south, north, west, east) in degrees, drawn by eye around whole continents.
CONTINENTS = {
    (-36, 38, -26, 58): """
        AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA
        MG ML MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW
    """,
    (34, 79, -25, 56): """
        AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI
        LT LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK
    """,
    (-11, 50, 26, 142): """
        AE AF AM AZ BD BH BN BT CN GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN
        MO MV MY NP OM PH PK PS QA SA SG SY TH TJ TL TM TR TW UZ VN YE
    """,
    (7, 66, -125, -50): """
        AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI
        PA PM PR SV SX TC TT US VC VG VI
    """,
    (-56, 13, -82, -34): "AR BO BR CL CO EC FK GF GY PE PY SR UY VE",
    (-48, 20, 95, 180): "AU CC CX FJ FM GU KI MH MP NC NF NR NZ PG PW SB TV UM VU",
    (-26, 0, -180, -130): "AS CK NU PF PN TK TO WF WS",
    (-90, -45, -180, 180): "AQ BV GS HM TF",
}


def distance_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    lat1, lon1, lat2, lon2 = map(radians, (*one, *other))
    h = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return 2 * 6371 * asin(sqrt(h))


def test_every_country_of_iso_3166_and_kosovo_has_a_centre():
    codes = ISO_3166_1.split()

    assert len(codes) == 249
    assert set(CENTRES) == {*codes, "XK"}


def test_every_centre_is_a_place_on_earth_to_one_decimal():
    for code, (latitude, longitude) in CENTRES.items():
        assert -90 <= latitude <= 90, code
        assert -180 <= longitude <= 180, code
        assert (latitude, longitude) == (round(latitude, 1), round(longitude, 1)), code


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        CENTRES["XX"] = (0.0, 0.0)


@pytest.mark.parametrize(("box", "codes"), CONTINENTS.items())
def test_every_country_lies_on_its_continent(box, codes):
    south, north, west, east = box

    astray = {
        code: CENTRES[code]
        for code in codes.split()
        if not (south <= CENTRES[code][0] <= north and west <= CENTRES[code][1] <= east)
    }

    assert astray == {}


def test_the_continents_of_this_test_hold_every_country_once():
    listed = " ".join(CONTINENTS.values()).split()

    assert sorted(listed) == sorted(CENTRES)


@pytest.mark.parametrize(
    ("code", "place", "within_km"),
    [
        ("AT", (47.8, 14.5), 150),
        ("AU", (-33.9, 151.2), 700),
        ("BR", (-19.9, -43.9), 500),
        ("CA", (43.7, -79.4), 700),
        ("CH", (46.9, 7.4), 100),
        ("CN", (30.6, 114.3), 600),
        ("DE", (50.1, 8.7), 200),
        ("EG", (30.0, 31.2), 100),
        ("FR", (47.9, 1.9), 250),
        ("GB", (52.5, -1.9), 100),
        ("IN", (21.1, 79.1), 350),
        ("JP", (35.2, 136.9), 150),
        ("NG", (9.1, 7.5), 150),
        ("NZ", (-37.8, 175.3), 250),
        ("RU", (55.8, 49.1), 350),
        ("SG", (1.3, 103.8), 30),
        ("US", (38.6, -90.2), 350),
        ("ZA", (-26.2, 28.0), 300),
    ],
)
def test_a_centre_is_near_a_town_that_is_known_to_be_central(code, place, within_km):
    assert distance_km(CENTRES[code], place) < within_km


@pytest.mark.parametrize(
    ("one", "other", "most_km"),
    [
        ("IT", "VA", 150),
        ("IT", "SM", 150),
        ("MF", "SX", 50),
        ("HK", "MO", 100),
        ("AT", "LI", 450),
        ("GB", "IE", 450),
        ("HT", "DO", 300),
        ("BE", "LU", 200),
        ("ES", "PT", 500),
        ("CD", "CG", 950),
        ("SA", "QA", 800),
        ("RS", "XK", 250),
        ("CL", "AR", 1100),
    ],
)
def test_neighbours_are_near_each_other(one, other, most_km):
    assert distance_km(CENTRES[one], CENTRES[other]) < most_km
