/* dfq version: version of the library and its kernels. */
#include "commands.h"
#include "json.h"
#include "text.h"

int cmd_version(struct session *s)
{
    if (s->o->json) {
        struct json j = {stdout, 0};
        json_open(&j, NULL, '{');
        json_text(&j, "version", dfq_version_text());
        json_text(&j, "kernels", dfq_context_get_kernels(s->ctx));
        json_int(&j, "threads", dfq_context_get_threads(s->ctx));
        json_close(&j, '}');
        putchar('\n');
    } else {
        char threads[TEXT_SHORT];
        printf("dfq %s, kernels %s, %s\n", dfq_version_text(), dfq_context_get_kernels(s->ctx),
               text_threads(dfq_context_get_threads(s->ctx), threads));
    }
    return CODE_DONE;
}
