/* Codes of a tile's sums while these are in registers, for AVX-512 VNNI: by the one multiplication
 * and addition of finish.h, two rows of two panels at a time. Sums begin at minus the zero points'
 * share. */

/* What all rows share. q NULL: codes are not made here. */
struct tile_codes {
    const finish_columns *columns;
    vf scale[2], bias[2], far, added;
    vi start[2]; /* of the sums */
    int limit;
    const uint8_t *add; /* [rows][32] codes, or NULL: nothing */
    uint8_t *q;
    int64_t ld_add, ld_q, row;
};

static tile_codes codes_of(const tile_panels *p, const tile_rows *r)
{
    const finish_columns *c = p->columns;
    const dfqi_int_output *o = c->out;
    if (p->n != 2 || o->add || c[0].kind != FINISH_CODES || c[1].kind != FINISH_CODES ||
        !c[0].fast.usable || !c[1].fast.usable)
        return (tile_codes){.start = {vi_set(0), vi_set(0)}};
    const vi zero_point = vi_set(-*c->row_zero_point * (p->weights.nibbles ? 16 : 1));
    return (tile_codes){
        .columns = c,
        .scale = {c[0].fast.scale, c[1].fast.scale},
        .bias = {c[0].fast.bias, c[1].fast.bias},
        .far = vf_min(c[0].fast.far, c[1].fast.far),
        .added = vf_set(c->fast.added),
        .start = {vi_mul(zero_point, c[0].factors.sum), vi_mul(zero_point, c[1].factors.sum)},
        .limit = c->coder.limit,
        .add = o->add_codes ? o->add_codes + r->number * o->ld_add_codes + c->first : NULL,
        .q = o->q + r->number * o->ld_q + c->first,
        .ld_add = o->ld_add_codes,
        .ld_q = o->ld_q,
        .row = r->number};
}

/* To the next tile. */
static inline void advance_codes(tile_codes *c, int64_t rows)
{
    c->q += rows * c->ld_q;
    if (c->add) c->add += rows * c->ld_add;
    c->row += rows;
}

/* Two rows of sums, of which the second may be the first again. */
typedef struct two_rows {
    vi sums[4];
    vf v[4];
} two_rows;

/* One or two rows, one of which comes near to a tie. */
static __attribute__((noinline)) void exact_codes(const tile_codes *c, const two_rows *t,
                                                  int64_t rows, int64_t row)
{
    int32_t sums[4 * VF];
    for (int i = 0; i < 4; i++) {
        const finish_columns *of = &c->columns[i % 2];
        vi_store(sums + i * VF,
                 vi_add(t->sums[i], vi_mul(vi_set(*of->row_zero_point), of->factors.sum)));
    }
    INT_ISA(finish_codes_exact)(c->columns, 2, sums, 2 * VF, rows, row);
}

/* Row i of the `rows` of a tile. Codes are made when two rows, or the last one, are there. */
static inline __attribute__((always_inline)) void put_codes(tile_codes *c, two_rows *t, int has_add,
                                                            int i, int rows, vi a, vi b)
{
    const int second = i % 2, last = !second && i + 1 == rows;
    const vi sums[2] = {a, b};
    for (int k = 0; k < 2; k++) {
        vf v = vf_fma(vi_to_float(sums[k]), c->scale[k], c->bias[k]);
        if (has_add) v = vf_fma(vi_to_float(vi_load_codes(c->add + k * VF)), c->added, v);
        t->sums[2 * second + k] = sums[k];
        t->v[2 * second + k] = v;
        if (last) t->sums[2 + k] = sums[k];
        if (last) t->v[2 + k] = v;
    }
    if (has_add) c->add += c->ld_add;
    FORGET(c->add);
    if (!second && !last) return;
    if (__builtin_expect(grid_is_near(t->v, c->far), 0)) {
        const two_rows copy = *t;
        exact_codes(c, &copy, 1 + second, c->row + i - second);
    } else {
        vi n[4];
        for (int k = 0; k < 4; k++) n[k] = vi_round(t->v[k]);
        const v64 codes = v64_min(v64_pack(n, 0, 0), c->limit);
        v64_store_two(c->q, codes, 0);
        if (second) v64_store_two(c->q + c->ld_q, codes, 1);
    }
    c->q += (1 + second) * c->ld_q;
    FORGET(c->q);
}
