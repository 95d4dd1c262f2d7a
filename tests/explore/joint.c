/* Bits of layers together with an accelerator: the choice against all others there are. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <dfq/accelerator.h>

#include "api/sensitivity_priv.h"
#include "base/rng.h"
#include "explore/cases.h"
#include "support/small_vit.h"

#define OK(call) ck_assert_int_eq(call, DFQ_OK)

/* Words of 3 bits: two widths of each operand. */
static const char hardware[] =
    "{\"pe_x\": [2, 4], \"pe_y\": 8, \"rf_words\": [16, 64], \"dataflow\": \"ws\", \"pe_type\": "
    "\"fusion\", \"glb_kb\": 64, \"word_bits\": 3, \"psum_bits\": 24, \"clock_mhz\": 200, "
    "\"dram_gb_per_s\": 4, \"glb_gb_per_s\": 16}";

typedef struct scene {
    dfq_context *ctx;
    dfqi_model *net;
    dfq_accelerator *accel;
    dfq_sensitivity *s;
    dfq_bits_limits limits;
} scene;

/* One block, and made-up damages. */
static scene open_scene(void)
{
    scene c = {.ctx = dfqt_explore_context()};
    dfqi_network n;
    dfqi_arch a = dfqt_small_vit(5, 48);
    dfq_sensitivity_options o;
    dfqi_rng rng = dfqi_rng_make(5, 0);
    a.of.vit.depth = 1;
    OK(dfqi_network_new(c.ctx, &a, &n));
    dfqi_network_init(&n, 6);
    OK(dfqi_model_new(&n, NULL, &c.net));
    dfqi_network_fini(&n);
    OK(dfq_accelerator_parse(c.ctx, hardware, strlen(hardware), &c.accel));
    dfq_sensitivity_options_init(&o, sizeof o);
    o.images = 1;
    OK(dfq_sensitivity_create(c.net, NULL, NULL, &o, &c.s));
    for (int32_t i = 0; i < c.s->core.n; i++)
        for (int32_t b = 0; b < DFQI_BITS_WIDTHS; b++) {
            c.s->core.damages[i].w[b] = (double)dfqi_rng_uniform(&rng) * pow(4, -b);
            c.s->core.damages[i].a[b] = (double)dfqi_rng_uniform(&rng) * pow(4, -b);
        }
    c.s->core.done = c.s->core.n;
    dfq_bits_limits_init(&c.limits, sizeof c.limits);
    c.limits.accelerator = c.accel;
    return c;
}

static void close_scene(scene *c)
{
    dfq_sensitivity_release(c->s);
    dfq_accelerator_release(c->accel);
    dfqi_model_release(c->net);
    dfq_context_release(c->ctx);
}

/* The least sum of damages from row `row` on, of all choices on one accelerator. */
static double least(const scene *c, int32_t row, int64_t config, double ms, double mj)
{
    const dfqi_bits_costs *t = &c->s->costs;
    double best = INFINITY;
    if (row == t->table->n)
        return ms <= c->limits.latency_ms && mj <= c->limits.energy_mj &&
                       1000 * mj <= c->limits.power_mw * ms
                   ? 0
                   : INFINITY;
    for (int32_t k = t->first[row]; k < t->first[row + 1]; k++) {
        const dfqi_damage *d = &c->s->core.damages[row];
        double own =
            dfqi_damage_of(d->w, t->cells[k].pair.w) + dfqi_damage_of(d->a, t->cells[k].pair.a);
        best = fmin(best, own + least(c, row + 1, config, ms + t->ms[k * t->n_configs + config],
                                      mj + t->mj[k * t->n_configs + config]));
    }
    return best;
}

static double brute(scene *c)
{
    const dfqi_bits_costs *t = &c->s->costs;
    double best = INFINITY;
    OK(dfqi_bits_costs_fill(&c->s->costs, NULL));
    for (int64_t k = 0; k < t->n_configs; k++)
        if (t->base_mm2[k] <= c->limits.area_mm2)
            best = fmin(best, least(c, 0, k, t->base_ms[k], t->base_mj[k]));
    return best;
}

static dfq_status choose(scene *c, dfq_bits_choice *out)
{
    dfq_bits *b = NULL;
    *out = (dfq_bits_choice){.struct_size = sizeof *out};
    dfq_status status = dfq_sensitivity_choose(c->s, &c->limits, &b, out);
    dfq_bits_release(b);
    return status;
}

static int64_t count_filled(const scene *c)
{
    int64_t n = 0;
    for (int64_t k = 0; k < c->s->costs.n_configs; k++) n += c->s->costs.filled[k];
    return n;
}

/* Shares of what the widest take on the accelerator of least latency. */
START_TEST(against_enumeration)
{
    static const double shares[][4] = {{1, 0.995, 2, 9},   {1.5, 0.98, 1, 9},  {1.2, 0.97, 1.6, 9},
                                       {0.99, 1, 2, 9},    {2, 0.96, 1, 9},    {1, 0.99, 0.9, 9},
                                       {1, 0.5, 1, 9},     {2, 2, 2, 0.995},   {2, 2, 2, 0.98},
                                       {2, 0.99, 2, 0.97}, {1.01, 1, 2, 0.99}, {2, 2, 2, 0.2}};
    scene c = open_scene();
    dfq_bits_choice wide, choice;
    int found = 0, infeasible = 0, powered = 0;
    int64_t filled = 0;
    c.limits.latency_ms = 1e6;
    OK(choose(&c, &wide));
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        c.limits.latency_ms = shares[i][0] * wide.latency_ms;
        c.limits.energy_mj = shares[i][1] * wide.energy_mj;
        c.limits.area_mm2 = shares[i][2] * wide.area_mm2;
        c.limits.power_mw = shares[i][3] * wide.power_mw;
        if (i % 4 == 0) dfqi_sensitivity_forget_costs(c.s);
        dfq_status status = choose(&c, &choice);
        if (i % 4 == 0) filled += count_filled(&c);
        double expected = brute(&c);
        ck_assert_int_eq(status, isfinite(expected) ? DFQ_OK : DFQ_E_INFEASIBLE);
        infeasible += status != DFQ_OK;
        if (status != DFQ_OK) continue;
        found++;
        ck_assert(choice.proved && choice.latency_ms <= c.limits.latency_ms);
        ck_assert(choice.energy_mj <= c.limits.energy_mj && choice.area_mm2 <= c.limits.area_mm2);
        ck_assert_double_eq_tol(choice.predicted, expected, 1e-12);
        ck_assert_double_le(choice.power_mw, c.limits.power_mw);
        ck_assert_double_eq(choice.power_mw, 1000 * choice.energy_mj / choice.latency_ms);
        powered += shares[i][3] < 1;
    }
    ck_assert_msg(found >= 6 && infeasible >= 2, "%d found, %d infeasible", found, infeasible);
    ck_assert_int_ge(powered, 3);
    ck_assert_int_lt(filled, 3 * c.s->costs.n_configs); /* others cannot meet the limits */
    close_scene(&c);
}
END_TEST

/* The least power of all choices on all accelerators, mW. */
static double least_power(const scene *c, int32_t row, int64_t config, double ms, double mj)
{
    const dfqi_bits_costs *t = &c->s->costs;
    double best = INFINITY;
    if (row == t->table->n) return ms <= c->limits.latency_ms ? 1000 * mj / ms : INFINITY;
    for (int32_t k = t->first[row]; k < t->first[row + 1]; k++)
        best = fmin(best, least_power(c, row + 1, config, ms + t->ms[k * t->n_configs + config],
                                      mj + t->mj[k * t->n_configs + config]));
    return best;
}

/* Where nothing meets a limit of power, the line says which power would do beside the other limits,
 * and which is the least. */
START_TEST(power_that_would_do)
{
    scene c = open_scene();
    dfq_bits_choice wide, choice;
    double would = INFINITY, least = INFINITY;
    char text[2][64];
    c.limits.latency_ms = 1e6;
    OK(choose(&c, &wide));
    c.limits.power_mw = wide.power_mw / 10;
    for (int loose = 0; loose < 2; loose++) {
        c.limits.latency_ms = loose ? 1e6 : wide.latency_ms * 1.02;
        for (int64_t k = 0; k < c.s->costs.n_configs; k++) {
            double p = least_power(&c, 0, k, c.s->costs.base_ms[k], c.s->costs.base_mj[k]);
            *(loose ? &least : &would) = fmin(p, loose ? least : would);
        }
    }
    c.limits.latency_ms = wide.latency_ms * 1.02;
    ck_assert_int_eq(choose(&c, &choice), DFQ_E_INFEASIBLE);
    snprintf(text[0], sizeof text[0], "power_mw <= %g (%g would do, ", c.limits.power_mw, would);
    snprintf(text[1], sizeof text[1], "; least %g)", least);
    for (int i = 0; i < 2; i++)
        ck_assert_msg(strstr(c.ctx->error, text[i]) != NULL, "%s: %s", text[i], c.ctx->error);
    ck_assert_double_lt(least, would);
    c.limits.power_mw = would * (1 + 1e-6); /* and it does */
    OK(choose(&c, &choice));
    close_scene(&c);
}
END_TEST

/* No widths take less than the bounds by which accelerators are left out, which are near: within a
 * quarter of the latency. */
START_TEST(bounds_hold)
{
    scene c = open_scene();
    dfq_bits_choice wide;
    dfqi_rng rng = dfqi_rng_make(9, 0);
    double nearest = 0;
    c.limits.latency_ms = 1e6;
    OK(choose(&c, &wide));
    const dfqi_bits_costs *t = &c.s->costs;
    dfqi_pair *widths = dfqi_calloc(c.ctx, (size_t)t->table->n, sizeof *widths);
    ck_assert_ptr_nonnull(widths);
    for (int32_t i = 0; i < 40; i++) {
        const int64_t config = i % t->n_configs;
        double ms, mj;
        int32_t fused;
        for (int32_t r = 0; r < t->table->n; r++) {
            const uint32_t n = (uint32_t)(t->first[r + 1] - t->first[r]);
            const uint32_t k = i < t->n_configs ? 0 : dfqi_rng_below(&rng, n);
            widths[r] = t->cells[t->first[r] + (int32_t)k].pair;
        }
        OK(dfqi_bits_exact(t, widths, config, &ms, &mj, &fused));
        ck_assert_double_le(t->least_ms[config], ms);
        ck_assert_double_le(t->least_mj[config], mj);
        nearest = fmax(nearest, t->least_ms[config] / ms);
    }
    ck_assert_double_gt(nearest, 0.75);
    dfqi_free(c.ctx, widths);
    close_scene(&c);
}
END_TEST

/* With the widths of one layer changed, the tables have the exact costs, fused attention
 * included. */
START_TEST(single_changes_are_exact)
{
    scene c = open_scene();
    dfq_bits_choice wide;
    c.limits.latency_ms = 1e6;
    OK(choose(&c, &wide));
    const dfqi_bits_costs *t = &c.s->costs;
    dfqi_pair *widths = dfqi_calloc(c.ctx, (size_t)t->table->n, sizeof *widths);
    int32_t fused = 0;
    ck_assert_ptr_nonnull(widths);
    for (int32_t k = 0; k < t->n_cells; k++) {
        const int64_t config = k % t->n_configs, at = k * t->n_configs + config;
        double ms, mj;
        for (int32_t i = 0; i < t->table->n; i++) widths[i] = t->cells[t->first[i + 1] - 1].pair;
        widths[t->cells[k].row] = t->cells[k].pair;
        OK(dfqi_bits_exact(t, widths, config, &ms, &mj, &fused));
        ck_assert_int_eq(fused, 1);
        ck_assert_double_eq_tol(t->base_ms[config] + t->ms[at], ms, 1e-9 * ms);
        ck_assert_double_eq_tol(t->base_mj[config] + t->mj[at], mj, 1e-9 * mj);
    }
    ck_assert_int_eq(wide.fused_attentions, 1);
    dfqi_free(c.ctx, widths);
    close_scene(&c);
}
END_TEST

TCase *dfqt_joint_case(void)
{
    TCase *t = tcase_create("joint");
    tcase_add_test(t, against_enumeration);
    tcase_add_test(t, power_that_would_do);
    tcase_add_test(t, bounds_hold);
    tcase_add_test(t, single_changes_are_exact);
    return t;
}
