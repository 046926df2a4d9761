"""The best pairing of a row's boxes, without a matrix in memory.

An answer's predicted boxes lie along its lanes, and its targets come by one after the other or in strips. The pairing is
found by shortest augmenting paths (Crouse, doi 10.1109/TAES.2016.140952); a row of overlaps is computed anew from its box
whenever it is looked at. A target may also stay alone, at no cost, so neither side need be the longer.
"""

import triton
import triton.language as tl

from mirg_rewards.kernels.fused.device_boxes import load_side, rows_at, weight, worth


@triton.jit
def pair(
    ours,
    theirs,
    given,
    firsts,
    offsets,
    target_offsets,
    count,
    least,
    threshold,
    KIND: tl.constexpr,
    OBJECTIVE: tl.constexpr,
    LABELS: tl.constexpr,
    BOXED: tl.constexpr,
    FLOAT: tl.constexpr,
    WEIGHT: tl.constexpr,
    ROWS: tl.constexpr,
    STRIP: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The best pairing of `ROWS` answers: for each predicted box the target in its row, -1 for none, and their value."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    begin, n = rows_at(offsets, row, count)
    target_begin, m = rows_at(target_offsets, row, count)
    first = tl.load(firsts + row, row < count, other=0) if KIND == "given" else begin
    column = tl.arange(0, COLUMNS)[None, :]
    is_column = column < n
    box = load_side(ours, begin + column, is_column, first + column * m, KIND, LABELS, BOXED, FLOAT)

    # The certificate: targets whose best boxes are distinct may all have them. Strips of targets by all boxes.
    row3 = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None, None]
    begin3, n3 = rows_at(offsets, row3, count)
    target_begin3, m3 = rows_at(target_offsets, row3, count)
    first3 = tl.load(firsts + row3, row3 < count, other=0) if KIND == "given" else begin3
    column3 = tl.arange(0, COLUMNS)[None, None, :]
    box3 = load_side(ours, begin3 + column3, column3 < n3, first3 + column3 * m3, KIND, LABELS, BOXED, FLOAT)
    wanted = tl.zeros((ROWS, COLUMNS), tl.int32)
    holder = tl.full((ROWS, COLUMNS), -1, tl.int32)
    wishes = tl.zeros((ROWS, 1), tl.int32)
    top = 0
    most = tl.max(tl.max(m, axis=1), axis=0)
    while top < most:
        strip = top + tl.arange(0, STRIP)[None, :, None]
        target3 = load_side(theirs, target_begin3 + strip, strip < m3, strip, KIND, LABELS, BOXED, FLOAT)
        value3 = worth(box3, target3, given, least, KIND, LABELS, FLOAT)
        weight3 = weight(value3, threshold, n3, m3, OBJECTIVE, WEIGHT)
        best = tl.max(weight3, axis=2, keep_dims=True)
        is_best = (weight3 == best) & (weight3 > 0)
        wanted += tl.sum(is_best.to(tl.int32), axis=1)
        holder = tl.maximum(holder, tl.max(tl.where(is_best, strip, -1), axis=1))
        wishes += tl.sum((best > 0).to(tl.int32), axis=1)
        top += STRIP
    is_certain = tl.max(wanted, axis=1, keep_dims=True) <= 1
    # A target with two best boxes has wished twice.
    is_certain = is_certain & (tl.sum(wanted, axis=1, keep_dims=True) == wishes)

    # Shortest augmenting paths, a target after the other, for the answers that are left. `price` is the dual of a box;
    # that of a target follows from the box it has, and is 0 for one that has none: it stays alone, at no cost.
    holder = tl.where(is_certain, holder, -1)
    current = tl.where(is_certain, m, 0)
    price = tl.zeros((ROWS, COLUMNS), WEIGHT)
    distance = tl.full((ROWS, COLUMNS), float("inf"), WEIGHT)
    came_from = tl.full((ROWS, COLUMNS), -1, tl.int32)
    is_settled = tl.zeros((ROWS, COLUMNS), tl.int32)
    looked_at = current
    via = tl.full((ROWS, 1), -1, tl.int32)
    reached = tl.zeros((ROWS, 1), WEIGHT)
    alone = tl.full((ROWS, 1), float("inf"), WEIGHT)
    who_leaves = current
    left = tl.max(tl.max((current < m).to(tl.int32), axis=1), axis=0)
    while left > 0:
        active = current < m
        target = load_side(theirs, target_begin + looked_at, active, looked_at, KIND, LABELS, BOXED, FLOAT)
        value = worth(box, target, given, least, KIND, LABELS, FLOAT)
        cost = -weight(value, threshold, n, m, OBJECTIVE, WEIGHT)
        dual = tl.sum(tl.where(column == via, cost - price, 0), axis=1, keep_dims=True)
        is_open = is_column & (is_settled == 0) & active
        length = reached + (cost - price) - dual
        is_nearer = is_open & (length < distance)
        distance = tl.where(is_nearer, length, distance)
        came_from = tl.where(is_nearer, looked_at, came_from)
        leaves = active & (reached - dual < alone)
        alone = tl.where(leaves, reached - dual, alone)
        who_leaves = tl.where(leaves, looked_at, who_leaves)

        nearest = tl.min(tl.where(is_open, distance, float("inf")), axis=1, keep_dims=True)
        order = tl.where(holder >= 0, COLUMNS, 0) + column
        pick = tl.where(is_open & (distance == nearest), order, 2 * COLUMNS)
        pick = tl.min(pick, axis=1, keep_dims=True)
        one_leaves = active & (alone <= nearest)
        ends = one_leaves | (active & (pick < COLUMNS))
        via = tl.where(ends | (active == 0), -1, pick - COLUMNS)

        paid = distance - tl.minimum(alone, nearest)
        price = tl.where(ends & (is_settled != 0), price + paid, price)
        place = tl.max(tl.where(holder == who_leaves, column, -1), axis=1, keep_dims=True)
        place = tl.where(ends, tl.where(one_leaves, place, pick), -1)
        moving = tl.max(tl.max(place, axis=1), axis=0)
        while moving >= 0:
            # Whoever comes next on the path takes the free place, and leaves one.
            taker = tl.max(tl.where(column == place, came_from, -1), axis=1, keep_dims=True)
            next_place = tl.max(tl.where((place >= 0) & (holder == taker), column, -1), axis=1, keep_dims=True)
            holder = tl.where(column == place, taker, holder)
            place = next_place
            moving = tl.max(tl.max(place, axis=1), axis=0)

        current += ends.to(tl.int32)
        next_target = tl.max(tl.where(column == via, holder, -1), axis=1, keep_dims=True)
        looked_at = tl.where(via >= 0, next_target, current)
        who_leaves = tl.where(ends, current, who_leaves)
        is_settled = tl.where(ends, 0, is_settled | (column == via).to(tl.int32))
        distance = tl.where(ends, float("inf"), distance)
        alone = tl.where(ends, float("inf"), alone)
        reached = tl.where(via >= 0, nearest, 0)
        left = tl.max(tl.max((current < m).to(tl.int32), axis=1), axis=0)

    has_target = is_column & (holder >= 0)
    target = load_side(theirs, target_begin + holder, has_target, holder, KIND, LABELS, BOXED, FLOAT)
    value = worth(box, target, given, least, KIND, LABELS, FLOAT)
    if OBJECTIVE == "count":
        value = (value >= threshold).to(FLOAT)
    value = tl.where(has_target, value, 0)
    return row, begin, n, column, target_begin, tl.where(value > 0, holder, -1), value
