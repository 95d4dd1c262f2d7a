/* dfq export: writes a network as ONNX, for other engines. */
#include "commands.h"
#include "json.h"
#include "model.h"
#include "text.h"

static void print_result(const struct session *s, const dfq_graph *g, const dfq_export_info *done)
{
    char bytes[TEXT_SHORT];
    if (s->o->json) {
        struct json j = {stdout, 0};
        json_open(&j, NULL, '{');
        json_text(&j, "file", s->o->input);
        json_text(&j, "name", dfq_graph_get_name(g));
        json_text(&j, "output", s->o->out);
        json_int(&j, "opset", done->opset);
        json_int(&j, "ir_version", done->ir_version);
        json_int(&j, "nodes", done->nodes);
        json_int(&j, "constants", done->constants);
        json_int(&j, "bytes", done->bytes);
        json_close(&j, '}');
        putchar('\n');
        return;
    }
    text_put(stdout, s->o->out);
    printf(": opset %d, %lld operators, %s\n", (int)done->opset, (long long)done->nodes,
           text_bytes((double)done->bytes, bytes));
}

int cmd_export(struct session *s)
{
    dfq_graph *g;
    dfq_graph_info info;
    dfq_export_options o;
    dfq_export_info done = {.struct_size = sizeof done};
    int code = model_load(s, DFQ_DECIDES_LOGITS | DFQ_DECIDES_INPUTS, &g, &info);
    if (code) return code;
    dfq_export_options_init(&o, sizeof o);
    o.opset = (int32_t)s->o->opset;
    o.int4 = s->o->int4;
    o.integer = s->o->integer;
    code = places_appeared(s, OPT_OUT);
    if (!code) {
        dfq_status status = dfq_graph_export(g, s->o->out, &o, &done);
        if (status != DFQ_OK) code = session_fail(s, status, PHASE_WRITE);
    }
    if (!code) print_result(s, g, &done);
    dfq_graph_release(g);
    return code;
}
