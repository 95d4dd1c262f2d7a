/* Options and info structs of older or newer callers (api.h). */
#include "api/api.h"

#include <string.h>

void dfqi_options_init(void *options, size_t size, const void *defaults, size_t own_size)
{
    uint32_t struct_size = (uint32_t)size;
    if (options == NULL || size < sizeof struct_size || size > UINT32_MAX) return;
    memset(options, 0, size);
    memcpy(options, defaults, size < own_size ? size : own_size);
    memcpy(options, &struct_size, sizeof struct_size);
}

/* Detects a struct that was not filled by its init function: nearly all fields with a nonzero
 * default are 0. (A caller may set a few of them to 0 on purpose.) Words of 4 bytes stand for
 * fields. */
static bool is_unfilled(const unsigned char *given, size_t size, const unsigned char *defaults)
{
    enum { WORD = sizeof(uint32_t), MANY = 6 };
    size_t set = 0, zero = 0;
    for (size_t i = WORD; i + WORD <= size; i += WORD) {
        uint32_t have, want;
        memcpy(&have, given + i, WORD);
        memcpy(&want, defaults + i, WORD);
        set += want != 0;
        zero += want != 0 && have == 0;
    }
    return set > 0 && (zero == set || (set >= MANY && zero > set * 2 / 3));
}

dfq_status dfqi_struct_read(dfq_context *ctx, const char *what, const void *given, void *own,
                            size_t own_size)
{
    const unsigned char *bytes = given;
    uint32_t size, own_struct_size = (uint32_t)own_size;
    memcpy(&size, given, sizeof size);
    if (size < sizeof size) {
        if (ctx == NULL) return DFQ_E_INVALID;
        return dfqi_fail(ctx, DFQ_E_INVALID, "%s: struct_size is %u, must be sizeof(%s)", what,
                         (unsigned)size, what);
    }
    for (size_t i = own_size; i < size; i++) {
        if (bytes[i] == 0) continue;
        if (ctx == NULL) return DFQ_E_UNSUPPORTED;
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "%s: byte %zu is set, must be 0, since this library reads %zu bytes; "
                         "use the libdfq that belongs to your headers",
                         what, i, own_size);
    }
    memcpy(own, given, size < own_size ? size : own_size);
    memcpy(own, &own_struct_size, sizeof own_struct_size);
    return DFQ_OK;
}

dfq_status dfqi_options_read(dfq_context *ctx, const char *what, const void *given, void *own,
                             size_t own_size)
{
    uint32_t size, own_struct_size = (uint32_t)own_size;
    if (given == NULL) {
        memcpy(own, &own_struct_size, sizeof own_struct_size);
        return DFQ_OK;
    }
    memcpy(&size, given, sizeof size);
    if (size < sizeof size) {
        if (ctx == NULL) return DFQ_E_INVALID;
        return dfqi_fail(ctx, DFQ_E_INVALID, "%s: struct_size is %u; call %s_init first", what,
                         (unsigned)size, what);
    }
    if (is_unfilled(given, size < own_size ? size : own_size, own)) {
        if (ctx == NULL) return DFQ_E_INVALID;
        return dfqi_fail(
            ctx, DFQ_E_INVALID,
            "%s: fields that %s_init sets are 0; call it first, then change what you want", what,
            what);
    }
    return dfqi_struct_read(ctx, what, given, own, own_size);
}

dfq_status dfqi_info_write(dfq_context *ctx, const char *what, const void *own, size_t own_size,
                           void *out)
{
    uint32_t size;

    memcpy(&size, out, sizeof size);
    if (size < sizeof size)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "%s: struct_size is %u; set it to sizeof the struct first", what,
                         (unsigned)size);
    memset(out, 0, size);
    memcpy(out, own, size < own_size ? size : own_size);
    memcpy(out, &size, sizeof size);
    return DFQ_OK;
}
