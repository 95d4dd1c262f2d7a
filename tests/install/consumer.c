/* A program of somebody who has only what `meson install` left. Valid C and C++. */
#include <dfq/dfq.h>
#include <stdio.h>

int main(void)
{
    const int64_t dims[2] = {2, 3};
    dfq_context *context = NULL;
    dfq_tensor *tensor = NULL;
    dfq_status status = dfq_context_create(NULL, &context);
    if (status == DFQ_OK) status = dfq_tensor_create(context, DFQ_DTYPE_F32, 2, dims, &tensor);
    printf("libdfq %s: %s, kernels %s\n", dfq_version_text(), dfq_status_name(status),
           dfq_context_get_kernels(context));
    dfq_context_release(context);
    dfq_tensor_release(tensor);
    return status == DFQ_OK ? 0 : 1;
}
