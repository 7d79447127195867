"""Families over a dict from strings to integers."""

from envs.code_exec.family import LETTERS, NUMBERS, WORDS, Family

DICTS = (
    Family(
        "get",
        "d",
        "d.get($a, $b)",
        ("the value of $a in d, or $b if missing", "get $a from d, or $b if missing"),
        (WORDS, NUMBERS),
    ),
    Family(
        "put",
        "d",
        "d | {$a: $b}",
        ("d with $a set to $b", "put $a with value $b into d"),
        (WORDS, NUMBERS),
    ),
    Family(
        "values_add",
        "d",
        "{k: v + $a for k, v in d.items()}",
        ("add $a to each value in d", "d with $a added to each value"),
        (NUMBERS,),
    ),
    Family(
        "values_mul",
        "d",
        "{k: v * $a for k, v in d.items()}",
        ("multiply each value in d by $a", "d with each value times $a"),
        (NUMBERS,),
    ),
    Family(
        "items_greater",
        "d",
        "{k: v for k, v in d.items() if v > $a}",
        ("the items of d with value greater than $a", "keep the items of d with value greater than $a"),
        (NUMBERS,),
    ),
    Family(
        "without_key",
        "d",
        "{k: v for k, v in d.items() if k != $a}",
        ("d without the key $a", "remove the key $a from d"),
        (WORDS,),
    ),
    Family(
        "keys_greater",
        "d",
        "[k for k, v in d.items() if v > $a]",
        ("list the keys of d with value greater than $a", "the list of keys of d with value greater than $a"),
        (NUMBERS,),
    ),
    Family(
        "keys_with",
        "d",
        "[k for k in d if $a in k]",
        ("list the keys of d that contain $a", "the list of keys of d with $a in them"),
        (LETTERS,),
    ),
    Family(
        "key_after",
        "d",
        "{k + $a: v for k, v in d.items()}",
        ("put $a after each key in d", "d with $a after each key"),
        (WORDS,),
    ),
    Family(
        "values_sum",
        "d",
        "sum(d.values()) + $a",
        ("the sum of the values in d, plus $a", "sum the values in d, then add $a"),
        (NUMBERS,),
    ),
    Family(
        "values_count",
        "d",
        "list(d.values()).count($a)",
        ("count the values in d equal to $a", "how many values in d are equal to $a"),
        (NUMBERS,),
    ),
    Family(
        "both_keys",
        "d",
        "$a in d and $b in d",
        ("whether $a and $b are both keys of d", "True if $a and $b are both keys of d, else False"),
        (WORDS, WORDS),
    ),
    Family(
        "sum_two",
        "d",
        "d.get($a, 0) + d.get($b, 0)",
        ("add the values of $a and $b in d, 0 if missing", "the value of $a plus that of $b in d, 0 if missing"),
        (WORDS, WORDS),
    ),
    Family(
        "is_set_to",
        "d",
        "d.get($a) == $b",
        ("whether $a has value $b in d", "True if $a has value $b in d, else False"),
        (WORDS, NUMBERS),
    ),
    Family(
        "largest_key",
        "d",
        "max(d, key=d.get) + $a",
        ("the key of the largest value in d, then $a", "the key of the largest value in d followed by $a"),
        (WORDS,),
        nonempty=True,
    ),
    Family(
        "greater_n",
        "d, n",
        "{k: v * $a for k, v in d.items() if v > n}",
        (
            "the items of d with value greater than n, values times $a",
            "keep the items of d with value greater than n, values times $a",
        ),
        (NUMBERS,),
    ),
)
"""All families of this kind, in a fixed order."""
