/* SPDX-License-Identifier: Apache-2.0 */
/* Saved plans and the cache through the public C interface; every failing allocation while one is written and read. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "capi/pyinfer.h"
#include "check.h"
#include "pb.h"

enum { N = 64, THREADS = 3 };
static pyinfer_error error;
static char folder[] = "/tmp/pyinfer-plan-XXXXXX";
static float x[2][N], want[2][N];
static int wrong; /* atomic: answers that are not right; CHECK is for one thread */

static const char *in_folder(const char *name)
{
    static char path[4][128];
    static unsigned next;
    char *p = path[next++ % 4];
    (void)snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

/* y = x w, w of [N, N] with a few ones. */
static pb model_of(void)
{
    static float w[N][N];
    pb graph = {0}, t = {0};
    for (int i = 0; i < N; i++) w[i][(i * 7 + 3) % N] = (float)(i + 1);
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < N; i++) {
            x[k][i] = (float)(i - k);
            want[k][(i * 7 + 3) % N] = x[k][i] * (float)(i + 1);
        }
    pb_int(&t, 1, N);
    pb_int(&t, 1, N);
    pb_int(&t, 2, PYINFER_F32);
    pb_text(&t, 8, "w");
    pb_bytes(&t, 9, w, sizeof w);
    pb_add_node(&graph, "MatMul", "x w", "y");
    pb_message(&graph, 5, &t);
    pb_port(&graph, 11, "x", 2, (int64_t[]){-1, N});
    pb_port(&graph, 12, "y", 2, (int64_t[]){-1, N});
    return pb_model(&graph);
}

static void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(bytes, 1, n, f) == n);
    if (f) CHECK(fclose(f) == 0);
}

static pyinfer_status run(pyinfer_model *m, int64_t rows, pyinfer_error *err)
{
    float y[2][N];
    const pyinfer_tensor in = {.data = x, .dtype = PYINFER_F32, .rank = 2, .shape = {rows, N}};
    pyinfer_tensor out = {.data = y, .capacity = sizeof y};
    pyinfer_status st = pyinfer_run(m, &in, 1, &out, 1, err);
    if (st == PYINFER_OK && memcmp(y, want, (size_t)rows * sizeof *y) != 0)
        __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
    return st;
}

static void *run_some(void *model)
{
    pyinfer_error err;
    for (int64_t k = 0; k < 6; k++)
        if (run(model, 1 + k % 2, &err) != PYINFER_OK) __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
    return NULL;
}

/* Loads and runs on several threads; the state before the run. */
static int use(const char *path, const char *cache)
{
    pyinfer_model *m = NULL;
    pyinfer_options options;
    pthread_t id[THREADS];
    pyinfer_options_init(&options);
    options.threads = 2;
    CHECK(pyinfer_load(path, &options, &m, &error) == PYINFER_OK);
    if (!m) return -1;
    if (cache) CHECK(pyinfer_cache(m, cache, 0, &error) == PYINFER_OK);
    int state = pyinfer_plan_state(m);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&id[i], NULL, run_some, m) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(id[i], NULL) == 0);
    if (cache) CHECK(pyinfer_cache(m, cache, 0, &error) == PYINFER_E_INPUT); /* once, and before the first run */
    pyinfer_free(m);
    return state;
}

static void test_cache(const char *path)
{
    CHECK(use(path, NULL) == PYINFER_PLAN_NONE);
    CHECK(use(path, in_folder("packs")) == PYINFER_PLAN_NEW);
    if (access(in_folder("packs"), F_OK) != 0) return; /* nothing here packs: a build without oneDNN may not need to */
    CHECK(use(path, in_folder("packs")) == PYINFER_PLAN_USED);
    pyinfer_model *m = NULL;
    CHECK(pyinfer_load(in_folder("packs"), NULL, &m, &error) == PYINFER_E_FILE && strstr(error.text, "no model in it"));
}

static void test_plan(const char *path)
{
    pyinfer_model *m = NULL;
    CHECK(pyinfer_load(path, NULL, &m, &error) == PYINFER_OK);
    CHECK(run(m, 2, &error) == PYINFER_OK);
    CHECK(pyinfer_save(m, in_folder("no/plan"), &error) == PYINFER_E_FILE);
    CHECK(pyinfer_save(m, "", &error) == PYINFER_E_FILE);
    CHECK(pyinfer_save(m, in_folder("plan"), &error) == PYINFER_OK);
    pyinfer_free(m);
    CHECK(use(in_folder("plan"), NULL) == PYINFER_PLAN_USED);
    CHECK(use(in_folder("plan"), in_folder("packs")) == PYINFER_PLAN_USED); /* a plan needs no cache */
}

static void test_bytes(const pb *bytes)
{
    pyinfer_model *m = NULL;
    CHECK(pyinfer_load_bytes(bytes->p, bytes->n, NULL, NULL, NULL, NULL, &m, &error) == PYINFER_OK);
    CHECK(pyinfer_cache(m, in_folder("packs"), 0, &error) == PYINFER_E_INPUT && strstr(error.text, "needs a path"));
    CHECK(run(m, 1, &error) == PYINFER_OK && pyinfer_save(m, in_folder("bytes"), &error) == PYINFER_OK);
    pyinfer_free(m);
    CHECK(use(in_folder("bytes"), NULL) == PYINFER_PLAN_USED);
}

static void test_failures(void)
{
    pyinfer_options options;
    pyinfer_options_init(&options);
    options.threads = 1;
    long alive = pyinfer_test_alive_blocks();
    for (long n = 1; n < 2000; n += 1 + n / 60) {
        pyinfer_model *m = NULL;
        pyinfer_test_fail_alloc(n);
        pyinfer_status st = pyinfer_load(in_folder("plan"), &options, &m, &error);
        if (st == PYINFER_OK) st = run(m, 2, &error);
        if (st == PYINFER_OK) st = pyinfer_save(m, in_folder("again"), &error);
        pyinfer_test_fail_alloc(0);
        pyinfer_free(m);
        CHECK(pyinfer_test_alive_blocks() == alive);
        if (st == PYINFER_OK) break;
    }
    CHECK(use(in_folder("again"), NULL) == PYINFER_PLAN_USED);
}

int main(void)
{
    CHECK(mkdtemp(folder) != NULL);
    pb bytes = model_of();
    write_file(in_folder("m.onnx"), bytes.p, bytes.n);
    test_cache(in_folder("m.onnx"));
    test_plan(in_folder("m.onnx"));
    test_bytes(&bytes);
    test_failures();
    static const char *const names[] = {"m.onnx", "packs", "plan", "bytes", "again"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) (void)unlink(in_folder(names[i]));
    CHECK(rmdir(folder) == 0); /* nothing half-written is left */
    free(bytes.p);
    CHECK(wrong == 0);
    return CHECK_DONE();
}
