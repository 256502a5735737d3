# SPDX-License-Identifier: Apache-2.0
"""Who may do what: each rule is a pattern that may occur only in certain files of csrc."""

import re
from dataclasses import dataclass

import pytest

from lint.clex import c_files, code_only, line_of, name


def call(*names: str) -> str:
    """Calls of (or pointers to) these library functions, but not of members with the same name."""
    return rf"(?<![\w.>])(?:{'|'.join(names)})\s*\((?!\s*\*)"


@dataclass(frozen=True)
class Rule:
    name: str
    pattern: str
    only: tuple[str, ...]  # prefixes of the files that may; empty: nobody
    bad: tuple[str, ...]  # samples that the rule must find
    good: tuple[str, ...] = ()


RULES = [
    Rule(
        "memory comes from base/alloc.c",
        call("malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign", "memalign", "valloc")
        + "|" + call("strdup", "strndup", "reallocarray", "v?asprintf", "getline", "getdelim", "open_memstream"),
        ("base/alloc.c",),
        ("p = malloc(3);", "free (p);", "x = strdup(s);", "asprintf(&s, f)"),
        ("pi_free(p);", "pi_calloc(h, 1, 2, err)", "op->free(op)", "heap.free(p)", "void (*free)(void *);"),
    ),
    Rule(
        "pages come from base",
        call("mmap", "munmap", "mprotect", "madvise", "sbrk", "shm_open"),
        ("base/alloc.c", "base/arena.c", "base/file.c", "base/file_store.c"),
        ("mmap(0, n, 1, 2, fd, 0)",),
    ),
    Rule(
        "OpenMP lives in base/threads",
        r"#\s*pragma\s+omp\b|\b_Pragma\b|(?<!\w)omp_\w+|\bGOMP_\w+",
        ("base/threads.", "base/threads_place.c"),
        ("#pragma omp parallel for", "# pragma  omp simd", "omp_get_max_threads()"),
        ("my_omp_x();",),
    ),
    Rule(
        "threads start in base/threads.c, and in python to wait for signals",
        call("pthread_create", "pthread_atfork", "thrd_create", "clone3?", "v?fork"),
        ("base/threads.", "base/threads_apart.c", "python/"),
        ("pthread_create(&t)", "fork()", "pthread_atfork(a, b, c)"),
        ("pthread_mutex_lock(&m);",),
    ),
    Rule(
        "files are opened in base/file.c",
        call("fopen", "fdopen", "freopen", "open", "openat2?", "creat", "pread", "pread64", "readv", "tmpfile", "mkstemp")
        + "|" + call("opendir", "renameat2?", "unlink", "unlinkat", "fstat", "lstat", "realpath", "readlink")
        + "|" + call("syscall", "pwrite", "fwrite", "fread", "fgets", "fputs", "ftruncate", "socket", "fsync"),
        ("base/file.c", "base/file_store.c"),
        ('fopen("x", "r")', "fd = openat(d, p, f);", "n = pread(fd, b, n, o);", "syscall(SYS_openat2)", "socket(1)"),
        ("pi_file_open(p)", "io->read(io)", "pi_open(x)", "reopen(x)"),
    ),
    Rule(
        "libraries are opened in onednn",
        call("dlopen", "dlmopen", "dlsym", "dlvsym", "dladdr", "dlclose"),
        ("onednn/",),
        ('dlopen("x", 1)', "dlsym(h, s)"),
    ),
    Rule(
        "nothing is printed and nobody dies",
        call("v?printf", "v?fprintf", "puts", "putchar", "putc", "fputc", "perror", "abort", "exit", "_exit", "_Exit")
        + "|" + call("quick_exit", "atexit", "raise", "kill", "err", "errx", "warn", "warnx", "syslog", "__builtin_trap")
        + r"|\b(?:stdout|stderr|stdin)\b",
        (),
        ('printf("x")', "abort();", "exit(1)", "fputs(s, stderr)", 'fprintf(f, "x")', "__builtin_trap()"),
        ('snprintf(b, n, "x")', "pi_exit(1)", "// printf(1)\n", '"abort()"', "vsnprintf(b, n, f, a)"),
    ),
    Rule(
        "no dangerous functions",
        call("alloca", "__builtin_alloca", "strcpy", "strcat", "stpcpy", "v?sprintf", "gets", "strtok", "system", "popen")
        + "|" + call("setjmp", "longjmp", r"exec[vl]\w*", "atoi", "atol", "atoll", "atof", "v?f?scanf", "mktemp"),
        (),
        ("alloca(3)", "strcpy(a, b)", "sprintf(b, f)", "system(s)", "atoi(s)", "setjmp(b)"),
        ("strncpy_s(a)",),
    ),
    Rule(
        "the process's state is left alone",
        call("setlocale", "setenv", "putenv", "unsetenv", "clearenv", "signal", "sigaction", "chdir", "umask", "srand")
        + "|" + call("setrlimit", "setpriority", "fesetround", "fesetenv", "rand", "random", "usleep"),
        ("python/py_interrupt.c",),  # puts the handler of SIGINT back after each run
        ('setlocale(LC_ALL, "C")', "signal(2, f)", "rand()"),
        ("pi_random(x)", "fesetround_(x)"),
    ),
    Rule(
        "threads are placed in one file, and only those of OpenMP",
        call("sched_setaffinity", "pthread_setaffinity_np", "sched_setattr", "sched_setscheduler"),
        ("base/threads_place.c",),
        ("sched_setaffinity(t, n, m)",),
    ),
    Rule(
        "the environment is read at the border",
        call("getenv", "secure_getenv"),
        ("base/", "capi/", "onednn/"),
        ('getenv("X")',),
    ),
    Rule(
        "the floating-point mode is changed around a run only",
        r"\b_mm_setcsr\b|\b__builtin_ia32_ldmxcsr\b|\bldmxcsr\b|\b_MM_SET_\w+",
        ("base/threads.c", "base/cpu.c", "base/cpu.h"),
        ("_mm_setcsr(x)", "_MM_SET_FLUSH_ZERO_MODE(1)"),
    ),
    Rule(
        "no asm",
        r"\b(?:__)?asm(?:__)?\b",
        ("base/cpu.c", "base/cpu.h", "kernels/simd/vec_avx512.h"),
        ('asm volatile ("nop")', '__asm__("x")'),
    ),
    Rule(
        "machine and mathematics are chosen by name at run time",
        r"#\s*pragma\s+(?:GCC|STDC)\s+(?:optimize|FP_CONTRACT|FENV_ACCESS)|__attribute__\s*\(\(\s*optimize",
        (),
        ('#pragma GCC optimize("O3")', '__attribute__((optimize("fast-math")))', "#pragma STDC FP_CONTRACT ON"),
    ),
    Rule(
        "kernels neither allocate, fail nor start threads",
        r"\bpi_(?:alloc|calloc|realloc|free|parallel|fail|arena_\w+)\s*\(|\bpi_error\b",
        ("base/", "onednn/", "graph/", "ops/", "model/", "passes/", "plan/", "runtime/", "capi/", "python/"),
        ("pi_alloc(h, 1, e)", "pi_fail(e, 1, x)", "pi_parallel(n, f, a)"),
    ),
    Rule(
        "Python's names live in python",
        r"\b_?Py[A-Z_]\w*|\bNPY_\w+",
        ("python/",),
        ("PyObject *x;", "Py_INCREF(x)", "NPY_FLOAT"),
    ),
    Rule(
        "oneDNN's names live in onednn",
        r"\bdnnl_\w+_t\b|\bdnnl_\w+\s*\(",
        ("onednn/",),
        ("dnnl_memory_t m;", "dnnl_version()"),
        ("pi_dnnl_matmul(x)", "struct dnnl_state *state;"),
    ),
]


def offenders(rule: Rule, path: str, text: str) -> list[str]:
    if rule.only and path.startswith(rule.only):
        return []
    text = code_only(text)
    return [
        f"{path}:{line_of(text, match.start())}: {match[0].strip()}" for match in re.finditer(rule.pattern, text)
    ]


def by_name(rule: Rule) -> str:
    return rule.name


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_who(rule: Rule) -> None:
    found = [row for f in c_files() for row in offenders(rule, name(f), f.read_text())]
    where = f" (only in {' '.join(rule.only)})" if rule.only else ""
    assert not found, "\n".join([f"{rule.name}{where}:", *found])


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_the_rule_finds(rule: Rule) -> None:
    path = "kernels/sample.c"
    for bad in rule.bad:
        assert offenders(rule, path, f"int x;\n{bad}\n"), bad
        for may in rule.only:
            assert not offenders(rule, may + ("x.c" if may.endswith(("/", ".")) else ""), bad)
    for good in rule.good:
        assert not offenders(rule, path, good), good
