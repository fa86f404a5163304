"""Where each country's people are, roughly: one point for each ISO 3166-1 alpha-2 code.

It stands in for a location where a database names only the country.  A point is meant to
be where most of the people live (so Canada's is in southern Ontario and Russia's west of
the Urals); for small or evenly settled countries that is simply the middle, and for places
without a population their main island or station.  Latitude and longitude in degrees, north
and east positive, to one decimal.

Written by hand, and rough: tens of kilometres off for small countries, some hundreds for
large ones.  That orders regions on different continents well and two regions inside one
large country badly; whoever needs the latter needs a database with locations.

The codes are those of ISO 3166-1, and XK, which databases use for Kosovo.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

CENTRES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "AD": (42.5, 1.5),  # Andorra
        "AE": (25.0, 55.1),  # United Arab Emirates
        "AF": (34.4, 68.3),  # Afghanistan
        "AG": (17.1, -61.8),  # Antigua and Barbuda
        "AI": (18.2, -63.1),  # Anguilla
        "AL": (41.2, 19.9),  # Albania
        "AM": (40.2, 44.5),  # Armenia
        "AO": (-10.5, 14.8),  # Angola
        "AQ": (-77.8, 166.7),  # Antarctica: McMurdo Station
        "AR": (-33.8, -60.6),  # Argentina
        "AS": (-14.3, -170.7),  # American Samoa
        "AT": (47.8, 14.9),  # Austria
        "AU": (-33.5, 147.0),  # Australia
        "AW": (12.5, -70.0),  # Aruba
        "AX": (60.1, 19.9),  # Åland
        "AZ": (40.4, 48.6),  # Azerbaijan
        "BA": (44.2, 17.9),  # Bosnia and Herzegovina
        "BB": (13.1, -59.6),  # Barbados
        "BD": (23.8, 90.4),  # Bangladesh
        "BE": (50.9, 4.4),  # Belgium
        "BF": (12.3, -1.6),  # Burkina Faso
        "BG": (42.7, 25.1),  # Bulgaria
        "BH": (26.2, 50.6),  # Bahrain
        "BI": (-3.3, 29.8),  # Burundi
        "BJ": (7.6, 2.4),  # Benin
        "BL": (17.9, -62.8),  # Saint Barthélemy
        "BM": (32.3, -64.8),  # Bermuda
        "BN": (4.9, 114.9),  # Brunei
        "BO": (-17.2, -66.0),  # Bolivia
        "BQ": (12.2, -68.3),  # Bonaire, Sint Eustatius and Saba: Bonaire
        "BR": (-18.6, -45.5),  # Brazil
        "BS": (25.1, -77.3),  # Bahamas
        "BT": (27.3, 89.9),  # Bhutan
        "BV": (-54.4, 3.4),  # Bouvet Island
        "BW": (-23.6, 26.1),  # Botswana
        "BY": (53.6, 27.9),  # Belarus
        "BZ": (17.4, -88.5),  # Belize
        "CA": (45.5, -84.0),  # Canada
        "CC": (-12.2, 96.8),  # Cocos (Keeling) Islands
        "CD": (-3.9, 22.9),  # Democratic Republic of the Congo
        "CF": (5.0, 18.6),  # Central African Republic
        "CG": (-3.7, 14.7),  # Republic of the Congo
        "CH": (47.1, 8.0),  # Switzerland
        "CI": (6.6, -5.3),  # Côte d'Ivoire
        "CK": (-21.2, -159.8),  # Cook Islands
        "CL": (-34.3, -71.2),  # Chile
        "CM": (5.2, 11.4),  # Cameroon
        "CN": (32.7, 113.0),  # China
        "CO": (5.2, -74.8),  # Colombia
        "CR": (9.9, -84.1),  # Costa Rica
        "CU": (22.0, -79.6),  # Cuba
        "CV": (15.1, -23.6),  # Cabo Verde
        "CW": (12.2, -69.0),  # Curaçao
        "CX": (-10.4, 105.7),  # Christmas Island
        "CY": (35.0, 33.2),  # Cyprus
        "CZ": (49.8, 15.6),  # Czechia
        "DE": (50.9, 9.7),  # Germany
        "DJ": (11.6, 43.0),  # Djibouti
        "DK": (55.8, 10.8),  # Denmark
        "DM": (15.4, -61.4),  # Dominica
        "DO": (18.8, -70.2),  # Dominican Republic
        "DZ": (35.6, 3.2),  # Algeria
        "EC": (-1.5, -79.3),  # Ecuador
        "EE": (59.0, 25.4),  # Estonia
        "EG": (29.9, 31.2),  # Egypt
        "EH": (26.6, -13.1),  # Western Sahara
        "ER": (15.3, 38.8),  # Eritrea
        "ES": (39.9, -3.3),  # Spain
        "ET": (9.0, 38.9),  # Ethiopia
        "FI": (61.6, 24.8),  # Finland
        "FJ": (-17.9, 178.1),  # Fiji
        "FK": (-51.7, -58.0),  # Falkland Islands
        "FM": (7.0, 155.5),  # Micronesia
        "FO": (62.1, -6.9),  # Faroe Islands
        "FR": (47.0, 2.6),  # France
        "GA": (-0.4, 10.2),  # Gabon
        "GB": (52.6, -1.7),  # United Kingdom
        "GD": (12.1, -61.7),  # Grenada
        "GE": (41.9, 43.9),  # Georgia
        "GF": (4.9, -52.6),  # French Guiana
        "GG": (49.5, -2.6),  # Guernsey
        "GH": (6.6, -1.1),  # Ghana
        "GI": (36.1, -5.4),  # Gibraltar
        "GL": (65.5, -51.5),  # Greenland
        "GM": (13.4, -16.2),  # Gambia
        "GN": (10.1, -11.5),  # Guinea
        "GP": (16.2, -61.5),  # Guadeloupe
        "GQ": (2.6, 9.8),  # Equatorial Guinea
        "GR": (38.6, 23.4),  # Greece
        "GS": (-54.3, -36.5),  # South Georgia and the South Sandwich Islands
        "GT": (14.8, -90.8),  # Guatemala
        "GU": (13.5, 144.8),  # Guam
        "GW": (12.0, -15.4),  # Guinea-Bissau
        "GY": (6.6, -58.0),  # Guyana
        "HK": (22.3, 114.2),  # Hong Kong
        "HM": (-53.1, 73.5),  # Heard Island and McDonald Islands
        "HN": (14.8, -87.2),  # Honduras
        "HR": (45.3, 16.2),  # Croatia
        "HT": (18.8, -72.5),  # Haiti
        "HU": (47.3, 19.3),  # Hungary
        "ID": (-6.4, 109.8),  # Indonesia
        "IE": (53.2, -7.0),  # Ireland
        "IL": (32.1, 34.9),  # Israel
        "IM": (54.2, -4.5),  # Isle of Man
        "IN": (23.0, 79.7),  # India
        "IO": (-7.3, 72.4),  # British Indian Ocean Territory
        "IQ": (33.3, 44.2),  # Iraq
        "IR": (34.4, 51.3),  # Iran
        "IS": (64.3, -21.3),  # Iceland
        "IT": (42.9, 12.2),  # Italy
        "JE": (49.2, -2.1),  # Jersey
        "JM": (18.1, -77.1),  # Jamaica
        "JO": (32.0, 36.0),  # Jordan
        "JP": (35.6, 137.2),  # Japan
        "KE": (-0.6, 36.6),  # Kenya
        "KG": (41.9, 73.9),  # Kyrgyzstan
        "KH": (11.9, 104.7),  # Cambodia
        "KI": (1.4, 173.0),  # Kiribati: Tarawa
        "KM": (-11.9, 43.7),  # Comoros
        "KN": (17.3, -62.7),  # Saint Kitts and Nevis
        "KP": (39.4, 126.6),  # North Korea
        "KR": (36.7, 127.5),  # South Korea
        "KW": (29.3, 48.0),  # Kuwait
        "KY": (19.3, -81.3),  # Cayman Islands
        "KZ": (47.2, 71.6),  # Kazakhstan
        "LA": (17.6, 103.5),  # Laos
        "LB": (33.9, 35.6),  # Lebanon
        "LC": (13.9, -61.0),  # Saint Lucia
        "LI": (47.1, 9.5),  # Liechtenstein
        "LK": (7.1, 80.4),  # Sri Lanka
        "LR": (6.6, -10.1),  # Liberia
        "LS": (-29.4, 27.9),  # Lesotho
        "LT": (55.1, 24.2),  # Lithuania
        "LU": (49.6, 6.1),  # Luxembourg
        "LV": (56.9, 24.5),  # Latvia
        "LY": (32.1, 15.3),  # Libya
        "MA": (33.1, -6.7),  # Morocco
        "MC": (43.7, 7.4),  # Monaco
        "MD": (47.2, 28.7),  # Moldova
        "ME": (42.5, 19.3),  # Montenegro
        "MF": (18.1, -63.1),  # Saint Martin
        "MG": (-19.1, 47.1),  # Madagascar
        "MH": (7.1, 171.2),  # Marshall Islands
        "MK": (41.8, 21.5),  # North Macedonia
        "ML": (13.2, -6.6),  # Mali
        "MM": (19.3, 96.0),  # Myanmar
        "MN": (47.9, 105.5),  # Mongolia
        "MO": (22.2, 113.5),  # Macao
        "MP": (15.2, 145.7),  # Northern Mariana Islands
        "MQ": (14.6, -61.0),  # Martinique
        "MR": (17.4, -14.0),  # Mauritania
        "MS": (16.8, -62.2),  # Montserrat
        "MT": (35.9, 14.5),  # Malta
        "MU": (-20.2, 57.5),  # Mauritius
        "MV": (4.0, 73.5),  # Maldives
        "MW": (-14.3, 34.5),  # Malawi
        "MX": (20.7, -100.2),  # Mexico
        "MY": (3.6, 103.4),  # Malaysia
        "MZ": (-18.4, 35.9),  # Mozambique
        "NA": (-20.2, 16.6),  # Namibia
        "NC": (-22.1, 166.4),  # New Caledonia
        "NE": (13.9, 6.0),  # Niger
        "NF": (-29.0, 167.9),  # Norfolk Island
        "NG": (8.9, 6.9),  # Nigeria
        "NI": (12.5, -86.0),  # Nicaragua
        "NL": (52.1, 5.2),  # Netherlands
        "NO": (60.8, 9.6),  # Norway
        "NP": (27.6, 84.7),  # Nepal
        "NR": (-0.5, 166.9),  # Nauru
        "NU": (-19.1, -169.9),  # Niue
        "NZ": (-39.0, 174.9),  # New Zealand
        "OM": (23.1, 57.7),  # Oman
        "PA": (8.8, -80.2),  # Panama
        "PE": (-10.3, -76.0),  # Peru
        "PF": (-17.5, -149.6),  # French Polynesia: Tahiti
        "PG": (-6.4, 145.9),  # Papua New Guinea
        "PH": (13.0, 122.1),  # Philippines
        "PK": (30.7, 71.8),  # Pakistan
        "PL": (51.8, 19.2),  # Poland
        "PM": (46.8, -56.2),  # Saint Pierre and Miquelon
        "PN": (-25.1, -130.1),  # Pitcairn
        "PR": (18.3, -66.3),  # Puerto Rico
        "PS": (31.8, 34.9),  # Palestine
        "PT": (39.7, -8.7),  # Portugal
        "PW": (7.4, 134.5),  # Palau
        "PY": (-25.4, -57.0),  # Paraguay
        "QA": (25.3, 51.4),  # Qatar
        "RE": (-21.1, 55.5),  # Réunion
        "RO": (45.6, 25.6),  # Romania
        "RS": (44.3, 20.6),  # Serbia
        "RU": (54.9, 52.2),  # Russia
        "RW": (-2.0, 30.0),  # Rwanda
        "SA": (24.0, 44.3),  # Saudi Arabia
        "SB": (-9.2, 160.0),  # Solomon Islands
        "SC": (-4.6, 55.5),  # Seychelles
        "SD": (14.7, 32.0),  # Sudan
        "SE": (58.8, 15.3),  # Sweden
        "SG": (1.4, 103.8),  # Singapore
        "SH": (-16.0, -5.7),  # Saint Helena, Ascension and Tristan da Cunha
        "SI": (46.2, 14.8),  # Slovenia
        "SJ": (78.2, 15.6),  # Svalbard and Jan Mayen
        "SK": (48.6, 19.2),  # Slovakia
        "SL": (8.4, -12.2),  # Sierra Leone
        "SM": (43.9, 12.5),  # San Marino
        "SN": (14.5, -16.2),  # Senegal
        "SO": (4.6, 45.1),  # Somalia
        "SR": (5.8, -55.2),  # Suriname
        "SS": (7.1, 30.4),  # South Sudan
        "ST": (0.3, 6.7),  # São Tomé and Príncipe
        "SV": (13.7, -89.0),  # El Salvador
        "SX": (18.0, -63.1),  # Sint Maarten
        "SY": (35.0, 37.1),  # Syria
        "SZ": (-26.5, 31.4),  # Eswatini
        "TC": (21.8, -72.2),  # Turks and Caicos Islands
        "TD": (11.1, 17.1),  # Chad
        "TF": (-49.4, 70.2),  # French Southern Territories: Kerguelen
        "TG": (7.7, 1.1),  # Togo
        "TH": (14.8, 101.0),  # Thailand
        "TJ": (38.6, 69.4),  # Tajikistan
        "TK": (-9.2, -171.8),  # Tokelau
        "TL": (-8.8, 125.8),  # Timor-Leste
        "TM": (38.6, 59.8),  # Turkmenistan
        "TN": (36.0, 10.0),  # Tunisia
        "TO": (-21.0, -175.1),  # Tonga
        "TR": (39.5, 32.6),  # Türkiye
        "TT": (10.5, -61.4),  # Trinidad and Tobago
        "TV": (-8.5, 179.2),  # Tuvalu
        "TW": (24.3, 120.9),  # Taiwan
        "TZ": (-5.6, 35.7),  # Tanzania
        "UA": (49.0, 32.0),  # Ukraine
        "UG": (0.8, 32.3),  # Uganda
        "UM": (19.3, 166.6),  # United States Minor Outlying Islands: Wake
        "US": (37.4, -92.5),  # United States
        "UY": (-34.2, -56.1),  # Uruguay
        "UZ": (40.2, 67.1),  # Uzbekistan
        "VA": (41.9, 12.5),  # Holy See
        "VC": (13.2, -61.2),  # Saint Vincent and the Grenadines
        "VE": (9.8, -67.4),  # Venezuela
        "VG": (18.4, -64.6),  # British Virgin Islands
        "VI": (18.0, -64.8),  # United States Virgin Islands
        "VN": (16.0, 106.7),  # Viet Nam
        "VU": (-17.0, 168.0),  # Vanuatu
        "WF": (-13.8, -177.2),  # Wallis and Futuna
        "WS": (-13.8, -171.9),  # Samoa
        "XK": (42.6, 20.9),  # Kosovo
        "YE": (14.6, 44.6),  # Yemen
        "YT": (-12.8, 45.2),  # Mayotte
        "ZA": (-28.0, 28.4),  # South Africa
        "ZM": (-13.6, 28.2),  # Zambia
        "ZW": (-18.7, 30.4),  # Zimbabwe
    }
)
