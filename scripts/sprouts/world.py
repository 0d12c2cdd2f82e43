"""The small world that the Sprouts live in: its words, its names and its facts.

Everything here is a constant. What is asked about it, and which of it is held out of training,
is decided in `split.py` and `skills.py`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

NAMES = (
    "Tom Mia Ben Lily Sam Anna Max Ella Leo Nora Jack Ruby Finn Rosa Oscar Ivy Hugo Clara Noah "
    "Emma "
    "Felix Alice Theo Maya Omar Zara Ravi Lena Kofi Yuki Pablo Ines Ali Sara Jonas Freya Milo Ada "
    "Peter Julia David Maria Paul Laura Simon Eva Daniel Sofia Martin Helen"
).split()

HERO_NAMES = (
    "Pip Momo Tilly Bruno Daisy Otto Luna Rolo Penny Gus Coco Biscuit Willow Nico Poppy Rex Olive "
    "Tango Bella Moss Kiki Barley Hazel Ziggy Fern Jojo Pepper Bo Misty Archie"
).split()

KINDS = (
    "fox owl rabbit mouse bear cat dog hedgehog turtle frog squirrel duck pony lion elephant "
    "penguin "
    "monkey deer badger goat robot dragon wizard girl boy king queen farmer sailor knight"
).split()

OBJECTS = (
    "lantern key drum kite book map boat bell hat ball cake clock mirror basket flute ring "
    "stone coin "
    "umbrella blanket feather ladder teapot button crown apple pumpkin balloon scarf box shell "
    "candle "
    "rope spoon wheel flower seed letter star whistle"
).split()

PLACES = (
    "forest river beach mountain market castle garden farm village cave lake bridge tower island "
    "meadow library harbour school desert hill"
).split()

COLOURS = "red blue green yellow orange purple pink brown black white grey silver gold teal".split()

FOODS = (
    "pizza soup rice pasta bread cheese salad pancakes noodles beans cherries honey chocolate "
    "carrots "
    "grapes bananas mangoes porridge waffles dumplings"
).split()

CITIES = (
    "Paris London Rome Berlin Madrid Lisbon Tokyo Cairo Oslo Vienna Athens Dublin Lima Delhi "
    "Nairobi "
    "Boston Sydney Toronto Prague Warsaw Naples Hamburg Leeds Kyoto"
).split()

PETS = "cat dog rabbit hamster parrot pony turtle goldfish mouse duck".split()

OPPOSITES = (
    ("hot", "cold"), ("big", "small"), ("tall", "short"), ("fast", "slow"), ("happy", "sad"),
    ("light", "dark"), ("early", "late"), ("open", "closed"), ("full", "empty"), ("hard", "soft"),
    ("wet", "dry"), ("loud", "quiet"), ("rich", "poor"), ("young", "old"), ("strong", "weak"),
    ("clean", "dirty"), ("up", "down"), ("left", "right"), ("in", "out"), ("day", "night"),
    ("near", "far"), ("high", "low"), ("thick", "thin"), ("wide", "narrow"), ("deep", "shallow"),
    ("sweet", "sour"), ("brave", "afraid"), ("cheap", "expensive"), ("easy", "difficult"),
    ("first", "last"), ("good", "bad"), ("true", "false"), ("heavy", "weightless"),
    ("awake", "asleep"), ("smooth", "rough"), ("begin", "end"), ("push", "pull"), ("win", "lose"),
    ("give", "take"), ("love", "hate"), ("laugh", "cry"), ("always", "never"),
)  # fmt: skip

COPY_WORDS = tuple(
    dict.fromkeys(
        [
            *KINDS, *OBJECTS, *PLACES, *COLOURS, *FOODS,
            *"one two three four five six seven eight nine ten sun moon rain snow wind tree "
            "leaf road "
            "house door window table chair lamp cup plate milk tea salt sugar hand foot nose "
            "eye ear "
            "hair shoe coat shirt train car bus ship plane song dance game story dream winter "
            "summer".split(),
        ]
    )
)  # fmt: skip

_ONSETS = "b d f g h k l m n p r s t v w z br dr gr kl pl st tr sn".split()
_VOWELS = "a e i o u".split()
_CODAS = ("", "", "", "n", "l", "r", "s", "k", "m", "t")


def invented_word(rng: random.Random, syllables: int | None = None) -> str:
    """Return a word that no language has, of two or three syllables, such as `brimota`."""
    count = syllables or rng.choice((2, 2, 3))
    while True:
        parts = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(count)]
        word = "".join(parts) + rng.choice(_CODAS)
        if word not in _KNOWN:
            return word


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing the world holds for true: `relation` of `subject`, said as `answer`."""

    relation: str
    subject: str
    answer: str

    @property
    def key(self) -> tuple[str, str]:
        return (self.relation, self.subject)


def article(noun: str) -> str:
    """Return the noun with `a` or `an` before it."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


_CAPITALS = (
    "France:Paris Italy:Rome Spain:Madrid Germany:Berlin Portugal:Lisbon England:London "
    "Ireland:Dublin Norway:Oslo Sweden:Stockholm Finland:Helsinki Denmark:Copenhagen Poland:Warsaw "
    "Austria:Vienna Greece:Athens Hungary:Budapest Egypt:Cairo Kenya:Nairobi Ghana:Accra "
    "Morocco:Rabat Ethiopia:Addis_Ababa Japan:Tokyo China:Beijing India:New_Delhi Thailand:Bangkok "
    "Vietnam:Hanoi Nepal:Kathmandu Turkey:Ankara Iran:Tehran Russia:Moscow Ukraine:Kyiv "
    "Canada:Ottawa "
    "Mexico:Mexico_City Cuba:Havana Brazil:Brasilia Peru:Lima Chile:Santiago "
    "Argentina:Buenos_Aires "
    "Colombia:Bogota Australia:Canberra Iceland:Reykjavik"
).split()
_SOUNDS = (
    "cow:moo dog:woof cat:meow sheep:baa duck:quack pig:oink horse:neigh owl:hoot lion:roar "
    "mouse:squeak "
    "frog:croak bee:buzz snake:hiss donkey:hee-haw crow:caw"
).split()
_LEGS = (
    "cow:4 dog:4 cat:4 horse:4 duck:2 chicken:2 owl:2 spider:8 ant:6 bee:6 beetle:6 butterfly:6 "
    "snake:0 fish:0 worm:0 octopus:0 crab:10 frog:4 elephant:4 penguin:2"
).split()
_YOUNG = (
    "cow:calf dog:puppy cat:kitten sheep:lamb duck:duckling horse:foal goat:kid pig:piglet "
    "lion:cub "
    "bear:cub owl:owlet goose:gosling frog:tadpole deer:fawn swan:cygnet kangaroo:joey hen:chick "
    "elephant:calf"
).split()
_THING_COLOURS = (
    "snow:white grass:green blood:red coal:black milk:white the_sky:blue a_lemon:yellow "
    "a_carrot:orange "
    "a_tomato:red chocolate:brown a_banana:yellow a_plum:purple an_elephant:grey a_flamingo:pink "
    "a_frog:green the_sea:blue"
).split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS = (
    "January February March April May June July August September October November December".split()
)
_JOBS = (
    "baker:bakes_bread doctor:helps_sick_people teacher:teaches_children farmer:grows_food "
    "pilot:flies_planes sailor:sails_ships painter:paints_pictures writer:writes_books "
    "singer:sings_songs cook:cooks_meals gardener:plants_flowers carpenter:works_with_wood "
    "tailor:sews_clothes astronomer:studies_the_stars firefighter:puts_out_fires"
).split()
_HOMES = (
    "bird:nest bee:hive fox:den rabbit:burrow spider:web lion:den dog:kennel horse:stable cow:barn "
    "ant:anthill fish:water camel:desert penguin:ice bat:cave"
).split()
_COUNTS = (
    "days:a_week:7 months:a_year:12 hours:a_day:24 minutes:an_hour:60 seconds:a_minute:60 "
    "sides:a_triangle:3 sides:a_square:4 sides:a_hexagon:6 wheels:a_bicycle:2 wheels:a_car:4 "
    "fingers:a_hand:5 letters:the_alphabet:26 seasons:a_year:4 strings:a_violin:4 eggs:a_dozen:12 "
    "colours:a_rainbow:7 planets:the_solar_system:8 legs:a_stool:3"
).split()


def _pairs(table: list[str]) -> list[tuple[str, str]]:
    return [
        (left.replace("_", " "), right.replace("_", " "))
        for left, right in (row.split(":") for row in table)
    ]


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _home(place: str) -> str:
    return place if place in ("water", "ice") else article(place)


def _facts() -> tuple[Fact, ...]:
    facts = [Fact("capital", a, f"The capital of {a} is {b}.") for a, b in _pairs(_CAPITALS)]
    facts += [Fact("sound", a, f"{_upper(article(a))} says {b}.") for a, b in _pairs(_SOUNDS)]
    facts += [
        Fact("legs", a, f"{_upper(article(a))} has {b if b != '0' else 'no'} legs.")
        for a, b in _pairs(_LEGS)
    ]
    facts += [Fact("young", a, f"A young {a} is called {article(b)}.") for a, b in _pairs(_YOUNG)]
    facts += [Fact("colour", a, f"{_upper(a)} is {b}.") for a, b in _pairs(_THING_COLOURS)]
    facts += [
        Fact("next day", a, f"{_DAYS[(i + 1) % 7]} comes after {a}.") for i, a in enumerate(_DAYS)
    ]
    facts += [
        Fact("next month", a, f"{_MONTHS[(i + 1) % 12]} comes after {a}.")
        for i, a in enumerate(_MONTHS)
    ]
    facts += [Fact("job", a, f"{_upper(article(a))} {b}.") for a, b in _pairs(_JOBS)]
    facts += [
        Fact("home", a, f"{_upper(article(a))} lives in {_home(b)}.") for a, b in _pairs(_HOMES)
    ]
    for row in _COUNTS:
        part, whole, count = (text.replace("_", " ") for text in row.split(":"))
        facts.append(Fact("count", f"{part}|{whole}", f"There are {count} {part} in {whole}."))
    return tuple(facts)


FACTS = _facts()
FACT_BY_KEY = {fact.key: fact for fact in FACTS}
_KNOWN = frozenset(
    word.lower()
    for word in [
        *NAMES,
        *HERO_NAMES,
        *COPY_WORDS,
        *CITIES,
        *(w for pair in OPPOSITES for w in pair),
    ]
)
SPELL_WORDS = tuple(sorted({word.lower() for word in (*COPY_WORDS, *PETS)}))
