/* SPDX-License-Identifier: Apache-2.0 */
/* The table of rows: versions are found, names are unique, each row can run. */
#include "check.h"
#include "ops/ops.h"
#include <string.h>

static void versions(void)
{
    CHECK(pi_op_find(NULL, "Add", 5)->since == 1);
    CHECK(pi_op_find("", "Add", 6)->since == 6);
    CHECK(pi_op_find("ai.onnx", "Add", 100)->since == 7);
    CHECK(pi_op_find(NULL, "Softmax", 12)->since == 1);
    CHECK(pi_op_find(NULL, "Gelu", 19) == NULL);
    CHECK(pi_op_find(NULL, "NoSuchOperator", 20) == NULL);
    CHECK(pi_op_find("com.example", "Add", 20) == NULL);
    CHECK(pi_op_internal("Conv") != pi_op_find(NULL, "Conv", 20));
    CHECK(strcmp(pi_op_internal("MatMul")->domain, "pyinfer") == 0);
}

static void rows(void)
{
    size_t n = 0;
    for (const pi_op *op; (op = pi_op_at(n)) != NULL; n++) {
        CHECK(strstr(op->signature, "->") != NULL);
        CHECK(pi_op_find(op->domain, op->name, op->since) == op); /* so no two rows say the same */
        CHECK((op->infer != NULL) != (op->expand != NULL));
        if ((op->flags & PI_OP_VIEW) || op->expand) continue;
        const pi_impl *last = op->impls;
        CHECK(last != NULL && last->name != NULL);
        while (last[1].name) last++;
        CHECK(last->run != NULL);
    }
    CHECK(n > 250 && n < 4096); /* 4096: room in registry.c */
}

int main(void)
{
    versions();
    rows();
    return CHECK_DONE();
}
