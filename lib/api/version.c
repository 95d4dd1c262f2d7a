/* The functions of dfq/version.h and dfq/status.h. */
#include <dfq/status.h>
#include <dfq/version.h>

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

uint32_t dfq_version(void)
{
    return (uint32_t)DFQ_VERSION_MAJOR << 16 | (uint32_t)DFQ_VERSION_MINOR << 8 | DFQ_VERSION_PATCH;
}

const char *dfq_version_text(void)
{
    return TEXT(DFQ_VERSION_MAJOR) "." TEXT(DFQ_VERSION_MINOR) "." TEXT(DFQ_VERSION_PATCH);
}

const char *dfq_status_name(dfq_status status)
{
    switch (status) {
    case DFQ_OK:
        return "DFQ_OK";
    case DFQ_E_NOMEM:
        return "DFQ_E_NOMEM";
    case DFQ_E_INVALID:
        return "DFQ_E_INVALID";
    case DFQ_E_UNSUPPORTED:
        return "DFQ_E_UNSUPPORTED";
    case DFQ_E_SHAPE:
        return "DFQ_E_SHAPE";
    case DFQ_E_IO:
        return "DFQ_E_IO";
    case DFQ_E_CORRUPT:
        return "DFQ_E_CORRUPT";
    case DFQ_E_NUMERIC:
        return "DFQ_E_NUMERIC";
    case DFQ_E_INFEASIBLE:
        return "DFQ_E_INFEASIBLE";
    case DFQ_E_CANCELLED:
        return "DFQ_E_CANCELLED";
    case DFQ_E_EXISTS:
        return "DFQ_E_EXISTS";
    case DFQ_E_INTERNAL:
        return "DFQ_E_INTERNAL";
    default:
        return "DFQ_E_?";
    }
}
