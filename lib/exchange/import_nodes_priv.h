/* The nodes that are understood (import_nodes.c), one function each: it reads the current node. */
#ifndef DFQI_EXCHANGE_IMPORT_NODES_PRIV_H
#define DFQI_EXCHANGE_IMPORT_NODES_PRIV_H

#include "exchange/import_priv.h"

typedef void (*im_lower)(im *m);
/* NULL: such a node is not known. The first *out_needed operands must be there. */
im_lower dfqi_im_lower_of(const char *op, size_t operands, int32_t *out_needed);
void dfqi_im_conv(im *m);
void dfqi_im_gemm(im *m);
void dfqi_im_matmul(im *m);
void dfqi_im_einsum(im *m);
void dfqi_im_batchnorm(im *m);
void dfqi_im_layernorm(im *m);
void dfqi_im_softmax(im *m);
void dfqi_im_max_pool(im *m);
void dfqi_im_avg_pool(im *m);
void dfqi_im_pad(im *m);
void dfqi_im_global_pool(im *m);
void dfqi_im_reduce_mean(im *m);
void dfqi_im_reduce_sum(im *m);
void dfqi_im_reduce_l2(im *m);
void dfqi_im_reduce_max(im *m);
void dfqi_im_reciprocal(im *m);
void dfqi_im_elu(im *m);
void dfqi_im_exp(im *m);
void dfqi_im_softplus(im *m);
void dfqi_im_leaky_relu(im *m);
void dfqi_im_expand_to(im *m);
void dfqi_im_tile(im *m);
void dfqi_im_resize(im *m);
void dfqi_im_instance_norm(im *m);
void dfqi_im_group_norm(im *m);
void dfqi_im_max(im *m);
void dfqi_im_add(im *m);
void dfqi_im_sub(im *m);
void dfqi_im_mul(im *m);
void dfqi_im_div(im *m);
void dfqi_im_pow(im *m);
void dfqi_im_sqrt(im *m);
void dfqi_im_erf(im *m);
void dfqi_im_gelu(im *m);
void dfqi_im_tanh(im *m);
void dfqi_im_relu(im *m);
void dfqi_im_sigmoid(im *m);
void dfqi_im_hard_sigmoid(im *m);
void dfqi_im_hard_swish(im *m);
void dfqi_im_clip(im *m);
void dfqi_im_identity(im *m);
void dfqi_im_reshape(im *m);
void dfqi_im_flatten(im *m);
void dfqi_im_squeeze(im *m);
void dfqi_im_unsqueeze(im *m);
void dfqi_im_transpose(im *m);
void dfqi_im_slice(im *m);
void dfqi_im_split(im *m);
void dfqi_im_gather(im *m);
void dfqi_im_gather_nd(im *m);
void dfqi_im_neg(im *m);
void dfqi_im_greater(im *m);
void dfqi_im_is_nan(im *m);
void dfqi_im_where(im *m);
void dfqi_im_concat(im *m);
void dfqi_im_shape(im *m);

#endif
