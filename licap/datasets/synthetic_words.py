"""The vocabulary of the synthetic graph: node types, relations between them, name parts and words of descriptions.

Plain data; how it is put together stands in `synthetic_names`, which edges there are in `synthetic`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


def _words(text: str, separator: str = " ") -> tuple[str, ...]:
    return tuple(text.split(separator))


@dataclass(frozen=True)
class NodeType:
    """A kind of node: its share among nodes, how its names are built, and what descriptions call it.

    patterns: names, `{part}` standing for a word of that list of `PARTS`; no two types can build the same name.
    """

    name: str
    share: float
    pattern: str
    nouns: tuple[str, ...]


@dataclass(frozen=True)
class RelationTemplate:
    """What a relation is called and which types it joins."""

    verb: str
    head: str
    tail: str

    @property
    def name(self) -> str:
        """As in `person/born_in/city`."""
        return f"{self.head}/{self.verb}/{self.tail}"


NODE_TYPES = (
    NodeType(
        "person",
        0.40,
        "{given} {initial}{stem}{ending}",
        ("actor", "singer", "composer", "novelist", "director", "politician", "physicist", "painter", "footballer"),
    ),
    NodeType("film", 0.18, "The {adjective} {noun}", ("drama film", "comedy film", "thriller film", "documentary")),
    NodeType("city", 0.11, "{compass}{stem}{place}", ("port city", "market town", "mining town", "university city")),
    NodeType("country", 0.01, "{state} of {stem}{land}", ("island country", "federal state", "monarchy", "republic")),
    NodeType("album", 0.08, "{adjective} {noun} Songs, Vol. {number}", ("studio album", "live album", "compilation")),
    NodeType("band", 0.06, "{adjective} {animal}", ("rock band", "folk band", "jazz ensemble", "choir")),
    NodeType("genre", 0.01, "{mood} {music}", ("music genre", "style of dance music")),
    NodeType("company", 0.05, "{stem}{ending} {business}", ("record label", "film studio", "publisher", "carmaker")),
    NodeType("university", 0.03, "{school} of {stem}{place}", ("public university", "private college")),
    NodeType("award", 0.02, "{stem}{ending} {prize} for {field}", ("annual award", "lifetime award")),
    NodeType("team", 0.03, "{stem}{place} {squad}", ("football club", "ice hockey team", "basketball team")),
    NodeType("occupation", 0.02, "{field} {trade} of the {order} Order", ("profession", "trade")),
)

# From the most to the least frequent. With few relations the first ones are used, and the types that these join.
RELATIONS = (
    RelationTemplate("worked_with", "person", "person"),
    RelationTemplate("acted_in", "person", "film"),
    RelationTemplate("born_in", "person", "city"),
    RelationTemplate("lies_in", "city", "country"),
    RelationTemplate("nominated_for", "person", "award"),
    RelationTemplate("plays_genre", "band", "genre"),
    RelationTemplate("recorded", "band", "album"),
    RelationTemplate("studied_at", "person", "university"),
    RelationTemplate("produced_by", "film", "company"),
    RelationTemplate("plays_for", "person", "team"),
    RelationTemplate("works_as", "person", "occupation"),
    RelationTemplate("set_in", "film", "city"),
    RelationTemplate("citizen_of", "person", "country"),
    RelationTemplate("won", "film", "award"),
    RelationTemplate("member_of", "person", "band"),
    RelationTemplate("directed_by", "film", "person"),
    RelationTemplate("influenced", "person", "person"),
    RelationTemplate("released_by", "album", "company"),
    RelationTemplate("based_in", "company", "city"),
    RelationTemplate("campus_in", "university", "city"),
    RelationTemplate("plays_in", "team", "city"),
    RelationTemplate("sequel_of", "film", "film"),
    RelationTemplate("married_to", "person", "person"),
    RelationTemplate("twinned_with", "city", "city"),
    RelationTemplate("borders", "country", "country"),
    RelationTemplate("has_genre", "album", "genre"),
    RelationTemplate("founded_by", "company", "person"),
    RelationTemplate("subgenre_of", "genre", "genre"),
    RelationTemplate("owned_by", "team", "company"),
    RelationTemplate("wrote", "person", "album"),
    RelationTemplate("formed_in", "band", "city"),
    RelationTemplate("awarded_in", "award", "city"),
)

PARTS: Mapping[str, tuple[str, ...]] = {
    "given": _words(
        "Ada Albin Alma Anouk Arno Asta Bela Bruno Carla Cyril Dagny Dario Edda Elias Elsa Emil Enzo Erika Fabia "
        "Felix Flora Frida Georg Greta Hanna Hugo Ida Igor Irene Ivo Jana Jonas Juno Karin Klara Lars Lena Leo "
        "Lidia Linus Lucia Magnus Maia Marek Mira Nadia Nils Nora Olga Oskar Otto Paula Petra Quinn Ralf Rosa "
        "Ruben Selma Stefan Tilda Tobias Ulla Vera Viktor Willa Xenia Yara Zeno"
    ),
    "initial": ("", *(f"{letter}. " for letter in "ABCDEFGHIJKLMNOPRSTVW")),
    "stem": _words(
        "Alder Amber Ash Barrow Birch Black Bram Brook Calder Carn Cedar Corin Crag Dal Dorn Elder Elm Fair Falk "
        "Fen Garn Glen Grim Hal Hart Haver Hazel Heather Hol Iver Kel Kings Lang Lark Lin Lor Mar Mill Mor Nor Oak "
        "Orm Penn Quar Raven Red Rim Rook Sal Sel Silver Stan Storm Tarn Thorn Ul Var Vel Wal West Whit Win Yar "
        "Zel"
    ),
    "ending": _words(
        "berg born by croft dahl dane ell ers feld gard hart holm in kin lind low man mann mark nes ov quist ridge "
        "sen son stad strom ton vik wood worth"
    ),
    "place": _words(
        "bay bridge burgh bury castle cliff dale field ford gate ham harbour haven hurst keep lake leigh mere "
        "minster mouth point port shore side stead stow thorpe vale view ville wick"
    ),
    "land": ("ania", "ovia", "aria", "istan", "aland", "onia", "avia", "essa", "uria", "ora"),
    "state": _words("Republic Kingdom Duchy Union Commonwealth Federation"),
    "compass": ("", "New ", "Old ", "North ", "South ", "East ", "West ", "Upper ", "Lower ", "Great ", "Little "),
    "adjective": _words(
        "Autumn Bitter Blind Blue Brave Broken Burning Careful Cold Crimson Crooked Dancing Distant Drowning Early "
        "Electric Empty Endless Fallen Final Forgotten Fragile Frozen Gentle Golden Green Happy Hidden Hollow "
        "Honest Hungry Last Lonely Lost Lucky Midnight Modern Narrow Open Patient Perfect Quiet Restless Scarlet "
        "Secret Seventh Silent Sleeping Slow Small Stolen Strange Sudden Tender Thirsty Unseen Velvet Wandering "
        "White Wild Winter Wooden"
    ),
    "noun": _words(
        "Anchor Answer Bridge Candle Carnival Castle Circle Clock Corridor Country Crown Dream Echo Engine Evening "
        "Father Feather Fire Forest Fountain Garden Ghost Glass Guest Harvest Horizon House Hunter Island Journey "
        "Key King Ladder Lantern Letter Lighthouse Machine Map Mirror Mountain Night Ocean Orchard Painter "
        "Passenger Promise Queen River Road Room Sailor Season Shadow Signal Sister Stranger Summer Teacher Tower "
        "Train Valley Village Voice Window Witness"
    ),
    "animal": _words(
        "Badgers Bears Crows Doves Eagles Falcons Foxes Geese Hares Hawks Herons Horses Hounds Jackals Larks Lions "
        "Lynxes Magpies Moths Otters Owls Pigeons Ravens Sparrows Stags Swans Tigers Vultures Whales Wolves Wrens "
        "Zebras"
    ),
    "number": tuple(str(number) for number in range(1, 10)),
    "mood": _words("Dark Acid Baroque Coastal Cosmic Desert Dream Hard Nordic Progressive Soft Urban"),
    "music": _words("Blues Folk Funk House Jazz Polka Pop Punk Rock Soul Swing Tango Techno Waltz"),
    "business": _words("Records Pictures Press Motors Electric Holdings Brothers Industries Studios Works"),
    "school": _words("University College Institute Academy Polytechnic Conservatory"),
    "prize": _words("Prize Medal Award Trophy Fellowship Cup"),
    "field": _words("Poetry Physics Cinema Drama Music Peace Sport Design History Chemistry Opera Comedy"),
    "squad": _words("Rovers United Wanderers Athletic City Rangers Albion Giants"),
    "trade": _words("Maker Teacher Critic Editor Keeper Broker Adviser Writer"),
    "order": _words("First Second Third Fourth Fifth Sixth Seventh Eighth Ninth Tenth"),
}

# Circles: groups of nodes that prefer each other. Their word stands in descriptions.
CIRCLES = _words(
    "alpine andean arctic atlantic baltic balkan bohemian caspian caucasian danubian ionian lapland levantine "
    "ligurian moravian nordic patagonian pacific rhenish saharan silesian tyrolean ural volga"
)

# Levels of fame, from the lowest: what a description says of a node, before and after its noun.
PRAISE = (
    ("obscure", "forgotten", "minor", "little-known", "amateur"),
    ("local", "modest", "provincial", "part-time", "short-lived"),
    ("established", "regular", "professional", "traditional", "typical"),
    ("popular", "notable", "influential", "successful", "leading"),
    ("legendary", "world-famous", "celebrated", "award-winning", "iconic"),
)
CLAUSES = (
    ("of which few records survive", "known to a handful of specialists", "mentioned once in a parish register"),
    ("remembered in the neighbourhood", "listed in a local guide", "recorded by a county archive"),
    ("described in several handbooks", "covered by the national press", "listed in the general catalogue"),
    ("honoured with a national medal", "the subject of two biographies", "often quoted by critics"),
    ("winner of the grand prize", "honoured with an international award", "a household name on every continent"),
)
EXTRAS = _words(
    "since the early years; in its time; after a long pause; before the reform; during the golden age; by "
    "common account; in the old style; with a small following; from a family of merchants; of mixed origins; "
    "between two rivers; at the turn of the century; under several names; in four languages; with a museum of "
    "its own; along the coast",
    "; ",
)
