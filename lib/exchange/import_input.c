/* The input of a graph: one image of a fixed size. */
#include "exchange/import_priv.h"
#include "io/json.h"

/* An extent of an input's type; 0: it is not fixed. */
static int64_t extent(const Onnx__TensorShapeProto *s, size_t i)
{
    bool fixed = s->dim[i]->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    return fixed ? s->dim[i]->dim_value : 0;
}

static void check_image(im *m, const char *name, const Onnx__TypeProto *type)
{
    char show[DFQI_SHOW_MAX];
    const Onnx__TypeProto__Tensor *t =
        type && type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ? type->tensor_type : NULL;
    const Onnx__TensorShapeProto *s = t ? t->shape : NULL;
    int64_t dims[4] = {0};
    dfqi_show(name, show);
    for (size_t i = 0; s && s->n_dim == 4 && i < 4; i++) dims[i] = extent(s, i);
    if (dims[0] > 1)
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "input \"%s\" has a batch of %lld; export with a batch of 1, or of any size "
                     "(dynamic_axes)",
                     show, (long long)dims[0]);
    else if (!s || s->n_dim != 4 || dims[1] != 3 || dims[2] < 1 || dims[2] > 4096 || dims[3] < 1 ||
             dims[3] > 4096)
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "input \"%s\" must be images [N,3,Y,X] with Y and X of 1 to 4096 that are fixed; it is "
            "[%lld,%lld,%lld,%lld], 0 for what is not fixed; export at a fixed size",
            show, (long long)dims[0], (long long)dims[1], (long long)dims[2], (long long)dims[3]);
    m->channels = dims[1];
    m->image = (dfqi_size){dims[2], dims[3]};
}

void dfqi_im_input(im *m)
{
    int64_t n = 0;
    for (size_t i = 0; i < m->graph->n_input && m->status == DFQ_OK; i++) {
        const Onnx__ValueInfoProto *in = m->graph->input[i];
        int32_t v = dfqi_im_value_of(m, in->name);
        if (v < 0 || m->values[v].state == IM_CONST) continue; /* old files list weights too */
        if (n++ > 0) break;
        check_image(m, in->name, in->type);
        if (m->status != DFQ_OK) return;
        im_view x = dfqi_im_view_new(m, dfqi_im_draft_image(m), 4,
                                     (int64_t[]){1, m->channels, m->image.height, m->image.width},
                                     3, (int32_t[]){1, 2, 3});
        m->values[v].state = IM_DATA;
        m->values[v].v = x;
    }
    if (n != 1 || m->graph->n_output != 1)
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "the graph has %lld inputs%s and %zu outputs, must have one image and the logits of "
            "a classifier",
            (long long)n, n > 1 ? " or more" : "", m->graph->n_output);
}
