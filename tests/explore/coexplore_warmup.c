/* The warm-up: the largest choices first, then what the others take over of them. */
#include <string.h>

#include "explore/cases.h"
#include "explore/coexplore_scene.h"
#include "tensor/tensor.h"

/* A supernet with the weights of another one. */
static dfqi_supernet copy_of(dfq_context *ctx, const dfqi_supernet *net)
{
    dfqi_supernet copy;
    ck_assert_int_eq(dfqi_supernet_new(ctx, &net->space, NULL, 0, &copy), DFQ_OK);
    for (int32_t i = 0; i < net->n_layers; i++)
        for (int32_t k = 0; k < DFQI_SUPER_TENSORS; k++)
            if (net->layers[i].t[k])
                memcpy(copy.layers[i].t[k]->data, net->layers[i].t[k]->data,
                       dfq_tensor_get_bytes(net->layers[i].t[k]));
    return copy;
}

/* Layers of cells with the same weights in both, and how many there are. */
static int count_same(const dfqi_supernet *a, const dfqi_supernet *b, int *out_of)
{
    int same = 0;
    *out_of = 0;
    for (int32_t i = 0; i < a->n_layers; i++) {
        const dfq_tensor *x = a->layers[i].t[0], *y = b->layers[i].t[0];
        if (a->layers[i].cell < 0) continue;
        ++*out_of;
        same += memcmp(x->data, y->data, dfq_tensor_get_bytes(x)) == 0;
    }
    return same;
}

static dfqi_coexplore *begin(dfq_context *ctx, double rate, dfqt_scene *s)
{
    dfqi_coexplore *e;
    dfqt_scene_make(0, s);
    s->o.warmup_steps = 4;
    s->o.largest_share = 0.5;
    s->o.learning_rate = rate;
    ck_assert_int_eq(dfqt_scene_create(ctx, s, &e), DFQ_OK);
    return e;
}

START_TEST(the_first_steps_go_along_the_largest_choices)
{
    dfqt_scene s;
    int32_t finished, largest[CELLS];
    dfq_context *ctx = dfqt_scene_context(1);
    dfqi_coexplore *e = begin(ctx, 0.1, &s);
    const dfqi_supernet *net = dfqi_coexplore_net(e);
    dfqi_supernet before = copy_of(ctx, net);
    dfqi_supernet_largest(net, largest);
    for (int i = 0; i < 2; i++) ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_OK);
    for (int32_t i = 0; i < net->n_layers; i++) {
        const dfqi_super_layer *l = &net->layers[i];
        if (l->cell < 0) continue;
        size_t bytes = dfq_tensor_get_bytes(l->t[0]);
        int same = memcmp(l->t[0]->data, before.layers[i].t[0]->data, bytes) == 0;
        ck_assert_int_eq(same, l->choice != largest[l->cell]);
    }
    dfqi_supernet_fini(&before);
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

/* The step after them begins with it. Its rate is so small that the step itself moves no weight. */
START_TEST(then_the_others_take_over_their_weights)
{
    dfqt_scene s;
    int32_t finished, largest[CELLS];
    int layers, still;
    dfq_context *ctx = dfqt_scene_context(1);
    dfqi_coexplore *e = begin(ctx, 1e-30, &s);
    for (int i = 0; i < 2; i++) ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_OK);
    const dfqi_supernet *net = dfqi_coexplore_net(e);
    dfqi_supernet before = copy_of(ctx, net), expected = copy_of(ctx, net);
    dfqi_supernet_largest(net, largest);
    ck_assert_int_eq(dfqi_supernet_inherit(&expected, largest), DFQ_OK);
    ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_OK);
    ck_assert_int_eq(count_same(net, &expected, &layers), layers);
    still = count_same(net, &before, &layers);
    ck_assert_msg(still == layers / 2, "%d of %d layers are as they were", still, layers);
    for (int32_t i = 0; i < net->n_layers; i++) /* what they learn from now on is theirs */
        for (size_t k = 0; k < (size_t)(net->layers[i].out * (net->layers[i].cell >= 0)); k++) {
            dfqi_tensor_f32(net->layers[i].t[0])[k] += 1;
            dfqi_tensor_f32(expected.layers[i].t[0])[k] += 1;
        }
    ck_assert_int_eq(dfqi_coexplore_step(e, &finished), DFQ_OK);
    ck_assert_int_eq(count_same(net, &expected, &layers), layers);
    dfqi_supernet_fini(&before);
    dfqi_supernet_fini(&expected);
    dfqi_coexplore_release(e);
    dfq_context_release(ctx);
    dfqt_scene_done(&s);
}
END_TEST

TCase *dfqt_coexplore_warmup_case(void)
{
    TCase *c = tcase_create("coexplore warm-up");
    tcase_add_test(c, the_first_steps_go_along_the_largest_choices);
    tcase_add_test(c, then_the_others_take_over_their_weights);
    return c;
}
