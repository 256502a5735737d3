/* SPDX-License-Identifier: Apache-2.0 */
/* Where oneDNN cannot be opened everything refuses with a text, and nothing else happens. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"
#include "onednn/onednn.h"

/* In a process of its own: the library is looked for once. */
static int refuses(const char *named)
{
    setenv("PYINFER_ONEDNN", named, 1);
    const char *why = NULL;
    char text[600];
    CHECK(!pi_dnnl_available(&why));
    CHECK(why && strstr(why, "oneDNN"));
    if (!why) return 1;
    pi_dnnl_describe(text, sizeof text);
    CHECK(strcmp(text, why) == 0);
    CHECK(!pi_dnnl_available(NULL));

    pi_error err;
    pi_dnnl *object = (pi_dnnl *)text;
    pi_dnnl_conv conv = {.spatial = 2, .n = 1, .ic = 1, .oc = 1, .groups = 1};
    CHECK(pi_dnnl_conv_new(&object, &conv, 1, &err) == PI_E_UNSUPPORTED && !object && strstr(err.text, why));
    CHECK(pi_dnnl_conv_refuse(&conv, 1) == why);
    conv.impl = 2;
    CHECK(pi_dnnl_conv_refuse(&conv, 1) == why);
    pi_dnnl_matmul matmul = {.m = 1, .n = 1, .k = 1};
    CHECK(pi_dnnl_matmul_new(&object, &matmul, 1, &err) == PI_E_UNSUPPORTED && !object);
    CHECK(pi_dnnl_matmul_refuse(&matmul, 1) == why);
    pi_dnnl_pool pool = {.spatial = 2, .n = 1, .c = 1};
    CHECK(pi_dnnl_pool_new(&object, &pool, 1, &err) == PI_E_UNSUPPORTED && !object);
    CHECK(pi_dnnl_pool_refuse(&pool, 1) == why);
    pi_dnnl_reorder reorder = {.rank = 1, .dim = {1}, .src_stride = {1}, .dst_stride = {1}};
    CHECK(pi_dnnl_reorder_new(&object, &reorder, 1, &err) == PI_E_UNSUPPORTED && !object);
    CHECK(pi_dnnl_reorder_refuse(&reorder, 1) == why);
    pi_dnnl_free(NULL);
    return CHECK_DONE();
}

int main(void)
{
    /* nothing there, switched off twice, no library, a library of another kind */
    const char *const names[] = {"/nonexistent/libdnnl.so", "off", "0", "/etc/passwd", "libm.so.6"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) _exit(refuses(names[i]));
        int status = -1;
        CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    return CHECK_DONE();
}
