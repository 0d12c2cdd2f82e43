"""Verbs in the present and in the past: the rules of spelling, and the common irregular ones."""

from __future__ import annotations

import random

_TAKES_OBJECT = (
    "carry mend paint open close clean wash push pull drop lift kick throw hide find lose buy sell "
    "bring take give hold keep make build break draw ring blow cut tie bury copy use move chase "
    "want like love need watch touch count fix wrap grab shake steal show"
).split()
_STANDS_ALONE = (
    "walk run jump hop skip dance climb crawl hurry swim fly ride drive go come fall sit stand "
    "sleep wait rest work play cry laugh smile shout sing slip stop stay travel arrive live hide "
    "wander march rush sneak cook fish bake snore yawn"
).split()
IRREGULAR = dict(
    row.split(":")
    for row in (
        "throw:threw hide:hid find:found lose:lost buy:bought sell:sold bring:brought take:took "
        "give:gave hold:held keep:kept make:made build:built break:broke draw:drew ring:rang "
        "blow:blew cut:cut shake:shook steal:stole run:ran swim:swam fly:flew ride:rode "
        "drive:drove "
        "go:went come:came fall:fell sit:sat stand:stood sleep:slept sing:sang eat:ate drink:drank "
        "see:saw hear:heard feel:felt say:said tell:told think:thought know:knew write:wrote "
        "read:read speak:spoke begin:began grow:grew win:won meet:met send:sent spend:spent "
        "teach:taught catch:caught leave:left wear:wore sweep:swept dig:dug do:did have:had "
        "get:got forget:forgot choose:chose freeze:froze wake:woke bite:bit put:put shut:shut "
        "hit:hit hurt:hurt let:let pay:paid lead:led feed:fed fight:fought seek:sought lend:lent "
        "bend:bent shine:shone hang:hung swing:swung sink:sank"
    ).split()
)
REGULAR = tuple(
    sorted(
        {
            *(verb for verb in (*_TAKES_OBJECT, *_STANDS_ALONE) if verb not in IRREGULAR),
            *(
                "add answer ask bang beg believe boil borrow brush call change cheer clap comb "
                "cough cover dare decide dry empty enjoy explain fill float fry gather greet "
                "guess hammer help hope hug hum invite join judge knit knock land learn listen "
                "look marry measure melt nod notice obey offer order pack pat peel pet pick place "
                "plan plant please point pour praise pray press promise rain reach repair rob "
                "roll rub sail save scratch serve share shop sigh sip smell sneeze spot spray "
                "start step stir study supply sweat tap taste thank tidy tip trade trap try tug "
                "turn visit wag warn wave whisper whistle wink wipe wish worry zip"
            ).split(),
        }
    )
)
TAKES_OBJECT, STANDS_ALONE = tuple(_TAKES_OBJECT), tuple(_STANDS_ALONE)

_ONSETS = (
    "b bl br ch cl cr d dr f fl fr g gl gr h j k kl l m n p pl pr r s sh sk sl sm sn sp st t tr v "
    "w z"
).split()
_VOWELS = "aeiou"
_SINGLE = "bdgmnpt"
_CLUSTERS = "ck nk mp nd lt st sh ch ng ft lk rk rn".split()
# Stressed before the last syllable, which no spelling shows: these do not double.
_UNSTRESSED_END = frozenset(
    "visit open offer order gather hammer cover answer listen wander whisper".split()
)


def invented_verb(rng: random.Random) -> str:
    """Return a verb that English lacks, whose spelling alone says how its past is written."""
    while True:
        onset, vowel = rng.choice(_ONSETS), rng.choice(_VOWELS)
        verb = (
            onset
            + vowel
            + rng.choice(
                (
                    rng.choice(_SINGLE),
                    rng.choice(_CLUSTERS),
                    f"{rng.choice('bdgklmnptvz')}e",
                    f"{rng.choice(('rr', 'dd', 'ck', 'mp', 'nn', 'bb'))}y",
                )
            )
        )
        if verb not in IRREGULAR and verb not in REGULAR:
            return verb


def past(verb: str) -> str:
    """Return the past tense of a verb: `carry` becomes `carried`, `go` becomes `went`."""
    if verb in IRREGULAR:
        return IRREGULAR[verb]
    if verb.endswith("e"):
        return f"{verb}d"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return f"{verb[:-1]}ied"
    if verb == "travel":
        return "travelled"
    if _doubles(verb):
        return f"{verb}{verb[-1]}ed"
    return f"{verb}ed"


def _doubles(verb: str) -> bool:
    """Say whether a short verb ends in one vowel and one consonant, as `stop` does."""
    if verb in _UNSTRESSED_END or len(verb) < 3 or verb[-1] in "wxy" or verb[-1] in _VOWELS:
        return False
    return verb[-2] in _VOWELS and verb[-3] not in _VOWELS


def present(verb: str) -> str:
    """Return the verb as `she` takes it: `carry` becomes `carries`, `have` becomes `has`."""
    if verb == "have":
        return "has"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return f"{verb[:-1]}ies"
    if verb.endswith(("s", "sh", "ch", "x", "z", "o")):
        return f"{verb}es"
    return f"{verb}s"
