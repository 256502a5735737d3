/* SPDX-License-Identifier: Apache-2.0 */
/* Finds and opens the library, once; fills the table of functions. */
#ifdef PI_ONEDNN
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/cpu.h"
#include "onednn/dnnl_private.h"

static pi_dnnl_library library;
const pi_dnnl_library *const pi_dnnl_lib = &library;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool available;
static char reason[512];
static char found[4096 + 64];

/* Fixed texts and paths only; a text that is too long is cut. */
static void refuse(const char *text, const char *detail) { snprintf(reason, sizeof reason, "%s%s", text, detail ? detail : ""); }

/* libdnnl.so.3 in the folder of the file that has this function. */
static void *open_beside(void)
{
    Dl_info info;
    if (!dladdr((const void *)&pi_dnnl_lib, &info) || !info.dli_fname) return NULL;
    const char *slash = strrchr(info.dli_fname, '/');
    int n = slash ? (int)(slash - info.dli_fname) : 1;
    char path[4096];
    int length = snprintf(path, sizeof path, "%.*s/libdnnl.so.3", n, slash ? info.dli_fname : ".");
    if (length < 0 || (size_t)length >= sizeof path) return NULL;
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static void *open_any(void)
{
    const char *named = secure_getenv("PYINFER_ONEDNN");
    if (named && (!strcmp(named, "off") || !strcmp(named, "0"))) {
        refuse("oneDNN is switched off by PYINFER_ONEDNN", NULL);
        return NULL;
    }
    if (named && *named && strcmp(named, "1") != 0) { /* 1 is the option's default */
        void *handle = dlopen(named, RTLD_NOW | RTLD_LOCAL);
        if (!handle) refuse("oneDNN named by PYINFER_ONEDNN: ", dlerror());
        return handle;
    }
    void *handle = open_beside();
    if (!handle) handle = dlopen("libdnnl.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!handle) refuse("oneDNN is not beside pyinfer: ", dlerror());
    return handle;
}

/* false: `reason` says which one is missing. */
static bool bind(void *handle)
{
#define X(name)                                                   \
    *(void **)(&library.name) = dlsym(handle, "dnnl_" #name); \
    if (!library.name) {                                       \
        refuse("oneDNN lacks dnnl_" #name, NULL);                 \
        return false;                                             \
    }
#include "onednn/dnnl_names.inc"
#undef X
    return true;
}

static void note_where(void)
{
    Dl_info info;
    const dnnl_version_t *version = library.version();
    bool known = dladdr(*(void **)(&library.version), &info) && info.dli_fname;
    snprintf(found, sizeof found, "oneDNN %d.%d.%d, %s", version->major, version->minor, version->patch,
             known ? info.dli_fname : "?");
}

/* PYINFER_ISA lowers oneDNN too, so that results are the same on all machines that have what it names. */
static void limit_isa(void)
{
    if (!pi_cpu_has(PI_CPU_AVX2))
        library.set_max_cpu_isa(dnnl_cpu_isa_sse41);
    else if (!pi_cpu_has(PI_CPU_AVX512))
        library.set_max_cpu_isa(dnnl_cpu_isa_avx2);
}

static void open_once(void)
{
    void *handle = open_any();
    if (!handle) return;
    if (!bind(handle)) goto close;
    const dnnl_version_t *version = library.version();
    if (version->major != 3 || version->minor < 2) {
        snprintf(reason, sizeof reason, "oneDNN %d.%d found; 3.2 or later, below 4, is needed", version->major,
                 version->minor);
        goto close;
    }
    if (version->cpu_runtime != DNNL_RUNTIME_OMP) {
        refuse("oneDNN found, but not built for OpenMP", NULL);
        goto close;
    }
    limit_isa();
    /* Plans own their primitives; the library's cache (1024 entries) only serves twins within a plan. */
    if (!getenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY")) library.set_primitive_cache_capacity(64);
    if (library.engine_create(&library.engine, dnnl_cpu, 0) != dnnl_success) {
        refuse("oneDNN gives no CPU engine", NULL);
        goto close;
    }
    note_where();
    available = true;
    return;
close:
    dlclose(handle);
}

bool pi_dnnl_available(const char **why)
{
    pthread_once(&once, open_once);
    if (why) *why = available ? NULL : reason;
    return available;
}

static pthread_mutex_t uncached = PTHREAD_MUTEX_INITIALIZER;

void pi_dnnl_cache_off(int impl, int *capacity)
{
    if (impl <= 0 || !pi_dnnl_available(NULL)) return;
    pthread_mutex_lock(&uncached);
    library.get_primitive_cache_capacity(capacity);
    library.set_primitive_cache_capacity(0);
}

void pi_dnnl_cache_on(int impl, int capacity)
{
    if (impl <= 0 || !pi_dnnl_available(NULL)) return;
    library.set_primitive_cache_capacity(capacity);
    pthread_mutex_unlock(&uncached);
}

static const char *isa_text(dnnl_cpu_isa_t isa)
{
    if (isa >= dnnl_cpu_isa_avx512_core_amx) return "amx";
    if (isa >= dnnl_cpu_isa_avx512_core_bf16) return "avx512_core_bf16";
    if (isa >= dnnl_cpu_isa_avx512_core_vnni) return "avx512_core_vnni";
    if (isa >= dnnl_cpu_isa_avx512_core) return "avx512_core";
    if (isa >= dnnl_cpu_isa_avx2_vnni) return "avx2_vnni";
    if (isa >= dnnl_cpu_isa_avx2) return "avx2";
    return "sse41";
}

void pi_dnnl_build(char *text, size_t size)
{
    const dnnl_version_t *v = pi_dnnl_available(NULL) ? library.version() : NULL;
    if (v)
        snprintf(text, size, "oneDNN %d.%d.%d %s, %s", v->major, v->minor, v->patch, v->hash,
                 isa_text(library.get_effective_cpu_isa()));
    else
        snprintf(text, size, "no oneDNN");
}

void pi_dnnl_describe(char *text, size_t size)
{
    if (pi_dnnl_available(NULL))
        snprintf(text, size, "%s, %s", found, isa_text(library.get_effective_cpu_isa()));
    else
        snprintf(text, size, "%s", reason);
}
#endif
