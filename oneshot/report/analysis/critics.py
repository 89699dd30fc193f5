"""Do several critics agree? The rank correlation of their distances to people."""

from __future__ import annotations

import itertools

import pandas as pd

from oneshot.metrics.agreement import kendall_tau
from oneshot.report.analysis.intervals import DISTANCE
from oneshot.report.averages import setting_keys
from oneshot.report.results import Results

LEAST = 3  # settings that a rank correlation takes


def critic_names(rows: pd.DataFrame) -> pd.Series:
    """Which critic scored each row: its seed where that varies, else the ids of the pair.

    Args:
        rows: Rows of points.

    Returns:
        Text [rows]; empty where the table does not say.
    """
    if "critic_seed" in rows and rows["critic_seed"].nunique() > 1:
        return rows["critic_seed"].map(lambda seed: f"seed {seed:g}" if pd.notna(seed) else None)
    ids = [name for name in ("simclr_id", "protonet_id") if name in rows]
    if not ids:
        return pd.Series(None, index=rows.index, dtype=object)
    known = rows[ids].notna().all(axis=1)
    whole = rows.loc[known, ids].astype(str)
    count = len(whole.drop_duplicates())
    longest = int(max((whole[name].str.len().max() for name in ids if len(whole)), default=0))
    for letters in range(6, max(longest, 6) + 1):  # as many as tell the critics apart
        short = whole[ids[0]].str[:letters]
        for name in ids[1:]:
            short = short + "/" + whole[name].str[:letters]
        if short.nunique() == count:
            break
    return short.reindex(rows.index)


def critic_agreement(results: Results) -> pd.DataFrame:
    """How each two critics rank the settings that both scored, by their distance to people.

    Args:
        results: The results.

    Returns:
        One row a pair: `one`, `other` (which critics), `settings` (how many) and `tau` (Kendall's
        tau-b); none where no two critics scored three settings in common.
    """
    rows = results.models.dropna(subset=DISTANCE)
    rows = rows.assign(critic=critic_names(rows)).dropna(subset="critic")
    keys = [key for key in setting_keys(results, rows) if key != "sweep"]
    found = []
    if rows["critic"].nunique() > 1:
        setting = rows.groupby(keys, dropna=False, sort=False).ngroup()
        table = rows.assign(setting=setting).pivot_table(
            index="setting", columns="critic", values=DISTANCE, aggfunc="mean", sort=False
        )
        for one, other in itertools.combinations(sorted(map(str, table)), 2):
            both = table[[one, other]].dropna().to_numpy()
            if len(both) >= LEAST:
                found.append((one, other, len(both), kendall_tau(both[:, 0], both[:, 1])))
    return pd.DataFrame(found, columns=["one", "other", "settings", "tau"])


def pairs_text(agreement: pd.DataFrame) -> str:
    """The table of `critic_agreement` as lines of text; empty without a pair.

    Args:
        agreement: The table.

    Returns:
        A heading, and a line a pair.
    """
    if agreement.empty:
        return ""
    lines = [
        f"  {row['one']}, {row['other']}: {row['tau']:.2f} of {row['settings']} settings"
        for row in agreement.to_dict("records")
    ]
    return "\n".join(["", "Rank correlation between critics (Kendall's tau-b):", *lines])


def agreement_text(agreement: pd.DataFrame) -> str:
    """The table of `critic_agreement` in a few words; empty without a pair.

    Args:
        agreement: The table.

    Returns:
        `rank correlation between critics: Kendall's tau-b 0.83`, or from which value to which.
    """
    tau = agreement["tau"].dropna()
    if tau.empty:
        return ""
    low, high = f"{tau.min():.2f}", f"{tau.max():.2f}"
    value = low if low == high else f"{low} to {high}"
    pairs = f" ({len(tau)} pairs of critics)" if len(tau) > 1 else ""
    return f"rank correlation between critics: Kendall's tau-b {value}{pairs}"
